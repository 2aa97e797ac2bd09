//! What goes between an adaptor and the backend of a test.

use serde::Serialize;
use serde_json::Value;

use super::double::upstream::Response;
use crate::{AdaptorError, sse};

/// A request as the backend gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The adaptor's headers. The host's own, and the credential, are not among them.
    pub headers: Vec<(String, String)>,
    /// The body, whoever gave it.
    pub body: Vec<u8>,
    /// How long the adaptor waits for the head of the answer, in milliseconds.
    pub timeout_ms: Option<u32>,
}

impl Sent {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let is_it = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().find(is_it).map(|(_, value)| value.as_str())
    }
}

/// What the backend of a test does.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It answers.
    Head {
        /// HTTP status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// The pieces of the body, as they arrive. A failure ends them.
        pieces: Vec<Result<Vec<u8>, AdaptorError>>,
    },
    /// It cannot be reached, or breaks off before it answers.
    Failed(AdaptorError),
}

impl Answer {
    /// Status 200 and JSON.
    pub fn json(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::with(200, "application/json", vec![Ok(body)]),
            Err(error) => Self::Failed(AdaptorError::bad_upstream("unusable_answer", error.to_string())),
        }
    }

    /// Any status, with a text.
    pub fn status(status: u16, text: &str) -> Self {
        Self::with(status, "text/plain", vec![Ok(text.as_bytes().to_vec())])
    }

    /// A stream of these events, each in a piece of its own, and `[DONE]`.
    pub fn events<'a>(events: impl IntoIterator<Item = &'a Value>) -> Self {
        let event = |value: &Value| sse::Event { name: String::new(), data: value.to_string().into_bytes() };
        let events = events.into_iter().map(|value| Ok(event(value).to_bytes()));
        Self::with(200, "text/event-stream", events.chain([Ok(sse::DONE.to_vec())]).collect())
    }

    /// Nobody answers: `upstream_unreachable`.
    pub fn unreachable() -> Self {
        Self::Failed(AdaptorError::bad_upstream("upstream_unreachable", "the backend cannot be reached"))
    }

    /// The same answer, broken off before the last of its pieces.
    #[must_use]
    pub fn broken_off(mut self) -> Self {
        if let Self::Head { pieces, .. } = &mut self {
            pieces.pop();
            let error = AdaptorError::bad_upstream("upstream_disconnected", "the backend broke off");
            pieces.push(Err(error));
        }
        self
    }

    fn with(status: u16, content_type: &str, pieces: Vec<Result<Vec<u8>, AdaptorError>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self::Head { status, headers, pieces }
    }

    pub(super) fn into_response(self) -> Result<Response, AdaptorError> {
        match self {
            Self::Head { status, headers, pieces } => Ok(Response::new(status, headers, pieces)),
            Self::Failed(error) => Err(error),
        }
    }
}
