//! `/health`: the process lives. `/ready`: it takes requests.

use axum::{Json, extract::State, response::IntoResponse, response::Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{gateway::Worker, tenants::DEFAULT_TENANT};

pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// 503 while it drains, so that a load balancer stops sending.
pub(super) async fn ready(State(worker): State<Worker>) -> Response {
    let gateway = worker.gateway();
    if gateway.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "draining" }))).into_response();
    }
    let catalog = gateway.catalog(DEFAULT_TENANT);
    let body = json!({
        "status": "ready",
        "clusters": catalog.clusters().len(),
        "endpoints": catalog.endpoints().count(),
    });
    Json(body).into_response()
}
