//! Takes memory until it is stopped or the host refuses more: then it aborts. A streaming task does the same.

use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::take_memory;

struct Grow;

impl EndpointAdaptor for Grow {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(_: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        take_memory()
    }
}

airlock_adaptor::export_endpoint!(Grow);
