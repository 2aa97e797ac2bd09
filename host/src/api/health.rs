//! `/health`: the process lives. `/ready`: it takes requests.

use axum::{Json, extract::State, response::IntoResponse, response::Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::{About, Api, named};
use crate::{gateway::Worker, tenants::DEFAULT_TENANT};

/// What there is.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`, `ready` or `draining`
    status: &'static str,
    /// Of the tenant `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    clusters: Option<usize>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoints: Option<usize>,
}

impl Health {
    const fn of(status: &'static str) -> Self {
        Self { status, clusters: None, endpoints: None }
    }
}

pub(super) fn routes(api: Api) -> Api {
    let ready = About::open("Whether it takes requests")
        .answers(StatusCode::OK, "It does.", named::<Health>)
        .answers(StatusCode::SERVICE_UNAVAILABLE, "It is about to stop.", named::<Health>);
    api.get("/health", health, about()).get("/ready", is_ready, ready)
}

/// What is said of `/health`.
pub(super) fn about() -> About {
    About::open("Whether the process lives").answers(StatusCode::OK, "It does.", named::<Health>)
}

pub(super) async fn health() -> impl IntoResponse {
    Json(Health::of("ok"))
}

/// 503 while it drains, so that a load balancer stops sending.
async fn is_ready(State(worker): State<Worker>) -> Response {
    let gateway = worker.gateway();
    if gateway.is_draining() {
        let later = [("retry-after", "1"), ("retry-after-ms", "1000")];
        return (StatusCode::SERVICE_UNAVAILABLE, later, Json(Health::of("draining"))).into_response();
    }
    let catalog = gateway.catalog(DEFAULT_TENANT);
    Json(Health {
        clusters: Some(catalog.clusters().len()),
        endpoints: Some(catalog.endpoints().count()),
        ..Health::of("ready")
    })
    .into_response()
}
