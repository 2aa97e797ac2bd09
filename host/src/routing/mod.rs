//! Model and caller → the endpoints that may answer, and the running of a task on them.

mod candidates;
mod dispatch;
mod listing;
#[cfg(feature = "native-path")]
pub mod native;

pub use candidates::{RouteError, Scope, candidates, endpoints_for, may_use, open_cluster, visible_models};
pub use dispatch::{Dispatched, dispatch};
pub use listing::{VisibleCluster, public_status, visible_clusters};
