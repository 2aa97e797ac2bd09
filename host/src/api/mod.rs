//! The HTTP surface: routes, what they read, how errors look. No policy lives here.

mod admin;
mod cors;
mod edge;
pub mod error;
mod extract;
mod first;
mod health;
mod limits;
mod metrics;
mod openai;
mod openapi;
mod router;

/// For the fuzzer, which has no HTTP in front of it.
#[doc(hidden)]
pub use openai::ParsedRequest;
pub use openapi::Document;
pub use router::Surface;
