//! Why an outbound call failed.

use std::{io, time::Duration};

use serde::{Deserialize, Serialize};

use crate::FormFault;

/// Why an outbound call failed. The texts may be shown to clients: they name no address that the
/// endpoint's configuration does not name.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "detail")]
pub enum EgressError {
    /// The grant does not cover this request.
    #[error("the adaptor may not contact this address: {0}")]
    Denied(String),
    /// No connection could be made.
    #[error("the backend could not be reached: {0}")]
    Unreachable(String),
    /// No response head in time.
    #[error("the backend sent no response within {0:?}")]
    HeadTimeout(Duration),
    /// Silence inside a body.
    #[error("the backend sent nothing for {0:?} in the middle of its response")]
    IdleTimeout(Duration),
    /// The connection broke.
    #[error("the connection to the backend broke: {0}")]
    Disconnected(String),
    /// The response body is over the limit.
    #[error("the backend's response is larger than {0} bytes")]
    TooLarge(u64),
    /// The response body is not in the coding that its head names.
    #[error("the backend's answer cannot be decoded: {0}")]
    Undecodable(String),
    /// Too many outbound calls are open: the tenant's, or the gateway's.
    #[error("{0} outbound calls are open, and no more may be")]
    Busy(usize),
    /// The tenant has sent as many bytes to backends as it may in a day.
    #[error("the tenant has sent {0} bytes to backends today, and may not send more")]
    DayUsedUp(u64),
    /// The adaptor wrote a request body over the limit.
    #[error("the adaptor's request to the backend is too large")]
    RequestTooLarge,
    /// The client's form did not go out.
    #[error(transparent)]
    #[serde(skip)]
    Form(FormFault),
    /// No token for the backend could be had.
    #[error("the gateway got no token for the backend: {0}")]
    Credential(String),
    /// The adaptor used up its outbound calls.
    #[error("the adaptor made more than {0} outbound calls for one request")]
    CallLimit(u32),
}

impl EgressError {
    /// HTTP status for the client.
    pub fn status(&self) -> u16 {
        match self {
            Self::HeadTimeout(_) | Self::IdleTimeout(_) => 504,
            Self::Busy(_) => 503,
            Self::DayUsedUp(_) => 429,
            Self::Form(FormFault::TooLarge(_)) => 413,
            Self::Form(FormFault::Malformed { .. } | FormFault::Unreadable(_) | FormFault::Unsigned) => 400,
            Self::Denied(_)
            | Self::Unreachable(_)
            | Self::Disconnected(_)
            | Self::TooLarge(_)
            | Self::Undecodable(_)
            | Self::RequestTooLarge
            | Self::Form(FormFault::Spent | FormFault::Over)
            | Self::Credential(_)
            | Self::CallLimit(_) => 502,
        }
    }

    /// Stable code, as in `wit/upstream.wit`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied(_) => "egress_denied",
            Self::Unreachable(_) => "upstream_unreachable",
            Self::HeadTimeout(_) | Self::IdleTimeout(_) => "upstream_timeout",
            Self::Disconnected(_) => "upstream_disconnected",
            Self::TooLarge(_) => "response_too_large",
            Self::Undecodable(_) => "upstream_bad_response",
            Self::RequestTooLarge => "upstream_request_too_large",
            Self::Form(fault) => fault.code(),
            Self::Credential(_) => "upstream_auth_error",
            Self::Busy(_) => "overloaded",
            Self::DayUsedUp(_) => "insufficient_quota",
            Self::CallLimit(_) => "outbound_call_limit",
        }
    }

    pub(crate) fn connect(error: &io::Error) -> Self {
        Self::Unreachable(match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused".into(),
            io::ErrorKind::TimedOut => "no connection in time".into(),
            _ => error.to_string(),
        })
    }

    pub(crate) fn hyper(error: &hyper::Error) -> Self {
        use std::error::Error as _;
        if let Some(own) = error.source().and_then(own) {
            return own.clone();
        }
        let cause = error.source().map(|c| format!(": {c}")).unwrap_or_default();
        Self::Disconnected(format!("{error}{cause}"))
    }
}

/// What this room itself ended an exchange with: in a body, or in a connection.
pub(super) fn own<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a EgressError> {
    let in_io = || cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref();
    cause.downcast_ref().or_else(in_io)
}
