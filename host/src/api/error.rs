//! The one table of errors. `docs/errors.md` is made from it (`tests/it/docs.rs` checks that it is so).

use std::time::Duration;

use airlock_sandbox::{EgressError, Fault};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{
    auth::AuthError,
    relay::{RelayError, Rendered, UpstreamFailure},
    routing::RouteError,
};

/// Longer waits are not obeyed: the official client gives up at once when it is told more.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);
/// What a client is told to wait where nobody knows better.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Every kind of error that a client can get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "`row` says what each is")]
pub enum ErrorKind {
    MissingKey,
    InvalidKey,
    InvalidJson,
    InvalidValue,
    MissingParameter,
    UnreadableBody,
    BodyTooLarge,
    NotFound,
    MethodNotAllowed,
    ClusterNotFound,
    UnsupportedFramework,
    ModelNotFound,
    UnsupportedOperation,
    UpstreamError,
    UpstreamAuth,
    UpstreamBadResponse,
    UpstreamUnreachable,
    UpstreamTimeout,
    UpstreamDisconnected,
    ResponseTooLarge,
    OutboundCallLimit,
    EgressDenied,
    AdaptorReported,
    AdaptorTrap,
    AdaptorBadOutput,
    AdaptorMemoryLimit,
    AdaptorCpuLimit,
    AdaptorTimeout,
    AnswerTimeout,
    Overloaded,
    Internal,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// HTTP status.
    pub status: StatusCode,
    /// `error.type`.
    pub kind: &'static str,
    /// `error.code`.
    pub code: &'static str,
    /// When a client gets it, and what to do.
    pub when: &'static str,
}

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";

