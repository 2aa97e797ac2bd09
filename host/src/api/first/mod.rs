//! FIRST's own routes, below `/resource_server`, in FIRST's shapes. Errors are OpenAI's, with FIRST's codes.

mod batches;
mod callbacks;
mod clusters;
mod whoami;

use axum::{
    Router,
    routing::{get, post},
};

use super::health;
use crate::gateway::Worker;

/// All of them, below `base`.
pub(super) fn routes(base: &str) -> Router<Worker> {
    let callbacks = format!("{base}/api/streaming");
    Router::new()
        .route(&format!("{callbacks}/data/"), post(callbacks::data))
        .route(&format!("{callbacks}/error/"), post(callbacks::error))
        .route(&format!("{callbacks}/done/"), post(callbacks::done))
        .route(&format!("{base}/health"), get(health::health))
        .route(&format!("{base}/status"), get(clusters::status))
        .route(&format!("{base}/whoami"), get(whoami::whoami))
        .route(&format!("{base}/list-endpoints"), get(clusters::list_endpoints))
        .route(&format!("{base}/{{cluster}}/jobs"), get(clusters::jobs))
        .route(&format!("{base}/{{cluster}}/{{framework}}/v1/batches"), post(batches::submit))
        .route(&format!("{base}/v1/batches"), get(batches::list))
        .route(&format!("{base}/v1/batches/{{id}}"), get(batches::status))
        .route(&format!("{base}/v1/batches/{{id}}/result"), get(batches::result))
}
