//! What is known about one request.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use airlock_sandbox::{Costs, Operation};

use super::{Content, Trace};

/// Token counts, as backends report them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer was sent to its end.
    Completed,
    /// It ended in an error, before or within the answer.
    Failed,
    /// The client went away, whatever became of the answer then.
    ClientGone,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Failed, Self::ClientGone];

    /// For logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::ClientGone => "client_gone",
        }
    }
}

/// Whose business it is that a request did not complete. There are no others, so that alerts can count by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cause {
    /// Nobody's: it did.
    #[default]
    None,
    /// The caller's: the request is wrong, or its client went away.
    Caller,
    /// A rule of the operator's or the tenant's: rights, quotas, maintenance.
    Policy,
    /// The adaptor's.
    Adaptor,
    /// The backend's, or the way's to it.
    Upstream,
    /// The gateway's own, or that of what it needs.
    Gateway,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Caller, Self::Policy, Self::Adaptor, Self::Upstream, Self::Gateway];

    /// For logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Caller => "caller",
            Self::Policy => "policy",
            Self::Adaptor => "adaptor",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

/// Who answered a request, or failed to.
#[derive(Debug, Clone)]
pub struct Answerer {
    /// The tenant that has the endpoint; none without an adaptor.
    pub owner: Option<Arc<str>>,
    /// The endpoint's cluster.
    pub cluster: String,
    /// What its adaptor is called; none without one.
    pub adaptor: Option<Arc<str>>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Record {
    /// `x-request-id`.
    pub request_id: Arc<str>,
    /// When it arrived.
    pub at: SystemTime,
    /// Which API was called.
    pub operation: Operation,
    /// The key's name, once known.
    pub caller: Option<Arc<str>>,
    /// The caller's tenant, once known.
    pub tenant: Option<Arc<str>>,
    /// The caller's user, once known; with the tenant it is unique.
    pub user: Option<Arc<str>>,
    /// The key's id, once known.
    pub key_id: Option<Arc<str>>,
    /// The model as the client named it, once known; of a long name the beginning.
    pub model: Option<String>,
    /// The endpoint that answered, once known.
    pub endpoint: Option<Arc<str>>,
    /// More about that endpoint.
    pub answerer: Option<Answerer>,
    /// Whether events were asked for.
    pub stream: bool,
    /// HTTP status that the client got; 499 where it went before there was one.
    pub status: u16,
    /// The error's code.
    pub error: Option<String>,
    /// Whose business the error is.
    pub cause: Cause,
    /// What the client is not told about the error.
    pub detail: Option<String>,
    /// Token counts, where the backend gave any.
    pub usage: Option<Usage>,
    /// From the request's arrival to the first byte of the answer's body.
    pub first_byte: Option<Duration>,
    /// From the request's arrival to the end.
    pub duration: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// What adaptors and calls to backends used for it.
    pub costs: Costs,
    /// Its span, where traces are sent.
    pub trace: Option<Trace>,
    /// What was asked and answered, where the cluster wants that kept.
    pub content: Option<Box<Content>>,
}

/// Longest name of a model, in bytes: a client may write megabytes there.
const MAX_MODEL: usize = 256;

impl Record {
    /// Notes the model as the client named it.
    pub fn name_model(&mut self, model: &str) {
        self.model = Some(model.get(..model.floor_char_boundary(MAX_MODEL)).unwrap_or_default().to_owned());
    }

    /// When it arrived, in Unix milliseconds.
    pub fn at_millis(&self) -> i64 {
        let since = self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
