//! `GET /list-endpoints`, `/{cluster}/jobs` and `/status`: what there is, what runs, what is up.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Extension, Path, State},
};
use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::{
    api::{error::ApiError, extract::RequestId},
    auth::Scope,
    gateway::Worker,
    jobs::Report,
    routing::{VisibleCluster, public_status, visible_clusters},
    tenants::DEFAULT_TENANT,
};

pub(super) async fn list_endpoints(
    State(worker): State<Worker>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.keys().authenticate_for(Scope::Inference, &headers)?;
    let clusters = visible_clusters(&gateway.catalog(&caller.tenant), &caller);
    let clusters: Map<String, Value> =
        clusters.into_iter().map(|(name, cluster)| (name.clone(), listed(&name, &cluster))).collect();
    Ok(Json(json!({ "clusters": clusters })))
}

fn listed(name: &str, cluster: &VisibleCluster) -> Value {
    let operations: Vec<String> = cluster.operations.iter().map(|o| format!("/v1/{}", o.path())).collect();
    let framework = |models: &Vec<String>| json!({ "models": models, "endpoints": operations });
    let frameworks: Map<String, Value> =
        cluster.frameworks.iter().map(|(name, models)| (name.clone(), framework(models))).collect();
    json!({ "base_url": format!("/resource_server/{name}"), "frameworks": frameworks })
}

pub(super) async fn jobs(
    State(worker): State<Worker>,
    Path(cluster): Path<String>,
    Extension(RequestId(id)): Extension<RequestId>,
    headers: HeaderMap,
) -> Result<Json<Report>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.keys().authenticate_for(Scope::Inference, &headers)?;
    let report = gateway
        .jobs()
        .report(&gateway.catalog(&caller.tenant), worker.egress(), &id, &cluster, &caller)
        .await;
    report.map(Json).map_err(|error| {
        let error = ApiError::from(error);
        tracing::warn!(request_id = %id, cluster, code = error.code(), detail = error.detail(), "no jobs");
        error
    })
}

/// Without a key: clusters without access rules only.
pub(super) async fn status(State(worker): State<Worker>) -> Json<BTreeMap<String, bool>> {
    Json(public_status(&worker.gateway().catalog(DEFAULT_TENANT)))
}
