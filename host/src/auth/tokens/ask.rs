//! Questions to those who give out tokens, on the same guarded way out as an adaptor's calls: to one origin, without
//! following redirects, with credentials that are bound to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use airlock_sandbox::{
    AddressPolicy, Credential, Egress, Grant, Origin, OutboundRequest, Tenant, UpstreamResponse,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use url::form_urlencoded;

use crate::config::{ClientAccount, Settings};

/// Longest answer.
const MAX_ANSWER: usize = 1 << 20;

/// Why nobody could say anything, in words for the log. Nothing of a token stands in it.
#[derive(Debug)]
pub(super) struct Away(pub(super) String);

/// The way to those who give out tokens. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ask {
    egress: Egress,
    tenant: Arc<Tenant>,
    policy: AddressPolicy,
    timeout: Duration,
    home: Handle,
}

/// What somebody answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    place: String,
}

impl Ask {
    /// A way of its own, whose connections are nobody else's. Has to be called within the runtime that drives them.
    pub(super) fn new(settings: &Settings, egress: Egress) -> Self {
        Self {
            egress,
            // No tenant can be called this.
            tenant: Tenant::new("(auth)", airlock_sandbox::TenantLimits::default()),
            policy: settings.address_policy(),
            timeout: Duration::from_secs(settings.auth.timeout_seconds),
            home: Handle::current(),
        }
    }

    /// Where look-ups run, so that they go on when who asked for them is gone.
    pub(super) fn home(&self) -> &Handle {
        &self.home
    }

    /// A look-up as a whole, of however many questions.
    pub(super) async fn in_time<T>(&self, look: impl Future<Output = Result<T, Away>>) -> Result<T, Away> {
        let late = || Away(format!("no answer within {:?}", self.timeout));
        tokio::time::timeout(self.timeout, look).await.unwrap_or_else(|_| Err(late()))
    }

    /// `GET`, with a bearer token where one is given.
    pub(super) async fn get(&self, url: &str, token: Option<&str>) -> Result<Answer, Away> {
        let credential = token.map(|token| format!("Bearer {token}"));
        self.send(Method::GET, url, credential, Bytes::new()).await
    }

    /// `POST` of a form, by the gateway's own account there (RFC 6749, 2.3.1).
    pub(super) async fn post(
        &self,
        url: &str,
        account: &ClientAccount,
        form: &[(&str, &str)],
    ) -> Result<Answer, Away> {
        let coded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = BASE64_STANDARD.encode(format!("{}:{}", coded(&account.id), coded(&account.secret)));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(Method::POST, url, Some(format!("Basic {pair}")), body.into()).await
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        authorization: Option<String>,
        body: Bytes,
    ) -> Result<Answer, Away> {
        let origin = Origin::parse(url).map_err(|error| Away(error.to_string()))?;
        let away = |why: &dyn std::fmt::Display| Away(format!("{origin}: {why}"));
        let uri = Uri::try_from(url).map_err(|error| away(&error))?;
        let credential = match authorization {
            Some(value) => Some(
                Credential::header(origin.clone(), header::AUTHORIZATION, &value)
                    .ok_or_else(|| away(&"what it is to be shown cannot stand in a header"))?,
            ),
            None => None,
        };
        let credentials = credential.into_iter().collect();
        let grant =
            Grant::new(Arc::clone(&self.tenant), self.policy.clone(), vec![origin.clone()], credentials);
        let mut headers =
            HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
        if method == Method::POST {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, form);
        }
        let body = OutboundRequest::full(body);
        let request = OutboundRequest { method, uri, headers, body, timeout: Some(self.timeout) };
        let response = self.egress.send(&Arc::new(grant), request).await.map_err(|error| away(&error))?;
        let UpstreamResponse { status, headers, body } = response;
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| away(&error))?.to_bytes();
        Ok(Answer { status, headers, body, place: origin.to_string() })
    }
}

impl Answer {
    /// Lets pass what was answered with 200.
    pub(super) fn good(self) -> Result<Self, Away> {
        if self.status == StatusCode::OK { Ok(self) } else { Err(self.away("no answer that can be used")) }
    }

    /// What it says, where that is JSON of this form.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Away> {
        // Nothing of the answer is told: it may be about the token.
        serde_json::from_slice(&self.body).map_err(|_| self.away("not what was asked for"))
    }

    /// Nothing that helps.
    pub(super) fn away(&self, what: &str) -> Away {
        Away(format!("{} answered {}, {what}", self.place, self.status))
    }
}

/// Whether somebody is there, told once when that changes.
#[derive(Default)]
pub(super) struct Presence(AtomicBool);

impl Presence {
    /// Notes how a look-up went.
    pub(super) fn note<T>(&self, who: &str, outcome: &Result<T, Away>) {
        let was_away = self.0.swap(outcome.is_err(), Ordering::AcqRel);
        match outcome {
            Err(Away(why)) if !was_away => {
                tracing::error!(issuer = who, error = why, "tokens cannot be checked; known ones go on");
            }
            Ok(_) if was_away => tracing::info!(issuer = who, "tokens are checked again"),
            _ => {}
        }
    }
}
