//! One request's way along its candidates: who is asked, and whether the next one is asked in its place.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use airlock_sandbox::{EgressError, Fault, FormFault};
use http::StatusCode;

use crate::{
    catalog::CatalogEndpoint,
    config::RoutingSection,
    ledger::{Cause, Held, Outcome, Record},
    pulse::{Attempt, Rules, Standing},
    relay::RelayError,
};

/// The candidates that are left.
pub struct Tries {
    left: VecDeque<Arc<CatalogEndpoint>>,
    rules: Rules,
    is_begun: bool,
}

/// One candidate that is asked. It counts as open there until it is dropped.
pub struct Try {
    /// The candidate.
    pub endpoint: Arc<CatalogEndpoint>,
    attempt: Attempt,
    rules: Rules,
}

/// What a failure says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Nothing about the endpoint: another would do no better.
    Final,
    /// The endpoint did nothing for the request, and is not at fault.
    Elsewhere,
    /// It did nothing for the request, as it cannot be reached.
    Unreached,
    /// It may have worked in vain; to ask another one costs what this one has cost.
    Failed,
}

impl Tries {
    /// In this order.
    pub fn of(candidates: Vec<Arc<CatalogEndpoint>>, settings: &RoutingSection) -> Self {
        let (rest, longest_rest) = settings.rests();
        let rules = Rules {
            failures: settings.failures,
            rest,
            longest_rest,
            retries_per_mille: settings.retries_per_mille(),
            retry_burst: settings.retry_burst,
        };
        Self { left: candidates.into(), rules, is_begun: false }
    }

    /// The next one that may be asked. One that rests, as may have been found out just now, comes after the others.
    pub fn candidate(&mut self) -> Option<Arc<CatalogEndpoint>> {
        let now = Instant::now();
        let ready = self.left.iter().position(|endpoint| endpoint.pulse.standing(now) == Standing::Ready);
        self.left.remove(ready.unwrap_or(0))
    }

    /// It is asked.
    pub fn ask(&mut self, endpoint: Arc<CatalogEndpoint>) -> Try {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let attempt = endpoint.pulse.ask(&self.rules, is_first, Instant::now());
        Try { endpoint, attempt, rules: self.rules }
    }

    /// Notes how it went. Whether the next one has to be asked: while the client has got no byte, and where that would not
    /// make a shortage worse. `can_repeat`: what the request carries is still whole.
    pub fn goes_on<T>(
        &mut self,
        tried: &mut Try,
        result: &Result<T, RelayError>,
        can_repeat: bool,
        request_id: &str,
    ) -> bool {
        let Err(error) = result else {
            tried.attempt.answered();
            return false;
        };
        let meaning = meaning(error);
        match meaning {
            Meaning::Final if is_an_answer(error) => tried.attempt.completed(),
            Meaning::Final | Meaning::Elsewhere => {}
            Meaning::Unreached | Meaning::Failed => {
                tried.attempt.fail(&self.rules, said(error), Instant::now());
            }
        }
        if meaning == Meaning::Final || !can_repeat || self.left.is_empty() {
            return false;
        }
        let slug = &tried.endpoint.slug;
        if meaning == Meaning::Failed && !tried.attempt.pulse().take_retry(&self.rules) {
            tracing::warn!(request_id, endpoint = %slug, cause = %error, "an endpoint failed; too many did to ask the next one");
            return false;
        }
        tracing::warn!(request_id, endpoint = %slug, cause = %error, "an endpoint failed; the next one is tried");
        true
    }
}

impl Held for Try {
    /// An answer that breaks off on its way is a failure too.
    fn settle(mut self: Box<Self>, record: &Record) {
        match (record.outcome, record.cause) {
            (Outcome::Completed, _) => self.attempt.completed(),
            (Outcome::Failed, Cause::Upstream | Cause::Adaptor) if !is_its_own(record) => {
                self.attempt.fail(&self.rules.clone(), None, Instant::now());
            }
            (Outcome::Failed | Outcome::ClientGone, _) => {}
        }
    }
}

/// What one request asks for may be too much, and a backend that tells of an error is there: neither says anything about
/// others' requests.
fn is_its_own(record: &Record) -> bool {
    matches!(record.error.as_deref(), Some("response_too_large" | "answer_timeout" | "upstream_error"))
}

/// A backend or an adaptor that refuses a request is there.
fn is_an_answer(error: &RelayError) -> bool {
    matches!(error, RelayError::Upstream(_) | RelayError::Told(_) | RelayError::Fault(Fault::Reported(_)))
}

fn meaning(error: &RelayError) -> Meaning {
    match error {
        RelayError::Upstream(failure) | RelayError::Told(failure) => of_status(failure.status),
        RelayError::Fault(fault) => of_fault(fault),
        RelayError::BadAnswer(_) | RelayError::Truncated => Meaning::Failed,
        RelayError::TooLong(_) | RelayError::TooLarge(_) => Meaning::Final,
    }
}

/// 401 and 403 are about the gateway's credential, not about the client.
fn of_status(status: StatusCode) -> Meaning {
    let is_of_endpoint = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    let is_refusal =
        matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if is_of_endpoint || is_refusal { Meaning::Failed } else { Meaning::Final }
}

fn of_fault(fault: &Fault) -> Meaning {
    match fault {
        // Another target may be another tenant's.
        Fault::DayUsedUp { .. }
        | Fault::Egress(EgressError::DayUsedUp(_) | EgressError::Form(FormFault::Unsigned)) => {
            Meaning::Elsewhere
        }
        Fault::Egress(EgressError::Unreachable(_)) => Meaning::Unreached,
        Fault::Egress(
            EgressError::HeadTimeout(_)
            | EgressError::IdleTimeout(_)
            | EgressError::Disconnected(_)
            | EgressError::Undecodable(_)
            | EgressError::Denied(_)
            | EgressError::CallLimit(_)
            | EgressError::Credential(_),
        ) => Meaning::Failed,
        Fault::Egress(
            EgressError::TooLarge(_)
            | EgressError::Busy(_)
            | EgressError::RequestTooLarge
            | EgressError::Form(_),
        )
        | Fault::Overloaded { .. } => Meaning::Final,
        Fault::Reported(error) => StatusCode::from_u16(error.status).map_or(Meaning::Failed, of_status),
        Fault::Trap(_) | Fault::CpuLimit | Fault::MemoryLimit | Fault::BadOutput(_) | Fault::Timeout => {
            Meaning::Failed
        }
    }
}

/// For how long it wants to be left alone.
fn said(error: &RelayError) -> Option<Duration> {
    match error {
        RelayError::Upstream(failure) | RelayError::Told(failure) => failure.retry_after,
        RelayError::Fault(Fault::Reported(error)) => {
            error.retry_after_ms.map(|ms| Duration::from_millis(ms.into()))
        }
        _ => None,
    }
}
