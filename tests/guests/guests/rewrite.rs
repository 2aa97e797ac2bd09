//! Sends the task upstream under the direct API's configuration. A stream is parsed event by event
//! (serde_json), the content of every delta made upper-case, and each event emitted anew. Anything
//! else, and a response that is no success, is relayed unread.

use airlock_adaptor::direct_api::DirectApi;
use airlock_adaptor::serde_json::{self, Value};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, sse, upstream};

struct Rewrite;

impl EndpointAdaptor for Rewrite {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        DirectApi::new(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        Ok(Reply::Relay(send(&endpoint, &task)?))
    }

    fn submit_streaming_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let response = send(&endpoint, &task)?;
        if !upstream::is_success(&response) {
            return Ok(Reply::Relay(response));
        }
        let mut events = sse::Events::new(response);
        Ok(Reply::events(move || events.next_event()?.map(|event| upper_case(&event.data)).transpose()))
    }
}

fn send(endpoint: &EndpointInfo, task: &Task) -> Result<upstream::Response, AdaptorError> {
    upstream::send(&DirectApi::new(endpoint)?.request(task)?)
}

/// One event's payload with the content of its deltas in capitals.
fn upper_case(payload: &[u8]) -> Result<Vec<u8>, AdaptorError> {
    let bad =
        |error| AdaptorError::bad_upstream("upstream_bad_event", format!("an event is not JSON: {error}"));
    let mut event: Value = serde_json::from_slice(payload).map_err(bad)?;
    for choice in event.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::String(content)) = choice.pointer_mut("/delta/content") {
            *content = content.to_uppercase();
        }
    }
    serde_json::to_vec(&event).map_err(bad)
}

airlock_adaptor::export_endpoint!(Rewrite);
