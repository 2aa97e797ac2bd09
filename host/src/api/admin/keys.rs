//! A tenant's API keys.

use axum::{
    Json,
    extract::{Path, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    OWN,
    access::{Allowed, Wish, allow},
    thing,
};
use crate::{
    api::{
        error::{ApiError, ErrorKind},
        openapi::{About, Api, List, named},
    },
    auth::{Role, Scope, Scopes},
    gateway::Worker,
    store::{ApiKey, KeyOrder, now},
};

/// What makes a key.
#[derive(Deserialize, ToSchema)]
#[schema(as = KeyOrder)]
#[serde(deny_unknown_fields)]
struct Order {
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// `user`, `developer`, `admin` or `operator`; without it `user`.
    role: Option<String>,
    /// Of `inference`, `read` and `write`; without it `inference`.
    scopes: Option<Vec<String>>,
    /// Without it, never.
    #[schema(minimum = 1)]
    expires_in_seconds: Option<i64>,
    /// Whose it is.
    member: Option<String>,
}

/// A key, as it is listed.
#[derive(Serialize, ToSchema)]
struct Key<'a> {
    /// `key`
    object: &'a str,
    id: &'a str,
    name: &'a str,
    tenant: &'a str,
    role: &'a str,
    scopes: Vec<&'a str>,
    #[schema(required = true)]
    member: Option<&'a str>,
    #[schema(required = true)]
    created_at: Option<String>,
    /// `null`: never.
    #[schema(required = true)]
    expires_at: Option<String>,
    #[schema(required = true)]
    revoked_at: Option<String>,
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
struct NewKey<'a> {
    /// `key`
    object: &'a str,
    id: &'a str,
    name: &'a str,
    tenant: &'a str,
    role: &'a str,
    scopes: Vec<&'a str>,
    #[schema(required = true)]
    member: Option<&'a str>,
    /// `null`: never.
    #[schema(required = true)]
    expires_at: Option<String>,
    /// The key itself, which is in this answer and nowhere else.
    key: &'a str,
}

pub(super) fn routes(api: Api) -> Api {
    let path = format!("{OWN}/keys");
    let all = About::admin("All keys of a tenant");
    let new = About::admin("Make a key")
        .takes(named::<Order>)
        .fails(&[ErrorKind::InvalidValue, ErrorKind::Conflict]);
    let gone = About::admin("Revoke a key");
    api.get(&path, list, all.answers(StatusCode::OK, "All of them.", named::<List<Key<'_>>>))
        .post(
            &path,
            create,
            new.answers(StatusCode::CREATED, "It, with the key itself.", named::<NewKey<'_>>),
        )
        .delete(&format!("{path}/{{name}}"), revoke, gone.answers_as(StatusCode::NO_CONTENT, "It is.", &[]))
}

async fn list(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Manage).await?;
    let keys = worker.gateway().store().keys().await?;
    let data: Vec<Value> = keys.iter().filter(|key| key.tenant == tenant).map(shown).collect();
    Ok(Json(json!({ "object": "list", "data": data, "has_more": false, "next": null })))
}

/// The key itself is in this answer and nowhere else.
async fn create(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let gateway = worker.gateway();
    let (parts, body) = request.into_parts();
    let Allowed { caller, tenant } = allow(gateway, &parts.headers, &tenant, Wish::Manage).await?;
    let order: Order = thing::body(&parts.headers, body).await?;
    thing::check_name("a key", &order.name)?;
    if let Some(member) = &order.member {
        thing::check_name("a member", member).map_err(|error| error.param("member"))?;
    }
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
    let answer = NewKey {
        object: "key",
        id: &made.id,
        name: &order.name,
        tenant: &order.tenant,
        role: role.as_str(),
        scopes: words(scopes),
        member: order.member.as_deref(),
        expires_at: order.expires_at.and_then(thing::time),
        key: &made.secret,
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn revoke(
    State(worker): State<Worker>,
    Path((tenant, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let gateway = worker.gateway();
    let Allowed { caller, tenant } = allow(gateway, &headers, &tenant, Wish::Manage).await?;
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
    json!(Key {
        object: "key",
        id: &key.id,
        name: &key.name,
        tenant: &key.tenant,
        role: key.role.as_str(),
        scopes: words(key.scopes),
        member: key.member.as_deref(),
        created_at: thing::time(key.created_at),
        expires_at: key.expires_at.and_then(thing::time),
        revoked_at: key.revoked_at.and_then(thing::time),
    })
}