impl ErrorKind {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 31] = [
        Self::MissingKey,
        Self::InvalidKey,
        Self::InvalidJson,
        Self::InvalidValue,
        Self::MissingParameter,
        Self::UnreadableBody,
        Self::BodyTooLarge,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::ClusterNotFound,
        Self::UnsupportedFramework,
        Self::ModelNotFound,
        Self::UnsupportedOperation,
        Self::UpstreamError,
        Self::UpstreamAuth,
        Self::UpstreamBadResponse,
        Self::UpstreamUnreachable,
        Self::UpstreamTimeout,
        Self::UpstreamDisconnected,
        Self::ResponseTooLarge,
        Self::OutboundCallLimit,
        Self::EgressDenied,
        Self::AdaptorReported,
        Self::AdaptorTrap,
        Self::AdaptorBadOutput,
        Self::AdaptorMemoryLimit,
        Self::AdaptorCpuLimit,
        Self::AdaptorTimeout,
        Self::AnswerTimeout,
        Self::Overloaded,
        Self::Internal,
    ];

    /// Its line of the table. No `_` arm: a new kind has to be classified to compile.
    #[rustfmt::skip]
    pub const fn row(self) -> Row {
        const fn row(status: StatusCode, kind: &'static str, code: &'static str, when: &'static str) -> Row {
            Row { status, kind, code, when }
        }
        use StatusCode as S;
        match self {
            Self::MissingKey => row(S::UNAUTHORIZED, INVALID, "invalid_api_key", "No `Authorization: Bearer` header. Send an API key; `airlock keys create` makes one."),
            Self::InvalidKey => row(S::UNAUTHORIZED, INVALID, "invalid_api_key", "The key is unknown or revoked."),
            Self::InvalidJson => row(S::BAD_REQUEST, INVALID, "invalid_json", "The body is not one JSON object; the message says where it breaks."),
            Self::InvalidValue => row(S::BAD_REQUEST, INVALID, "invalid_value", "A known field has a wrong type or is out of range; `param` names it."),
            Self::MissingParameter => row(S::BAD_REQUEST, INVALID, "missing_required_parameter", "A field that the operation needs is absent; `param` names it."),
            Self::UnreadableBody => row(S::BAD_REQUEST, INVALID, "unreadable_body", "The connection broke, or fell silent for 30 seconds, while the body was sent."),
            Self::BodyTooLarge => row(S::PAYLOAD_TOO_LARGE, INVALID, "request_too_large", "The body is over the limit (`max_body_bytes`)."),
            Self::NotFound => row(S::NOT_FOUND, INVALID, "not_found", "There is no such route."),
            Self::MethodNotAllowed => row(S::METHOD_NOT_ALLOWED, INVALID, "method_not_allowed", "The route exists, for another method."),
            Self::ClusterNotFound => row(S::NOT_FOUND, INVALID, "cluster_not_found", "The path names a cluster that does not exist."),
            Self::UnsupportedFramework => row(S::BAD_REQUEST, INVALID, "unsupported_framework", "The path names a framework that its cluster does not have."),
            Self::ModelNotFound => row(S::NOT_FOUND, INVALID, "model_not_found", "The model does not exist, or not for this key. `GET /v1/models` lists those that do."),
            Self::UnsupportedOperation => row(S::BAD_REQUEST, INVALID, "unsupported_endpoint", "The model's cluster does not offer this operation."),
            Self::UpstreamError => row(S::BAD_GATEWAY, "upstream_error", "upstream_error", "The backend answered with an error: its status, message, `type`, `param` and `code`, where it gave them."),
            Self::UpstreamAuth => row(S::BAD_GATEWAY, SERVER, "upstream_auth_error", "The backend refused the gateway's own credential. The operator has to correct it; the caller's key is fine."),
            Self::UpstreamBadResponse => row(S::BAD_GATEWAY, SERVER, "upstream_bad_response", "The backend's answer is not usable: no JSON, not the kind that was asked for, or a stream that broke off."),
            Self::UpstreamUnreachable => row(S::BAD_GATEWAY, SERVER, "upstream_unreachable", "No connection to the backend could be made."),
            Self::UpstreamTimeout => row(S::GATEWAY_TIMEOUT, SERVER, "upstream_timeout", "The backend did not begin to answer in time (`api_request_timeout`), or fell silent within an answer."),
            Self::UpstreamDisconnected => row(S::BAD_GATEWAY, SERVER, "upstream_disconnected", "The connection to the backend broke."),
            Self::ResponseTooLarge => row(S::BAD_GATEWAY, SERVER, "response_too_large", "The backend's answer is over the limit (`max_answer_bytes`, or `max_stream_bytes` for a stream)."),
            Self::OutboundCallLimit => row(S::BAD_GATEWAY, SERVER, "outbound_call_limit", "The adaptor made too many outbound calls for one request."),
            Self::EgressDenied => row(S::BAD_GATEWAY, SERVER, "egress_denied", "The adaptor tried to reach an address that its endpoint does not grant."),
            Self::AdaptorReported => row(S::BAD_GATEWAY, SERVER, "adaptor_error", "The adaptor answered with an error of its own: its status, code and message."),
            Self::AdaptorTrap => row(S::BAD_GATEWAY, SERVER, "adaptor_trap", "The adaptor crashed. The cause is in the log under the request id."),
            Self::AdaptorBadOutput => row(S::BAD_GATEWAY, SERVER, "adaptor_bad_output", "The adaptor's reply breaks its contract. The cause is in the log under the request id."),
            Self::AdaptorMemoryLimit => row(S::BAD_GATEWAY, SERVER, "adaptor_memory_limit", "The adaptor used up its memory (`sandbox.memory_mib`)."),
            Self::AdaptorCpuLimit => row(S::GATEWAY_TIMEOUT, SERVER, "adaptor_cpu_limit", "The adaptor used up its CPU time (`sandbox.cpu_ms`)."),
            Self::AdaptorTimeout => row(S::GATEWAY_TIMEOUT, SERVER, "adaptor_timeout", "The adaptor did not reply in time (`sandbox.wall_seconds`)."),
            Self::AnswerTimeout => row(S::GATEWAY_TIMEOUT, SERVER, "answer_timeout", "The answer was not complete in time (`max_answer_seconds`)."),
            Self::Overloaded => row(S::SERVICE_UNAVAILABLE, SERVER, "overloaded", "Every sandbox (`sandbox.slots`) or every outbound call (`egress.max_open_calls`) is in use. Try again after `Retry-After`."),
            Self::Internal => row(S::INTERNAL_SERVER_ERROR, SERVER, "internal_error", "A fault of the gateway itself. Please report it with the request id."),
        }
    }
}

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
        let body = json!({ "error": {
            "message": self.message, "type": self.type_, "param": self.param, "code": self.code,
        }});
        Bytes::from(body.to_string())
    }

    /// An error inside a stream.
    pub fn render(error: RelayError) -> Rendered {
        let error = Self::from(error);
        Rendered { code: error.code.clone(), json: error.body() }
    }

    /// Every 429 and 503 says when to try again.
    fn retry_after_seconds(&self) -> Option<u64> {
        let must = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let wait = self.retry_after.or(must.then_some(DEFAULT_RETRY_AFTER))?;
        let wait = wait.min(MAX_RETRY_AFTER);
        Some((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing => Self::new(
                ErrorKind::MissingKey,
                "You did not provide an API key. Send it as `Authorization: Bearer YOUR_KEY`.",
            ),
            AuthError::Invalid => Self::new(
                ErrorKind::InvalidKey,
                "Incorrect API key provided. Check that it is complete and has not been revoked.",
            ),
        }
    }
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> Self {
        let message = error.to_string();
        match error {
            RouteError::UnknownCluster(_) => Self::new(ErrorKind::ClusterNotFound, message),
            RouteError::UnknownFramework { .. } => Self::new(ErrorKind::UnsupportedFramework, message),
            RouteError::UnknownModel(_) => Self::new(ErrorKind::ModelNotFound, message).param("model"),
            RouteError::Unsupported { .. } => {
                Self::new(ErrorKind::UnsupportedOperation, message).param("model")
            }
        }
    }
}

