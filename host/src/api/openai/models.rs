//! `GET /v1/models` and `/v1/models/{id}`; ids may hold slashes.

use axum::{
    Json,
    extract::{RawPathParams, State},
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{
    api::{error::ApiError, extract::ScopePath},
    auth,
    gateway::Worker,
    routing::{RouteError, Scope, visible_models},
};

/// Models are not dated here; the field is required by OpenAI's schema.
const CREATED: u64 = 0;

pub(in crate::api) async fn list(
    State(worker): State<Worker>,
    ScopePath(scope): ScopePath,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let models: Vec<Value> = names(&worker, &scope, &headers)?.iter().map(|id| model(id)).collect();
    Ok(Json(json!({ "object": "list", "data": models })))
}

pub(in crate::api) async fn retrieve(
    State(worker): State<Worker>,
    ScopePath(scope): ScopePath,
    params: RawPathParams,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let names = names(&worker, &scope, &headers)?;
    let id = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, id)| id);
    if !names.iter().any(|name| name == id) {
        return Err(RouteError::UnknownModel(id.to_owned()).into());
    }
    Ok(Json(model(id)).into_response())
}

fn names(worker: &Worker, scope: &Scope, headers: &HeaderMap) -> Result<Vec<String>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.keys().authenticate_for(auth::Scope::Inference, headers)?;
    Ok(visible_models(&gateway.catalog(&caller.tenant), scope, &caller)?)
}

fn model(id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": CREATED, "owned_by": "airlock" })
}
