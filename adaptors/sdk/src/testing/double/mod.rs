//! The gateway's side of the contract, in memory: the functions and resources that a component imports, by the same
//! names. Records are those of the contract.

pub mod callbacks;
pub mod coalescing;
pub mod key_value;
pub mod logging;
pub mod replies;
pub mod upstream;

/// What stands behind a middleware, and how it tells of another body.
pub mod next {
    use super::super::state::current;
    use crate::{AdaptorError, EndpointInfo, Reply, Task};

    /// Asks the next one about the configuration.
    pub fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        let next = current().next.get();
        (next.validate)(endpoint)
    }

    /// Runs a task on the next one.
    pub fn submit_task(endpoint: &EndpointInfo, task: &Task) -> Result<Reply, AdaptorError> {
        let next = current().next.get();
        (next.submit_task)(endpoint.clone(), task.clone())
    }

    /// Runs a streamed task on the next one.
    pub fn submit_streaming_task(endpoint: &EndpointInfo, task: &Task) -> Result<Reply, AdaptorError> {
        let next = current().next.get();
        (next.submit_streaming_task)(endpoint.clone(), task.clone())
    }

    /// Puts a body in the place of the task's own.
    pub fn replace(body: &[u8]) {
        current().task_body.replace(body.to_vec());
    }
}
