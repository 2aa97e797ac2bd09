//! `GET /whoami`: who the gateway takes the caller for.

use axum::{Json, extract::State};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{api::error::ApiError, gateway::Worker};

/// FIRST's user object. A caller with an API key comes from no identity provider, so those fields are empty.
pub(super) async fn whoami(
    State(worker): State<Worker>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let caller = worker.gateway().keys().authenticate(&headers)?;
    Ok(Json(json!({
        "id": caller.key_id,
        "name": caller.name,
        "username": caller.name,
        "user_group_uuids": caller.groups,
        "idp_id": "",
        "idp_name": "",
        "auth_service": "airlock",
    })))
}
