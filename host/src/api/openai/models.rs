//! `GET /v1/models` and `/v1/models/{id}`; ids may hold slashes.

use axum::{
    Json,
    extract::{RawPathParams, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{
        error::{ApiError, ErrorKind as E},
        extract::ScopePath,
        openapi::{About, Api, named},
    },
    auth,
    gateway::Worker,
    routing::{RouteError, Scope, visible_models},
};

/// Models are not dated here; the field is required by OpenAI's schema.
const CREATED: u64 = 0;

/// OpenAI's.
#[derive(Serialize, ToSchema)]
struct Model {
    id: String,
    /// `model`
    object: &'static str,
    /// Models are not dated: 0.
    created: u64,
    owned_by: &'static str,
}

/// OpenAI's; it has no pages.
#[derive(Serialize, ToSchema)]
struct Models {
    /// `list`
    object: &'static str,
    data: Vec<Model>,
}

pub(super) fn routes(api: Api, base: &str) -> Api {
    let about = |summary| {
        let about = About::inference(summary);
        if base.contains('{') { about.fails(&[E::ClusterNotFound, E::UnsupportedFramework]) } else { about }
    };
    let all =
        about("The models that the key may use").answers(StatusCode::OK, "All of them.", named::<Models>);
    let one = about("One of them").answers(StatusCode::OK, "It.", named::<Model>).fails(&[E::ModelNotFound]);
    api.get(&format!("{base}/models"), list, all).get(&format!("{base}/models/{{*id}}"), retrieve, one)
}

async fn list(
    State(worker): State<Worker>,
    ScopePath(scope): ScopePath,
    headers: HeaderMap,
) -> Result<Json<Models>, ApiError> {
    let data = names(&worker, &scope, &headers).await?.into_iter().map(model).collect();
    Ok(Json(Models { object: "list", data }))
}

async fn retrieve(
    State(worker): State<Worker>,
    ScopePath(scope): ScopePath,
    params: RawPathParams,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let names = names(&worker, &scope, &headers).await?;
    let id = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, id)| id);
    if !names.iter().any(|name| name == id) {
        return Err(RouteError::UnknownModel(id.to_owned()).into());
    }
    Ok(Json(model(id.to_owned())).into_response())
}

async fn names(worker: &Worker, scope: &Scope, headers: &HeaderMap) -> Result<Vec<String>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.callers().authenticate_for(auth::Scope::Inference, headers).await?;
    Ok(visible_models(&gateway.catalog(&caller.tenant), scope, &caller)?)
}

fn model(id: String) -> Model {
    Model { id, object: "model", created: CREATED, owned_by: "airlock" }
}
