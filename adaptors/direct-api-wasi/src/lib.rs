//! The direct API over `wasi:http`: the same configuration and the same request as `direct-api`, sent
//! by the adaptor itself, and the answer relayed unread. For comparison, and as an example of the long
//! way out; `direct-api` is cheaper.

use airlock_adaptor::direct_api::DirectApi;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, outgoing};

struct DirectWasi;

impl EndpointAdaptor for DirectWasi {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        DirectApi::new(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let request = DirectApi::new(&endpoint)?.request(&task)?;
        if task.operation.takes_form() {
            // The host has it, and no adaptor.
            return Ok(Reply::Forward(request));
        }
        let response = outgoing::send(&request, &task.body)?;
        Ok(Reply::Relay(outgoing::adopt(response)?))
    }
}

airlock_adaptor::export_endpoint!(DirectWasi);
