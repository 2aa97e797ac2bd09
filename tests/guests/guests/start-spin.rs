//! Never ends while it is instantiated.

use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::{completion, spin};

struct Start;

/// What the component runs once its imports are there.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    spin()
}

impl EndpointAdaptor for Start {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        Reply::json(&completion(&endpoint.model, "started"))
    }
}

airlock_adaptor::export_endpoint!(Start);
