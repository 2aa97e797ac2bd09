//! The smallest middleware of the world `request-middleware`, without the SDK: it hands on what it gets and gives
//! back what it is given, the very handle of a stream included.

mod bindings {
    wit_bindgen::generate!({
        world: "request-middleware",
        path: "../../wit",
        generate_all,
    });
}

use bindings::airlock::adaptor::common::{AdaptorError, EndpointInfo, Task};
use bindings::airlock::adaptor::endpoint as next;
use bindings::airlock::adaptor::replies::Reply;

struct Through;

impl bindings::exports::airlock::adaptor::endpoint::Guest for Through {
    fn validate(endpoint: EndpointInfo) -> Result<(), AdaptorError> {
        next::validate(&endpoint)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        next::submit_task(&endpoint, &task)
    }

    fn submit_streaming_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        next::submit_streaming_task(&endpoint, &task)
    }
}

bindings::export!(Through with_types_in bindings);
