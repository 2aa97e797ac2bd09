//! Runs a task on the first candidate that answers.

use std::sync::Arc;

use airlock_sandbox::{Answer, Egress, EgressError, Endpoint, Fault, Form, FormFault, Task};
use http::StatusCode;

use crate::catalog::{Backend, CatalogEndpoint};

/// An answer, and who gave it.
pub struct Dispatched {
    /// The endpoint that answered.
    pub endpoint: Arc<CatalogEndpoint>,
    /// The version of its adaptor that did; none without an adaptor.
    pub version: Option<Arc<Endpoint>>,
    /// Its answer. No byte of it has been read.
    pub answer: Result<Answer, Fault>,
}

/// Tries candidates in turn. The next one is asked only where this one certainly did no work for the
/// client: it could not be reached, its sandbox failed, or it said that it is too busy. `turn` decides which of an
/// adaptor's versions gets the task, where one is on trial. Each is told to `asking` before it is asked.
pub async fn dispatch(
    egress: &Egress,
    candidates: Vec<Arc<CatalogEndpoint>>,
    turn: usize,
    task: &Arc<Task>,
    asking: impl Fn(&CatalogEndpoint),
) -> Option<Dispatched> {
    let mut last = None;
    let mut candidates = candidates.into_iter().peekable();
    while let Some(endpoint) = candidates.next() {
        asking(&endpoint);
        let (version, answer) = run(egress, &endpoint, turn, task).await;
        // A form that was begun to be sent is gone.
        let is_whole = task.form.as_ref().is_none_or(Form::is_whole);
        if candidates.peek().is_some() && is_whole && is_worth_another(&answer) {
            tracing::warn!(
                request_id = %task.id, endpoint = %endpoint.slug, cause = %cause(&answer),
                "an endpoint failed; the next one is tried"
            );
            last = Some(Dispatched { endpoint, version, answer });
            continue;
        }
        return Some(Dispatched { endpoint, version, answer });
    }
    last
}

async fn run(
    egress: &Egress,
    endpoint: &CatalogEndpoint,
    turn: usize,
    task: &Arc<Task>,
) -> (Option<Arc<Endpoint>>, Result<Answer, Fault>) {
    match &endpoint.backend {
        Backend::Adaptor(deployed) => {
            let version = deployed.pick(turn);
            (Some(Arc::clone(version)), version.run(egress, task).await)
        }
        #[cfg(feature = "native-path")]
        Backend::Native(native) => (None, native.run(egress, task).await),
    }
}

fn is_worth_another(answer: &Result<Answer, Fault>) -> bool {
    match answer {
        Ok(Answer::Upstream(response)) => matches!(
            response.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE
        ),
        Ok(_) => false,
        // Another target may be another tenant's.
        Err(Fault::DayUsedUp { .. } | Fault::Egress(EgressError::DayUsedUp(_))) => true,
        Err(Fault::Egress(error)) => {
            matches!(error, EgressError::Unreachable(_) | EgressError::Form(FormFault::Unsigned))
        }
        Err(Fault::Reported(error)) => matches!(error.status, 429 | 502 | 503),
        Err(Fault::Overloaded { .. } | Fault::Timeout) => false,
        Err(Fault::Trap(_) | Fault::CpuLimit | Fault::MemoryLimit | Fault::BadOutput(_)) => true,
    }
}

fn cause(answer: &Result<Answer, Fault>) -> String {
    match answer {
        Ok(Answer::Upstream(response)) => response.status.to_string(),
        Ok(_) => String::new(),
        Err(fault) => fault.to_string(),
    }
}
