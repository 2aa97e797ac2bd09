//! Model and caller → the endpoints that may answer, and the running of a task on them.

mod candidates;
mod dispatch;
#[cfg(feature = "native-path")]
pub mod native;

pub use candidates::{RouteError, Scope, candidates, visible_models};
pub use dispatch::{Dispatched, dispatch};
