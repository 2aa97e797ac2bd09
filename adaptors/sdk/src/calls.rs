//! Who answers an adaptor's calls: the gateway in a component, and a double of it in native tests. Everything else in
//! this crate names the calls from here.

#[cfg(target_family = "wasm")]
pub use crate::bindings::{
    endpoint::exports::airlock::adaptor::replies,
    imports::airlock::adaptor::{callbacks, coalescing, key_value, logging, upstream},
};
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::double::{callbacks, coalescing, key_value, logging, replies, upstream};
