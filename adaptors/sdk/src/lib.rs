//! Write an Airlock adaptor in Rust.
//!
//! An adaptor implements [`EndpointAdaptor`] (it runs tasks) or [`ClusterAdaptor`] (it reports jobs),
//! names its type in [`export_endpoint!`] or [`export_cluster!`], and is built as a `cdylib` for
//! `wasm32-wasip2`. Every call gets a fresh instance: what must outlive a call goes to [`key_value`].
//!
//! ```
//! use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, direct_api::DirectApi};
//!
//! struct Polite;
//!
//! impl EndpointAdaptor for Polite {
//!     fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
//!         DirectApi::new(endpoint).map(drop)
//!     }
//!     fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
//!         let mut api = DirectApi::new(&endpoint)?;
//!         api.set_field("user", "please")?;
//!         Ok(Reply::Forward(api.request(&task)?))
//!     }
//! }
//!
//! airlock_adaptor::export_endpoint!(Polite);
//! ```
//!
//! Its tests run it in a plain `cargo test`, before a backend that is a closure: see [`testing`].
//!
//! A component that stands in front of another adaptor is written with the crate `airlock-middleware`.
//!
//! A cluster's report is made, or read from a backend's, with [`jobs`]; [`upstream::get_json`] fetches what
//! it is made from. The whole of `wasi:http` is there too, as [`wasi`]; [`outgoing`] makes it one call.

pub mod bindings;
mod calls;
pub mod chat;
pub mod config;
pub mod direct_api;
mod error;
mod export;
#[cfg(target_family = "wasm")]
mod exported;
pub mod jobs;
pub mod log;
pub mod object;
mod operation;
pub mod outgoing;
mod reply;
pub mod shared;
pub mod sse;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod translate;
pub mod upstream;

pub use bindings::batch::exports::airlock::adaptor::batch::{
    BatchInput, BatchProgress, BatchRequest, BatchState, SubmittedBatch,
};
pub use bindings::cluster::exports::airlock::adaptor::cluster::{ClusterInfo, Job, Jobs, ModelInfo};
pub use bindings::imports::airlock::adaptor::common::{
    AdaptorError, EndpointInfo, Operation, Task, UpstreamRequest, User,
};
pub use bindings::imports::wasi;
pub use calls::replies::{EventStream, Reply};
pub use calls::{callbacks, coalescing, key_value};
pub use config::config;
pub use export::{BatchAdaptor, ClusterAdaptor, EndpointAdaptor};
#[doc(hidden)]
pub use export::{is_batch, is_cluster, is_endpoint};
#[cfg(target_family = "wasm")]
pub use exported::Exported;
pub use reply::{EventSource, Events};
/// The versions the SDK uses, so that an adaptor needs no others.
pub use {serde, serde_json};
