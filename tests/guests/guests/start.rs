//! Runs code while it is instantiated, before any call: the value under the key `start` of the key-value store
//! says what. `spin` never returns, `grow` takes memory without end, `trap` traps; anything else, or
//! nothing, is harmless. A task is answered with a completion whose content is `started`.

use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, key_value};
use airlock_guests::{completion, spin, take_memory};

struct Start;

/// What the component runs once its imports are there.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    match key_value::get("start").as_deref() {
        Some(b"spin") => spin(),
        Some(b"grow") => take_memory(),
        Some(b"trap") => std::process::abort(),
        _ => {}
    }
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
