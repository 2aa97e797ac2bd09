//! A tenant's secrets: written, never read again.

use airlock_sandbox::Origin;
use axum::{
    Json,
    extract::{Path, RawQuery, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    OWN,
    access::{Allowed, Wish, allow},
    entries::{self, find, remove, write},
    thing,
};
use crate::{
    api::{
        error::{ApiError, ErrorKind},
        openapi::{About, Api, List, Thing, named},
    },
    gateway::Worker,
    store::{Change, Document},
    tenants::{Kind, SecretOwner},
};

type Names = Path<(String, String)>;

/// What makes a secret.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecretOrder)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Nobody can read it again.
    #[schema(write_only, min_length = 1)]
    value: String,
    /// Where it goes, and nowhere else.
    #[schema(example = "https://api.example.org")]
    origin: String,
    /// The header that carries it; `authorization` carries it as `Bearer`.
    #[serde(default = "authorization")]
    header: String,
}

/// Where a secret goes, and nothing of what it is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "its schema is used")]
struct Secret {
    origin: String,
    header: String,
}

fn authorization() -> String {
    "authorization".into()
}

pub(super) fn routes(api: Api) -> Api {
    let (all, one) = (format!("{OWN}/secrets"), format!("{OWN}/secrets/{{name}}"));
    let list_about = About::admin("The secrets of a tenant").pages();
    let read_about = About::admin("Where a secret goes");
    let put_about = About::admin("Set a secret").takes(named::<Order>).writes().conditional();
    let put_about = put_about.fails(&[ErrorKind::SecretsUnavailable]);
    let gone = About::admin("Delete a secret").writes().conditional();
    api.get(&all, list, list_about.answers(StatusCode::OK, "A page of them.", named::<List<Thing<Secret>>>))
        .get(&one, read, read_about.answers(StatusCode::OK, "It.", named::<Thing<Secret>>))
        .put(&one, replace, put_about.answers(StatusCode::OK, "It.", named::<Thing<Secret>>))
        .delete(&one, delete, gone.answers_as(StatusCode::NO_CONTENT, "It is gone.", &[]))
}

async fn list(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    entries::list(worker.gateway(), Kind::Secret, &tenant, query.as_deref(), &headers, shown).await
}

async fn read(
    State(worker): State<Worker>,
    Path((tenant, name)): Names,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read).await?;
    Ok(Json(shown(&find(worker.gateway(), Kind::Secret, &tenant, &name).await?)))
}

/// Where it goes, and nothing of what it is.
fn shown(document: &Document) -> Value {
    let mut shown = thing::shown(document);
    if let Some(spec) = shown.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, _| matches!(key.as_str(), "origin" | "header"));
    }
    shown
}

async fn replace(
    State(worker): State<Worker>,
    Path((tenant, name)): Names,
    request: Request,
) -> Result<Response, ApiError> {
    let gateway = worker.gateway();
    let (parts, body) = request.into_parts();
    let allowed = allow(gateway, &parts.headers, &tenant, Wish::Define).await?;
    thing::check_name("a secret", &name)?;
    let expect = thing::expectation(&parts.headers)?;
    let Order { value, origin, header } = thing::body(&parts.headers, body).await?;
    let refuse = |param: &str, why: String| Err(ApiError::new(ErrorKind::InvalidValue, why).param(param));
    let Ok(origin) = Origin::parse(&origin).map(|origin| origin.to_string()) else {
        return refuse("origin", "`origin` is scheme and host, such as `https://api.example.org`.".into());
    };
    let Ok(header) = HeaderName::try_from(&header) else {
        return refuse("header", format!("{header:?} is not the name of a header."));
    };
    if value.is_empty() || value.chars().any(char::is_control) {
        return refuse(
            "value",
            "`value` is empty, or holds a line break or another control character.".into(),
        );
    }
    let owner =
        SecretOwner { tenant: &allowed.tenant, name: &name, origin: &origin, header: header.as_str() };
    let sealed = gateway.master_keys().seal(owner, &value)?;
    let change = Change::Put {
        tenant: allowed.tenant.clone(),
        kind: Kind::Secret.as_str().into(),
        name: name.clone(),
        body: json!(sealed).to_string(),
        expect,
    };
    let detail = json!({ "origin": origin, "header": header.as_str() });
    write(gateway, &allowed, vec![change], "set", Kind::Secret, &name, detail).await?;
    let stored = find(gateway, Kind::Secret, &allowed.tenant, &name).await?;
    Ok((StatusCode::OK, Json(shown(&stored))).into_response())
}

async fn delete(
    State(worker): State<Worker>,
    Path((tenant, name)): Names,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let gateway = worker.gateway();
    let allowed = allow(gateway, &headers, &tenant, Wish::Define).await?;
    let expect = thing::expectation(&headers)?;
    find(gateway, Kind::Secret, &allowed.tenant, &name).await?;
    remove(gateway, &allowed, Kind::Secret, &name, expect).await
}
