//! Never returns from `submit-task`. A streaming task gets one event; the next call never returns.

use std::hint::black_box;

use airlock_adaptor::serde_json::json;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::chunk;

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

/// Burns CPU time for ever.
fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

airlock_adaptor::export_endpoint!(Spin);
