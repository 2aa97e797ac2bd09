//! Who answers a middleware's calls: the next one in the chain, and in native tests a double of it.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::airlock::adaptor::{
    endpoint as next, replies::Reply as NextReply, task_body,
};

#[cfg(not(target_family = "wasm"))]
pub(crate) use airlock_adaptor::testing::double::{next, next as task_body, replies::Reply as NextReply};
