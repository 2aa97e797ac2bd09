//! What errors are made from: other rooms' failures, and which kind each is.

use std::time::Duration;

use airlock_sandbox::{EgressError, Fault, FormFault};
use http::StatusCode;
use serde_json::json;

use super::{ApiError, ErrorKind, MAX_RETRY_AFTER, table::INVALID};
use crate::{
    admission::Refusal,
    api::extract::too_large,
    auth::AuthError,
    batch::BatchError,
    intake::{Full, ReceiveError},
    jobs::JobsError,
    registry::PullError,
    relay::{RelayError, UpstreamFailure},
    routing::RouteError,
    store::StoreError,
    tenants::{RolloutError, SecretError, WriteError},
};

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
            AuthError::Expired => {
                Self::new(ErrorKind::InvalidKey, "This API key or token has expired. Ask for a new one.")
            }
            AuthError::Scope(scope) => Self::new(
                ErrorKind::InsufficientScope,
                format!("This API key was made without the scope `{}`, which this needs.", scope.as_str()),
            ),
            AuthError::Token(why) => {
                Self::new(ErrorKind::InvalidKey, format!("This token is refused: {why}."))
            }
            AuthError::Unavailable => Self::new(
                ErrorKind::AuthUnavailable,
                "It cannot be told at the moment whether this token is valid. Try again.",
            ),
            AuthError::StoreUnavailable => Self::new(
                ErrorKind::StoreUnavailable,
                "It cannot be told at the moment whether this API key is valid. Try again.",
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
            RouteError::Maintenance { .. } => Self {
                // Nothing changes within seconds here.
                retry_after: Some(MAX_RETRY_AFTER),
                ..Self::new(ErrorKind::Maintenance, message)
            },
            RouteError::UnknownModel(_) => Self::new(ErrorKind::ModelNotFound, message).param("model"),
            RouteError::Unsupported { .. } => {
                Self::new(ErrorKind::UnsupportedOperation, message).param("model")
            }
        }
    }
}

impl ApiError {
    /// No endpoint was asked.
    pub(in crate::api) fn not_admitted(refusal: Option<Refusal>) -> Self {
        refusal.map_or_else(|| Self::new(ErrorKind::Internal, "no endpoint was asked"), Self::from)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Rate { wait, .. } => {
                Self { retry_after: Some(wait), ..Self::new(ErrorKind::RateLimit, message) }
            }
            Refusal::UsedUp { .. } => {
                Self { retry_after: Some(MAX_RETRY_AFTER), ..Self::new(ErrorKind::TokensUsedUp, message) }
            }
            Refusal::Body(limit) => too_large(limit),
            Refusal::Unavailable => Self::new(ErrorKind::LimitsUnavailable, message),
        }
    }
}

impl From<JobsError> for ApiError {
    fn from(error: JobsError) -> Self {
        let fault = match error {
            JobsError::Route(error) => return error.into(),
            JobsError::Fault(fault) => fault,
        };
        let failed = Self::hidden(ErrorKind::JobsFailed, fault.to_string());
        match &*fault {
            Fault::Reported(reported) => {
                let said = self::reported(reported.clone());
                Self { status: said.status, message: said.message, retry_after: said.retry_after, ..failed }
            }
            Fault::Overloaded { .. } => Self::hidden(ErrorKind::Overloaded, fault.to_string()),
            Fault::DayUsedUp { .. } => used_up(fault.to_string()),
            _ => failed,
        }
    }
}

