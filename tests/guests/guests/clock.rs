//! Reads the clocks `config.count` (1000) times each and replies with all readings, in nanoseconds:
//! `{"monotonic":[…],"wall":[…],"resolution":n}`, the last one being the monotonic clock's own.

use std::time::{SystemTime, UNIX_EPOCH};

use airlock_adaptor::serde_json::json;
use airlock_adaptor::wasi::clocks::monotonic_clock;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::{number, settings};

struct Clock;

impl EndpointAdaptor for Clock {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let count = number(&settings(&endpoint), "count", 1000);
        let monotonic: Vec<u64> = (0..count).map(|_| monotonic_clock::now()).collect();
        let wall: Vec<u64> = (0..count).map(|_| wall_clock()).collect();
        let resolution = monotonic_clock::resolution();
        Reply::json(&json!({"monotonic": monotonic, "wall": wall, "resolution": resolution}))
    }
}

fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    since.as_nanos().try_into().expect("before the year 2554")
}

airlock_adaptor::export_endpoint!(Clock);
