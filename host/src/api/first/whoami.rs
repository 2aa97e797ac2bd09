//! `GET /whoami`: who the gateway takes the caller for.

use axum::{Json, extract::State};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{
        error::ApiError,
        openapi::{About, Api, named},
    },
    gateway::Worker,
};

/// FIRST's user object. A caller with an API key comes from no identity provider, so those fields are empty.
#[derive(Serialize, ToSchema)]
struct User {
    id: String,
    name: String,
    username: String,
    user_group_uuids: Vec<String>,
    idp_id: &'static str,
    idp_name: &'static str,
    auth_service: &'static str,
}

pub(super) fn routes(api: Api, base: &str) -> Api {
    let about = About::keyed("Who the gateway takes the caller for");
    api.get(&format!("{base}/whoami"), whoami, about.answers(StatusCode::OK, "Them.", named::<User>))
}

async fn whoami(State(worker): State<Worker>, headers: HeaderMap) -> Result<Json<User>, ApiError> {
    let caller = worker.gateway().keys().authenticate(&headers)?;
    Ok(Json(User {
        id: caller.key_id.to_string(),
        name: caller.name.to_string(),
        username: caller.name.to_string(),
        user_group_uuids: caller.groups.to_vec(),
        idp_id: "",
        idp_name: "",
        auth_service: "airlock",
    }))
}