impl From<BatchError> for ApiError {
    fn from(error: BatchError) -> Self {
        let message = error.to_string();
        let kind = match error {
            BatchError::Route(error) => return error.into(),
            BatchError::Fault(fault) => return fault.into(),
            BatchError::Store(error) => return Self::hidden(ErrorKind::StoreUnavailable, error.to_string()),
            BatchError::NotAdmitted => ErrorKind::RateLimit,
            BatchError::Unavailable(_) => ErrorKind::BatchUnavailable,
            BatchError::QuotaExceeded(_) => ErrorKind::BatchQuota,
            BatchError::FileInUse(_) | BatchError::NotReady { .. } => ErrorKind::BatchOngoing,
            BatchError::Unknown(_) => ErrorKind::BatchNotFound,
            BatchError::Failed(_) => ErrorKind::BatchFailed,
        };
        Self::new(kind, message)
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Invalid(mistakes) => {
                // A line and a column would be those of a text that the client has never seen.
                let first = mistakes.0.first().map(|m| format!("{}: {}", m.place.file.display(), m.message));
                let all: Vec<_> = mistakes
                    .0
                    .iter()
                    .map(
                        |m| json!({ "where": m.place.file.display().to_string(), "message": m.message, "remedy": m.remedy }),
                    )
                    .collect();
                Self::new(ErrorKind::InvalidDefinition, first.unwrap_or_default())
                    .details(json!({ "mistakes": all }))
            }
            WriteError::NoTenant(_) => Self::new(ErrorKind::ResourceNotFound, error.to_string()),
            WriteError::Store(error) => error.into(),
            WriteError::Stopping => Self::new(ErrorKind::Overloaded, "The gateway is stopping."),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. } | StoreError::NameTaken(_) => {
                Self::new(ErrorKind::Conflict, error.to_string())
            }
            StoreError::UnknownTenant(tenant) => {
                Self::new(ErrorKind::ResourceNotFound, format!("There is no tenant `{tenant}`."))
            }
            StoreError::UnknownMember { .. } => {
                Self::new(ErrorKind::InvalidValue, error.to_string()).param("member")
            }
            error => Self::hidden(ErrorKind::StoreUnavailable, error.to_string()),
        }
    }
}

impl From<SecretError> for ApiError {
    fn from(error: SecretError) -> Self {
        Self::new(ErrorKind::SecretsUnavailable, error.to_string())
    }
}

impl From<RolloutError> for ApiError {
    fn from(error: RolloutError) -> Self {
        Self::new(ErrorKind::RolloutRefused, error.to_string())
    }
}

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        Self::new(ErrorKind::Overloaded, full.to_string())
    }
}

impl From<ReceiveError> for ApiError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::TooLarge(limit) => too_large(limit),
            ReceiveError::Disk(_) => Self::hidden(ErrorKind::StoreUnavailable, error.to_string()),
            error => {
                Self::new(ErrorKind::UnreadableBody, format!("The request body cannot be read: {error}."))
            }
        }
    }
}

impl From<PullError> for ApiError {
    fn from(error: PullError) -> Self {
        match error {
            PullError::Reference(why) => Self::new(ErrorKind::InvalidValue, why).param("reference"),
            PullError::Busy(why) => Self::new(ErrorKind::Overloaded, why),
            PullError::Component(_, error @ ReceiveError::Disk(_)) => error.into(),
            error => {
                Self::new(ErrorKind::PullFailed, format!("It cannot be pulled: {error}.")).param("reference")
            }
        }
    }
}

impl From<RelayError> for ApiError {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::Upstream(failure) | RelayError::Told(failure) => failure.into(),
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
            Fault::DayUsedUp { .. } => used_up(detail),
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
                    EgressError::Undecodable(_) => ErrorKind::UpstreamBadResponse,
                    EgressError::Credential(_) => return Self::hidden(ErrorKind::UpstreamAuth, detail),
                    EgressError::DayUsedUp(_) => return used_up(detail),
                    EgressError::Busy(_) => ErrorKind::Overloaded,
                    EgressError::CallLimit(_) => ErrorKind::OutboundCallLimit,
                    EgressError::RequestTooLarge => ErrorKind::AdaptorBadOutput,
                    EgressError::Form(fault) => return fault.into(),
                };
                Self::new(kind, detail)
            }
        }
    }
}

impl From<FormFault> for ApiError {
    fn from(fault: FormFault) -> Self {
        let text = fault.to_string();
        match fault {
            FormFault::Malformed { param, .. } => {
                Self { param: param.map(str::to_owned), ..Self::new(ErrorKind::InvalidForm, text) }
            }
            FormFault::TooLarge(limit) => too_large(limit),
            FormFault::Unreadable(_) => Self::new(ErrorKind::UnreadableBody, text),
            FormFault::Spent => Self::new(ErrorKind::AdaptorBadOutput, text),
            FormFault::Over => Self::new(ErrorKind::UpstreamDisconnected, text),
            FormFault::Unsigned => Self::new(ErrorKind::UnsupportedOperation, text),
        }
    }
}

/// How much another tenant may use is nobody's business: an endpoint may be shared.
fn used_up(detail: String) -> ApiError {
    ApiError { retry_after: Some(MAX_RETRY_AFTER), ..ApiError::hidden(ErrorKind::DayUsedUp, detail) }
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
    use axum::response::IntoResponse as _;

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
