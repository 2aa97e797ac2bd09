//! Model and caller → the endpoints that may answer, and the running of a task on them.

mod candidates;
mod dispatch;
mod listing;
#[cfg(feature = "native-path")]
pub mod native;
mod order;
mod tries;

pub use candidates::{RouteError, Scope, candidates, endpoints_for, may_use, open_cluster, visible_models};
pub use dispatch::{Admit, dispatch};
pub use listing::{VisibleCluster, public_status, visible_clusters};
pub use order::{Session, Warmth, order};
pub use tries::{Tries, Try};
