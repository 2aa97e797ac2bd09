//! The table: every kind of error that a client can get. `docs/errors.md` is made from it (`tests/it/docs.rs`
//! checks that it is so).

use http::StatusCode;

/// Every kind of error that a client can get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "`row` says what each is")]
pub enum ErrorKind {
    MissingKey,
    InvalidKey,
    InsufficientScope,
    InvalidJson,
    InvalidForm,
    InvalidValue,
    MissingParameter,
    UnknownParameter,
    UnreadableBody,
    BodyTooLarge,
    NotFound,
    MethodNotAllowed,
    ClusterNotFound,
    UnsupportedFramework,
    ModelNotFound,
    UnsupportedOperation,
    Maintenance,
    JobsFailed,
    BatchNotFound,
    BatchUnavailable,
    BatchQuota,
    BatchOngoing,
    BatchFailed,
    /// A callback without the gateway's secret.
    CallbackSecret,
    /// A callback that nobody waits for.
    CallbackToken,
    /// A role that is not enough.
    Forbidden,
    /// The tenant has no such thing.
    ResourceNotFound,
    /// Somebody else was first.
    Conflict,
    /// What would come of a change cannot be used.
    InvalidDefinition,
    /// A component that did not pass the gate.
    AdaptorRefused,
    /// A component that could not be pulled.
    PullFailed,
    /// The tenant has all that it may have.
    TenantQuota,
    /// The tenant has used what it may use in a day.
    DayUsedUp,
    /// A rate, or what may be open at a time.
    RateLimit,
    /// The caller's tokens of the day.
    TokensUsedUp,
    /// Nobody can say whether a limit is reached.
    LimitsUnavailable,
    /// A rollout that cannot be changed so.
    RolloutRefused,
    /// No master key.
    SecretsUnavailable,
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
    StoreUnavailable,
    AuthUnavailable,
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

pub(super) const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";
pub(super) const INSUFFICIENT_QUOTA: &str = "insufficient_quota";

impl ErrorKind {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 58] = [
        Self::MissingKey,
        Self::InvalidKey,
        Self::InsufficientScope,
        Self::InvalidJson,
        Self::InvalidForm,
        Self::InvalidValue,
        Self::MissingParameter,
        Self::UnknownParameter,
        Self::UnreadableBody,
        Self::BodyTooLarge,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::ClusterNotFound,
        Self::UnsupportedFramework,
        Self::ModelNotFound,
        Self::UnsupportedOperation,
        Self::Maintenance,
        Self::JobsFailed,
        Self::BatchNotFound,
        Self::BatchUnavailable,
        Self::BatchQuota,
        Self::BatchOngoing,
        Self::BatchFailed,
        Self::CallbackSecret,
        Self::CallbackToken,
        Self::Forbidden,
        Self::ResourceNotFound,
        Self::Conflict,
        Self::InvalidDefinition,
        Self::AdaptorRefused,
        Self::PullFailed,
        Self::TenantQuota,
        Self::DayUsedUp,
        Self::RateLimit,
        Self::TokensUsedUp,
        Self::LimitsUnavailable,
        Self::RolloutRefused,
        Self::SecretsUnavailable,
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
        Self::StoreUnavailable,
        Self::AuthUnavailable,
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
            Self::MissingKey => row(S::UNAUTHORIZED, INVALID, "invalid_api_key", "No `Authorization: Bearer` header. Send an API key, which `airlock keys create` makes, or a token of an issuer that the gateway knows."),
            Self::InvalidKey => row(S::UNAUTHORIZED, INVALID, "invalid_api_key", "The key or token is unknown, revoked, expired or made for something else; the message says which of these can be told."),
            Self::InsufficientScope => row(S::FORBIDDEN, INVALID, "insufficient_scope", "The key was made without the scope that the route needs: `inference` for everything about models."),
            Self::InvalidJson => row(S::BAD_REQUEST, INVALID, "invalid_json", "The body is not one JSON object; the message says where it breaks."),
            Self::InvalidForm => row(S::BAD_REQUEST, INVALID, "invalid_form", "The body is not the form (`multipart/form-data`) that the operation takes; the message says where it breaks. Its text field `model` is needed, once, before anything large."),
            Self::InvalidValue => row(S::BAD_REQUEST, INVALID, "invalid_value", "A known field has a wrong type or is out of range; `param` names it."),
            Self::MissingParameter => row(S::BAD_REQUEST, INVALID, "missing_required_parameter", "A field that the operation needs is absent; `param` names it."),
            Self::UnknownParameter => row(S::BAD_REQUEST, INVALID, "unknown_parameter", "The operation has no such field, and the model's cluster takes no others (`unknown_fields`); `param` names it."),
            Self::UnreadableBody => row(S::BAD_REQUEST, INVALID, "unreadable_body", "The connection broke, or fell silent for 30 seconds, while the body was sent; or an upload took more than five minutes."),
            Self::BodyTooLarge => row(S::PAYLOAD_TOO_LARGE, INVALID, "request_too_large", "The body is over the limit (`max_body_bytes`, or `max_form_bytes` for a form)."),
            Self::NotFound => row(S::NOT_FOUND, INVALID, "not_found", "There is no such route."),
            Self::MethodNotAllowed => row(S::METHOD_NOT_ALLOWED, INVALID, "method_not_allowed", "The route exists, for another method."),
            Self::ClusterNotFound => row(S::NOT_FOUND, INVALID, "cluster_not_found", "The path names a cluster that does not exist."),
            Self::UnsupportedFramework => row(S::BAD_REQUEST, INVALID, "unsupported_framework", "The path names a framework that its cluster does not have."),
            Self::ModelNotFound => row(S::NOT_FOUND, INVALID, "model_not_found", "The model does not exist, or not for this key. `GET /v1/models` lists those that do."),
            Self::UnsupportedOperation => row(S::BAD_REQUEST, INVALID, "unsupported_endpoint", "The model's cluster does not offer this operation."),
            Self::Maintenance => row(S::SERVICE_UNAVAILABLE, SERVER, "cluster_under_maintenance", "The operator has taken the cluster down (`maintenance`); the message says why."),
            Self::JobsFailed => row(S::INTERNAL_SERVER_ERROR, SERVER, "failed_to_get_cluster_jobs", "The cluster's adaptor could not tell what is running. Where the adaptor itself says why, its status and message are sent."),
            Self::BatchNotFound => row(S::NOT_FOUND, INVALID, "batch_not_found", "The caller has no batch of this id."),
            Self::BatchUnavailable => row(S::BAD_REQUEST, INVALID, "batch_unavailable", "The endpoint takes no batches: its adaptor cannot, or its configuration names nothing for them."),
            Self::BatchQuota => row(S::BAD_REQUEST, INVALID, "quota_exceeded", "The caller has as many active batches as are allowed (`batch.max_active_per_user`)."),
            Self::BatchOngoing => row(S::BAD_REQUEST, INVALID, "batch_ongoing", "An active batch of the caller reads the same input file, or the batch whose result is asked for is not done."),
            Self::BatchFailed => row(S::BAD_REQUEST, INVALID, "batch_failed", "The batch whose result is asked for failed; the message says why."),
            Self::CallbackSecret => row(S::UNAUTHORIZED, INVALID, "callback_unauthorized", "A callback of a backend does not carry the secret that this gateway was given (`INTERNAL_STREAMING_SECRET`)."),
            Self::CallbackToken => row(S::FORBIDDEN, INVALID, "callback_forbidden", "A callback of a backend names no request that waits for one, or shows the wrong token for it."),
            Self::Forbidden => row(S::FORBIDDEN, INVALID, "forbidden", "The role of the key is not enough for this; the message names the one that is."),
            Self::ResourceNotFound => row(S::NOT_FOUND, INVALID, "resource_not_found", "There is no such tenant, or it has no such thing. What belongs to another tenant does not exist either."),
            Self::Conflict => row(S::CONFLICT, INVALID, "conflict", "It exists already, or somebody has changed it since it was read (`if-match`). Read it again."),
            Self::InvalidDefinition => row(S::UNPROCESSABLE_ENTITY, INVALID, "invalid_definition", "What would come of the change cannot be used; `details` lists every mistake with its remedy. Nothing was changed."),
            Self::AdaptorRefused => row(S::UNPROCESSABLE_ENTITY, INVALID, "adaptor_refused", "The component did not pass the gate; `details.report` says at which check and how to mend it."),
            Self::DayUsedUp => row(S::TOO_MANY_REQUESTS, INSUFFICIENT_QUOTA, INSUFFICIENT_QUOTA, "The tenant that has the endpoint has used what it may use in a day: CPU time of adaptors, or bytes sent to backends. The day ends at 00:00 UTC."),
            Self::RateLimit => row(S::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", "A limit of the key, the user, the tenant or the model is reached: requests or tokens in some time, or requests at a time. The message says which, and whose. Try again after `Retry-After`."),
            Self::TokensUsedUp => row(S::TOO_MANY_REQUESTS, INSUFFICIENT_QUOTA, INSUFFICIENT_QUOTA, "The key, the user or the tenant has used its tokens of the day; the message says which. The day ends at 00:00 UTC."),
            Self::LimitsUnavailable => row(S::SERVICE_UNAVAILABLE, SERVER, "limits_unavailable", "Limits are counted in Redis, which cannot be reached, and the operator wants nothing to pass meanwhile (`limits.redis_lost`). Try again after `Retry-After`."),
            Self::PullFailed => row(S::UNPROCESSABLE_ENTITY, INVALID, "pull_failed", "The component cannot be pulled: the registry cannot be reached, does not give it, or has something else under the reference; the message says which, and what to do."),
            Self::TenantQuota => row(S::FORBIDDEN, INVALID, "tenant_quota", "The tenant has as many adaptors, or as many bytes of them, as its quota allows, or as many signers as there may be."),
            Self::RolloutRefused => row(S::CONFLICT, INVALID, "rollout_refused", "The rollout cannot be changed so: there is no version to go back to, or a trial has no sensible share."),
            Self::SecretsUnavailable => row(S::NOT_IMPLEMENTED, SERVER, "secrets_unavailable", "The gateway keeps no secrets: its operator has set no master key (`AIRLOCK_MASTER_KEY`, `master_key_file`)."),
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
            Self::Overloaded => row(S::SERVICE_UNAVAILABLE, SERVER, "overloaded", "Every sandbox (`sandbox.slots`) or every outbound call (`egress.max_open_calls`) is in use, or as many uploads are under way as may be. Try again after `Retry-After`."),
            Self::StoreUnavailable => row(S::SERVICE_UNAVAILABLE, SERVER, "store_unavailable", "The store cannot be read or written. Keys that are known go on; of others it cannot be told whether they are valid. Try again after `Retry-After`."),
            Self::AuthUnavailable => row(S::SERVICE_UNAVAILABLE, SERVER, "auth_unavailable", "Whoever gives out tokens cannot be asked about this one: away, slow, or asked about too many at once. Keys, and tokens that are known, go on. Try again after `Retry-After`."),
            Self::Internal => row(S::INTERNAL_SERVER_ERROR, SERVER, "internal_error", "A fault of the gateway itself. Please report it with the request id."),
        }
    }
}
