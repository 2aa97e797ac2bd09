//! OpenAI's API.

mod fields;
pub(super) mod models;
mod request;
pub(super) mod tasks;

pub use request::ParsedRequest;
