//! The HTTP surface: routes, what they read, how errors look. No policy lives here.

mod edge;
pub mod error;
mod extract;
mod health;
mod openai;
mod router;

pub use router::router;
