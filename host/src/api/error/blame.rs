//! Whose business each error is: a closed set of words, which records and metrics count by.

use super::{ApiError, ErrorKind};
use crate::ledger::Cause;

impl ErrorKind {
    /// Whose business it is. No `_` arm: a new kind has to be classified to compile.
    pub const fn cause(self) -> Cause {
        match self {
            Self::MissingKey
            | Self::InvalidKey
            | Self::InvalidJson
            | Self::InvalidForm
            | Self::InvalidValue
            | Self::MissingParameter
            | Self::UnknownParameter
            | Self::UnreadableBody
            | Self::BodyTooLarge
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::ClusterNotFound
            | Self::UnsupportedFramework
            | Self::ModelNotFound
            | Self::UnsupportedOperation
            | Self::BatchNotFound
            | Self::BatchUnavailable
            | Self::BatchOngoing
            | Self::CallbackSecret
            | Self::CallbackToken
            | Self::ResourceNotFound
            | Self::Conflict
            | Self::InvalidDefinition
            | Self::AdaptorRefused
            | Self::PullFailed
            | Self::RolloutRefused => Cause::Caller,
            Self::InsufficientScope
            | Self::Maintenance
            | Self::BatchQuota
            | Self::Forbidden
            | Self::TenantQuota
            | Self::DayUsedUp
            | Self::RateLimit
            | Self::TokensUsedUp => Cause::Policy,
            Self::OutboundCallLimit
            | Self::EgressDenied
            | Self::AdaptorReported
            | Self::AdaptorTrap
            | Self::AdaptorBadOutput
            | Self::AdaptorMemoryLimit
            | Self::AdaptorCpuLimit
            | Self::AdaptorTimeout => Cause::Adaptor,
            Self::JobsFailed
            | Self::BatchFailed
            | Self::UpstreamError
            | Self::UpstreamAuth
            | Self::UpstreamBadResponse
            | Self::UpstreamUnreachable
            | Self::UpstreamTimeout
            | Self::UpstreamDisconnected
            | Self::ResponseTooLarge
            | Self::AnswerTimeout => Cause::Upstream,
            Self::AuthUnavailable
            | Self::LimitsUnavailable
            | Self::SecretsUnavailable
            | Self::Overloaded
            | Self::StoreUnavailable
            | Self::Internal => Cause::Gateway,
        }
    }
}

impl ApiError {
    /// Whose business it is. What a backend or an adaptor refuses with a status for the client's mistakes is the client's.
    pub fn cause(&self) -> Cause {
        let is_relayed = matches!(self.kind, ErrorKind::UpstreamError | ErrorKind::AdaptorReported);
        let is_refused = self.status.is_client_error() && !matches!(self.status.as_u16(), 408 | 429);
        if is_relayed && is_refused { Cause::Caller } else { self.kind.cause() }
    }
}
