//! Errors on their way to a client: the table of their kinds, their form, and what they are made from.

mod blame;
mod causes;
mod forms;
mod table;

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use table::INSUFFICIENT_QUOTA;
pub use table::{ErrorKind, Row};

/// Longer waits are not obeyed: the official client gives up at once when it is told more.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);
/// Shorter ones are hardly a wait.
const MIN_RETRY_AFTER: Duration = Duration::from_millis(100);
/// What a client is told to wait where nobody knows better.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error on its way to a client.
#[derive(Debug)]
pub struct ApiError {
    kind: ErrorKind,
    status: StatusCode,
    type_: String,
    code: String,
    message: String,
    param: Option<String>,
    retry_after: Option<Duration>,
    /// For the log alone.
    detail: Option<String>,
    /// More for the client, beside OpenAI's fields.
    more: Option<Value>,
}

impl ApiError {
    /// An error with a sentence for the client.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let row = kind.row();
        Self {
            kind,
            status: row.status,
            type_: row.kind.to_owned(),
            code: row.code.to_owned(),
            message: message.into(),
            param: None,
            retry_after: None,
            detail: None,
            more: None,
        }
    }

    /// An error whose cause is the operator's business: the client gets the table's sentence.
    fn hidden(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(kind, kind.row().when) }
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Tells the client more, under `error.details`.
    #[must_use]
    pub fn details(mut self, more: Value) -> Self {
        self.more = Some(more);
        self
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// `error.code`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What the log says beside the code.
    pub fn detail(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.message)
    }

    /// OpenAI's error object.
    pub fn body(&self) -> Bytes {
        Bytes::from(self.openai().to_string())
    }

    fn openai(&self) -> Value {
        let mut body = json!({ "error": {
            "message": self.message, "type": self.type_, "param": self.param, "code": self.code,
        }});
        if let (Some(more), Some(error)) = (&self.more, body.get_mut("error").and_then(Value::as_object_mut))
        {
            error.insert("details".into(), more.clone());
        }
        body
    }

    /// Every 429 and 503 says when to try again.
    fn retry_after(&self) -> Option<Duration> {
        let must = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let wait = self.retry_after.or(must.then_some(DEFAULT_RETRY_AFTER))?;
        Some(wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER))
    }

    /// Whether the same request may fare better: what the official client obeys before it looks at the status. `None`
    /// leaves it to the client.
    fn should_retry(&self) -> Option<bool> {
        let is_busy = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        match self.kind {
            // A backend's quota is as used up as ours.
            _ if [&self.code, &self.type_].into_iter().any(|word| word == INSUFFICIENT_QUOTA) => Some(false),
            // Somebody has to change something first.
            ErrorKind::Maintenance
            | ErrorKind::UpstreamAuth
            | ErrorKind::EgressDenied
            | ErrorKind::OutboundCallLimit
            | ErrorKind::ResponseTooLarge
            | ErrorKind::SecretsUnavailable
            | ErrorKind::Conflict
            | ErrorKind::RolloutRefused => Some(false),
            ErrorKind::UpstreamUnreachable => Some(true),
            _ => is_busy.then_some(true),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = self.body();
        self.with_body(body)
    }
}

impl ApiError {
    fn with_body(&self, body: Bytes) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = self.retry_after() {
            let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            headers.insert(header::RETRY_AFTER, milliseconds.div_ceil(1000).into());
            headers.insert("retry-after-ms", milliseconds.into());
        }
        if let Some(should) = self.should_retry() {
            let value = if should { "true" } else { "false" };
            headers.insert("x-should-retry", HeaderValue::from_static(value));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_429_and_503_of_the_table_says_when_to_come_again() {
        let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        let rows = ErrorKind::ALL.into_iter().filter(|kind| busy.contains(&kind.row().status));
        let mut seen = 0;
        for kind in rows {
            let response = ApiError::new(kind, "m").into_response();
            let number = |name| response.headers()[name].to_str().unwrap().parse::<u64>().unwrap();
            assert!((1..=120).contains(&number("retry-after")), "{kind:?}");
            assert!((1..=120_000).contains(&number("retry-after-ms")), "{kind:?}");
            assert!(response.headers().contains_key("x-should-retry"), "{kind:?}");
            seen += 1;
        }
        assert!(seen >= 7, "{seen}");
    }
}
