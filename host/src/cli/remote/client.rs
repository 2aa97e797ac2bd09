//! Conversations with a gateway's admin API, one request at a time.

use std::{io::Read, time::Duration};

use http::{Method, Request, header, request::Builder};
use serde_json::Value;
use ureq::{Agent, SendBody, tls::TlsConfig};
use url::Url;

use super::refusal;
use crate::{cli::Failure, observe::authorities};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for an answer: the gate may compile for two minutes.
const ANSWER: Duration = Duration::from_secs(300);
/// Longest answer that is read.
const MAX_ANSWER: u64 = 64 << 20;
/// How many things of a list are asked for at once: as many as the API gives.
const PAGE: usize = 200;

/// A gateway and the key for it.
pub(crate) struct Client {
    agent: Agent,
    base: Url,
    key: String,
}

impl Client {
    /// For the gateway at `url`, which may end in `/v1`, as `airlock serve` prints it.
    pub(super) fn new(url: &str, key: String) -> Result<Self, Failure> {
        let root = url.trim_end_matches('/').trim_end_matches("/v1");
        let base = Url::parse(root).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base =
            base.filter(|url| url.username().is_empty() && url.password().is_none()).ok_or_else(|| {
                Failure::new(format_args!(
                    "{url:?} is no address of a gateway: name scheme and host, such as http://127.0.0.1:8000"
                ))
            })?;
        let tls = TlsConfig::builder().root_certs(authorities()).build();
        // No redirect and no proxy: the key goes to the address that was named, and nowhere else.
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .user_agent(concat!("airlock/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.new_agent(), base, key })
    }

    /// A request for a path below `/admin/v1`, given by its parts.
    pub(super) fn ask(&self, method: Method, path: &[&str]) -> Ask<'_> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["admin", "v1"]).extend(path);
        }
        Ask { client: self, method, url, headers: Request::builder(), body: SendBody::none() }
    }

    /// What is there, or a refusal.
    pub(super) fn get(&self, path: &[&str]) -> Result<Value, Failure> {
        self.ask(Method::GET, path).send()?.good()
    }

    /// A list, page after page, of `most` things at most.
    pub(super) fn list(&self, path: &[&str], most: usize) -> Result<Vec<Value>, Failure> {
        self.list_where(path, &[], most)
    }

    /// The same, of what fits this query.
    pub(super) fn list_where(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        most: usize,
    ) -> Result<Vec<Value>, Failure> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let limit = most.saturating_sub(found.len()).clamp(1, PAGE).to_string();
            let ask = self.ask(Method::GET, path).query("limit", &limit);
            let ask = query.iter().fold(ask, |ask, (key, value)| ask.query(key, value));
            let ask = match &after {
                Some(after) => ask.query("after", after),
                None => ask,
            };
            let mut page = ask.send()?.good()?;
            match page.get_mut("data").map(Value::take) {
                Some(Value::Array(data)) => found.extend(data),
                _ => return Err(self.strange("a list without `data`")),
            }
            after = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if after.is_none() || found.len() >= most {
                return Ok(found);
            }
        }
    }

    fn strange(&self, what: impl std::fmt::Display) -> Failure {
        Failure::new(format_args!("{} answered with {what}; is this the gateway's address?", self.base))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let base = self.base.as_str().trim_end_matches('/');
        Failure::new(format_args!(
            "no gateway answers at {base}: {error}\n  start one with `airlock serve`, or name where it is with --url or \
             in AIRLOCK_URL"
        ))
    }
}

/// A request that is being put together.
pub(super) struct Ask<'a> {
    client: &'a Client,
    method: Method,
    url: Url,
    headers: Builder,
    body: SendBody<'static>,
}

impl Ask<'_> {
    pub(super) fn query(mut self, key: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(key, value);
        self
    }

    pub(super) fn header(self, name: header::HeaderName, value: &str) -> Self {
        Self { headers: self.headers.header(name, value), ..self }
    }

    pub(super) fn json(self, body: &Value) -> Self {
        let text = std::io::Cursor::new(body.to_string().into_bytes());
        let length = text.get_ref().len();
        self.header(header::CONTENT_TYPE, "application/json").body(text, length)
    }

    /// A body of so many bytes.
    pub(super) fn body(self, reader: impl Read + 'static, length: usize) -> Self {
        let ask = self.header(header::CONTENT_LENGTH, &length.to_string());
        Self { body: SendBody::from_owned_reader(reader), ..ask }
    }

    pub(super) fn send(self) -> Result<Answer, Failure> {
        let Self { client, method, url, headers, body } = self;
        let key = format!("Bearer {}", client.key);
        let request = headers.method(method).uri(url.as_str()).header(header::AUTHORIZATION, key).body(body);
        let request =
            request.map_err(|_| Failure::new("the key holds what no key does: is it the right one?"))?;
        let answer = client.agent.run(request);
        let mut answer = answer.map_err(|error| client.unreachable(&error))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let text = text.map_err(|error| client.unreachable(&error))?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text)
                .map_err(|_| client.strange(format_args!("status {status} and no JSON")))?,
        };
        Ok(Answer { status, body })
    }
}

/// An answer, whatever it says.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What it says, or why not.
    pub(super) fn good(self) -> Result<Value, Failure> {
        if self.is_good() { Ok(self.body) } else { Err(refusal::failure(self.status, &self.body)) }
    }
}
