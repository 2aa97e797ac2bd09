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
    idp_id: String,
    idp_name: String,
    auth_service: &'static str,
}

pub(super) fn routes(api: Api, base: &str) -> Api {
    let about = About::keyed("Who the gateway takes the caller for");
    api.get(&format!("{base}/whoami"), whoami, about.answers(StatusCode::OK, "Them.", named::<User>))
}

async fn whoami(State(worker): State<Worker>, headers: HeaderMap) -> Result<Json<User>, ApiError> {
    let caller = worker.gateway().callers().authenticate(&headers).await?;
    let user_group_uuids = caller.groups.to_vec();
    let (name, id) = (caller.name.to_string(), caller.key_id.to_string());
    Ok(Json(match caller.identity.as_deref().cloned() {
        None => User {
            id,
            username: name.clone(),
            name,
            user_group_uuids,
            idp_id: String::new(),
            idp_name: String::new(),
            auth_service: "airlock",
        },
        Some(identity) => User {
            id: identity.subject,
            name: identity.full_name,
            username: identity.username,
            user_group_uuids,
            idp_id: identity.provider_id,
            idp_name: identity.provider_name,
            auth_service: identity.service,
        },
    }))
}