impl From<RelayError> for ApiError {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::Upstream(failure) => failure.into(),
            RelayError::Fault(fault) => fault.into(),
            RelayError::BadAnswer(why) => Self::new(ErrorKind::UpstreamBadResponse, why),
            RelayError::Truncated => Self::new(ErrorKind::UpstreamBadResponse, error.to_string()),
            RelayError::TooLong(_) => Self::new(ErrorKind::AnswerTimeout, error.to_string()),
            RelayError::TooLarge(_) => Self::new(ErrorKind::ResponseTooLarge, error.to_string()),
        }
    }
}

impl From<UpstreamFailure> for ApiError {
    fn from(failure: UpstreamFailure) -> Self {
        let is_auth = matches!(failure.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if is_auth {
            let detail = format!("the backend answered {}: {}", failure.status, failure.message);
            return Self::hidden(ErrorKind::UpstreamAuth, detail);
        }
        let is_error = failure.status.is_client_error() || failure.status.is_server_error();
        if !is_error {
            // 1xx and 3xx are no answers; redirects are not followed.
            let message = format!("the backend answered {}", failure.status);
            return Self::new(ErrorKind::UpstreamBadResponse, message);
        }
        let error = Self::new(ErrorKind::UpstreamError, failure.message);
        Self {
            status: failure.status,
            type_: failure.kind.unwrap_or(error.type_),
            code: failure.code.unwrap_or(error.code),
            param: failure.param,
            retry_after: failure.retry_after,
            ..error
        }
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let detail = fault.to_string();
        match fault {
            Fault::Reported(error) => reported(error),
            Fault::Overloaded { .. } => Self::hidden(ErrorKind::Overloaded, detail),
            Fault::Trap(_) => Self::hidden(ErrorKind::AdaptorTrap, detail),
            Fault::CpuLimit => Self::hidden(ErrorKind::AdaptorCpuLimit, detail),
            Fault::MemoryLimit => Self::hidden(ErrorKind::AdaptorMemoryLimit, detail),
            Fault::Timeout => Self::hidden(ErrorKind::AdaptorTimeout, detail),
            Fault::BadOutput(_) => Self::hidden(ErrorKind::AdaptorBadOutput, detail),
            Fault::Egress(error) => {
                let kind = match error {
                    EgressError::Denied(_) => ErrorKind::EgressDenied,
                    EgressError::Unreachable(_) => ErrorKind::UpstreamUnreachable,
                    EgressError::HeadTimeout(_) | EgressError::IdleTimeout(_) => ErrorKind::UpstreamTimeout,
                    EgressError::Disconnected(_) => ErrorKind::UpstreamDisconnected,
                    EgressError::TooLarge(_) => ErrorKind::ResponseTooLarge,
                    EgressError::Busy(_) => ErrorKind::Overloaded,
                    EgressError::CallLimit(_) => ErrorKind::OutboundCallLimit,
                    EgressError::RequestTooLarge => ErrorKind::AdaptorBadOutput,
                };
                Self::new(kind, detail)
            }
        }
    }
}

/// An adaptor may choose any error status but 401, which would tell the client that its key is wrong.
fn reported(error: airlock_sandbox::AdaptorError) -> ApiError {
    let status = StatusCode::from_u16(error.status)
        .ok()
        .filter(|s| (400..600).contains(&s.as_u16()) && *s != StatusCode::UNAUTHORIZED);
    let base = ApiError::new(ErrorKind::AdaptorReported, error.message);
    let code = if error.code.is_empty() { base.code.clone() } else { error.code };
    let type_ = match status {
        Some(s) if s.is_client_error() => INVALID.to_owned(),
        _ => base.type_.clone(),
    };
    ApiError {
        status: status.unwrap_or(base.status),
        retry_after: error.retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
        code,
        type_,
        ..base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16) -> UpstreamFailure {
        UpstreamFailure {
            status: StatusCode::from_u16(status).unwrap(),
            message: "m".into(),
            kind: None,
            code: None,
            param: None,
            retry_after: Some(Duration::from_secs(3600)),
        }
    }

    #[test]
    fn a_providers_refusal_is_never_the_callers() {
        for status in [401, 403] {
            let error = ApiError::from(failure(status));
            assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
            assert_eq!(error.code(), "upstream_auth_error");
        }
    }

    #[test]
    fn every_429_and_503_says_when_to_try_again_within_two_minutes() {
        for error in [ApiError::from(failure(429)), ApiError::from(Fault::Overloaded { what: "x", limit: 1 })]
        {
            let response = error.into_response();
            let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=120).contains(&wait));
        }
    }

    #[test]
    fn an_adaptors_status_is_kept_within_reason() {
        let report = |status, code: &str| {
            reported(airlock_sandbox::AdaptorError {
                status,
                code: code.into(),
                message: String::new(),
                retry_after_ms: None,
            })
        };
        assert_eq!(report(418, "teapot").status().as_u16(), 418);
        assert_eq!(report(418, "teapot").code(), "teapot");
        for status in [0, 200, 401, 600, 65535] {
            assert_eq!(report(status, "").status(), StatusCode::BAD_GATEWAY, "{status}");
        }
        assert_eq!(report(503, "").code(), "adaptor_error");
    }
}
