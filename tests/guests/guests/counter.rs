//! Counts its calls in a static and replies `{"count":n}`: always 1, as every call gets a fresh
//! instance. A stream has three events, `{"count":n}` each: 2, 3, 4, as it keeps its instance.

use std::sync::atomic::{AtomicU32, Ordering};

use airlock_adaptor::serde_json::json;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};

struct Counter;

static CALLS: AtomicU32 = AtomicU32::new(0);

impl EndpointAdaptor for Counter {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        count();
        Ok(())
    }

    fn submit_task(_: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        Reply::json(&json!({"count": count()}))
    }

    fn submit_streaming_task(_: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        count();
        Ok(Reply::events_from((0..3).map(|_| Ok(json!({"count": count()}).to_string().into_bytes()))))
    }
}

fn count() -> u32 {
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

airlock_adaptor::export_endpoint!(Counter);
