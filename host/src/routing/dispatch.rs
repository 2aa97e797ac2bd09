//! Runs a task on one endpoint.

use std::sync::Arc;

use airlock_sandbox::{Answer, Egress, Endpoint, Fault, Task};

use crate::catalog::{Backend, CatalogEndpoint};

/// Decides whether a request may go to an endpoint at this moment, and counts it there if so: what it had of the endpoint
/// before is given back.
pub trait Admit: Send {
    /// Whether it may.
    fn admit(&mut self, endpoint: &CatalogEndpoint) -> impl Future<Output = bool> + Send;

    /// It goes there now, and nobody will say what came of it: it has cost what was reserved.
    fn charge(&mut self);
}

/// An answer, and which version of the adaptor gave it; none without an adaptor. No byte of it has been read. `turn`
/// decides which version gets the task, where one is on trial.
pub async fn dispatch(
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
