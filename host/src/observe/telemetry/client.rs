//! What speaks HTTP to a collector, on the threads of the exporters, which may block.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

/// Longest time for one request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const MAX_ANSWER: u64 = 1 << 20;

/// A client that says once when its collector is away, and once when it is back.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    what: &'static str,
    is_failing: AtomicBool,
}

impl Client {
    pub(super) fn new(what: &'static str) -> Self {
        let tls = TlsConfig::builder().root_certs(authorities()).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("airlock/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), what, is_failing: AtomicBool::new(false) }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.agent.run(Request::from_parts(parts, &*body))?;
        let (parts, mut body) = answer.into_parts();
        let body = body.with_config().limit(MAX_ANSWER).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }

    fn say(&self, failure: Option<String>) {
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(error) if !was_failing => {
                tracing::warn!(error, "the collector takes no {}; they are lost until it does", self.what);
            }
            None if was_failing => tracing::info!("the collector takes {} again", self.what),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request);
        self.say(match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(error.to_string()),
        });
        answer
    }
}

/// The authorities that this machine trusts; Mozilla's where it names none.
pub fn authorities() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    let found: Vec<_> = found.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
    if found.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&found) }
}
