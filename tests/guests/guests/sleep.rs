//! Waits on a wasi clock for `config.ms` milliseconds (an hour), without using the CPU, then replies
//! with a completion whose content is `awake`.

use airlock_adaptor::wasi::clocks::monotonic_clock;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::{completion, settings};

struct Sleep;

impl EndpointAdaptor for Sleep {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let milliseconds = settings(&endpoint)["ms"].as_u64().unwrap_or(3_600_000);
        monotonic_clock::subscribe_duration(milliseconds * 1_000_000).block();
        Reply::json(&completion(&endpoint.model, "awake"))
    }
}

airlock_adaptor::export_endpoint!(Sleep);
