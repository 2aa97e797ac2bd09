//! Replies with what the standard library draws for the keys of a hash map: `{"drawn":n}`.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use airlock_adaptor::serde_json::json;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};

struct Chance;

impl EndpointAdaptor for Chance {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(_: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        Reply::json(&json!({"drawn": RandomState::new().build_hasher().finish()}))
    }
}

airlock_adaptor::export_endpoint!(Chance);
