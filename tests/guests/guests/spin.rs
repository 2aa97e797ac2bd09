//! Never returns from `submit-task`. A streaming task gets one event; the next call never returns.

use airlock_adaptor::serde_json::json;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::{chunk, spin};

struct Spin;

impl EndpointAdaptor for Spin {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(_: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        spin()
    }

    fn submit_streaming_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let delta =
            json!([{"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": null}]);
        let mut first = Some(chunk(&endpoint.model, delta).to_string().into_bytes());
        Ok(Reply::events(move || match first.take() {
            Some(event) => Ok(Some(event)),
            None => spin(),
        }))
    }
}

airlock_adaptor::export_endpoint!(Spin);
