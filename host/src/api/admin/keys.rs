//! A tenant's API keys.

use axum::{
    Json,
    extract::{Path, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    access::{Allowed, Wish, allow},
    thing,
};
use crate::{
    api::error::{ApiError, ErrorKind},
    auth::{Role, Scope, Scopes},
    gateway::Worker,
    store::{ApiKey, KeyOrder, now},
};

/// What makes a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    name: String,
    role: Option<String>,
    scopes: Option<Vec<String>>,
    expires_in_seconds: Option<i64>,
    member: Option<String>,
}

pub(super) async fn list(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Manage)?;
    let keys = worker.gateway().store().keys().await?;
    let data: Vec<Value> = keys.iter().filter(|key| key.tenant == tenant).map(shown).collect();
    Ok(Json(json!({ "object": "list", "data": data, "has_more": false, "next": null })))
}

/// The key itself is in this answer and nowhere else.
pub(super) async fn create(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let gateway = worker.gateway();
    let (parts, body) = request.into_parts();
    let Allowed { caller, tenant } = allow(gateway, &parts.headers, &tenant, Wish::Manage)?;
    let order: Order = thing::body(&parts.headers, body).await?;
    thing::check_name("a key", &order.name)?;
    let role = order.role.as_deref().map_or(Ok(Role::User), role)?;
    let scopes = scopes(order.scopes.as_deref())?;
    if role > caller.role {
        let message = "Nobody can give a role above their own.";
        return Err(ApiError::new(ErrorKind::Forbidden, message).param("role"));
    }
    if order.expires_in_seconds.is_some_and(|seconds| seconds <= 0) {
        let message = "`expires_in_seconds` must be above 0.";
        return Err(ApiError::new(ErrorKind::InvalidValue, message).param("expires_in_seconds"));
    }
    let asked_at = now();
    let order = KeyOrder {
        name: order.name,
        tenant,
        role,
        scopes,
        asked_at,
        expires_at: order.expires_in_seconds.map(|seconds| asked_at.saturating_add(seconds)),
        member: order.member,
        actor: caller.key_id.to_string(),
    };
    let made = gateway.store().create_key(&order).await?;
    gateway.keys().refresh(gateway.store()).await?;
    let answer = json!({
        "object": "key", "id": made.id, "name": order.name, "tenant": order.tenant, "role": role.as_str(),
        "scopes": words(scopes), "member": order.member, "expires_at": order.expires_at.and_then(thing::time),
        "key": made.secret,
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

pub(super) async fn revoke(
    State(worker): State<Worker>,
    Path((tenant, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let gateway = worker.gateway();
    let Allowed { caller, tenant } = allow(gateway, &headers, &tenant, Wish::Manage)?;
    let keys = gateway.store().keys().await?;
    let found = keys
        .iter()
        .find(|key| key.tenant == tenant && key.revoked_at.is_none() && (key.name == name || key.id == name));
    let Some(key) = found else {
        let message = format!("The tenant `{tenant}` has no active key `{name}`.");
        return Err(ApiError::new(ErrorKind::ResourceNotFound, message));
    };
    gateway.store().revoke_key(&tenant, &key.id, &caller.key_id).await?;
    gateway.keys().refresh(gateway.store()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn role(word: &str) -> Result<Role, ApiError> {
    Role::parse(word).ok_or_else(|| {
        let known = Role::ALL.map(Role::as_str).join(", ");
        let message = format!("{word:?} is no role; it is one of {known}.");
        ApiError::new(ErrorKind::InvalidValue, message).param("role")
    })
}

/// What a key may be used for: inference, where nothing is said.
fn scopes(wanted: Option<&[String]>) -> Result<Scopes, ApiError> {
    let Some(wanted) = wanted else { return Ok(Scope::Inference.into()) };
    let read = |word: &String| {
        Scope::parse(word).ok_or_else(|| {
            let known = Scope::ALL.map(Scope::as_str).join(", ");
            let message = format!("{word:?} is no scope; it is one of {known}.");
            ApiError::new(ErrorKind::InvalidValue, message).param("scopes")
        })
    };
    wanted.iter().map(read).collect()
}

fn words(scopes: Scopes) -> Vec<&'static str> {
    scopes.iter().map(Scope::as_str).collect()
}

fn shown(key: &ApiKey) -> Value {
    json!({
        "object": "key", "id": key.id, "name": key.name, "tenant": key.tenant, "role": key.role.as_str(),
        "scopes": words(key.scopes), "member": key.member, "created_at": thing::time(key.created_at),
        "expires_at": key.expires_at.and_then(thing::time), "revoked_at": key.revoked_at.and_then(thing::time),
    })
}
