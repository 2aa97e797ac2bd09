//! Uploaded adaptors: their versions, and which of them get tasks.

use axum::{
    Json,
    extract::{Path, RawQuery, Request, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    access::{Allowed, Wish, allow},
    entries::{self, find, write},
    thing,
};
use crate::{
    api::error::{ApiError, ErrorKind},
    gateway::{Gateway, Worker},
    store::{Change, Document, Expect, now},
    tenants::{Kind, Rollout},
};

type Names = Path<(String, String)>;

pub(super) async fn list(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let gateway = worker.gateway();
    entries::list(gateway, Kind::Adaptor, &tenant, query.as_deref(), &headers, thing::shown).await
}

pub(super) async fn read(
    State(worker): State<Worker>,
    Path((tenant, name)): Names,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read).await?;
    Ok(thing::answer(StatusCode::OK, &find(worker.gateway(), Kind::Adaptor, &tenant, &name).await?))
}

/// Removes an adaptor with all its versions. Refused where an endpoint names it.
pub(super) async fn delete(
    State(worker): State<Worker>,
    Path((tenant, name)): Names,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let gateway = worker.gateway();
    let allowed = allow(gateway, &headers, &tenant, Wish::Define).await?;
    let expect = thing::expectation(&headers)?;
    find(gateway, Kind::Adaptor, &tenant, &name).await?;
    let delete = |kind: &str, name: &str, expect| Change::Delete {
        tenant: tenant.clone(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        expect,
    };
    // In one write: a version without its adaptor would count against the quota, and nobody could remove it.
    let mut changes = vec![delete(Kind::Adaptor.as_str(), &name, expect)];
    let versions = versions_of(gateway, &tenant, &name).await?;
    changes.extend(versions.iter().map(|version| delete(&version.kind, &version.name, Expect::Any)));
    write(gateway, &allowed, changes, "delete", Kind::Adaptor, &name, Value::Null).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn versions(
    State(worker): State<Worker>,
    Path((tenant, name)): Names,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read).await?;
    find(worker.gateway(), Kind::Adaptor, &tenant, &name).await?;
    let mut found = versions_of(worker.gateway(), &tenant, &name).await?;
    found.sort_by_key(|version| version.revision);
    let data: Vec<Value> = found.iter().map(thing::shown).collect();
    Ok(Json(json!({ "object": "list", "data": data, "has_more": false, "next": null })))
}

/// The versions of one adaptor. A version is called `ADAPTOR/DIGEST`.
async fn versions_of(gateway: &Gateway, tenant: &str, adaptor: &str) -> Result<Vec<Document>, ApiError> {
    let mut all = gateway.store().documents(Some(tenant), Some(Kind::Version.as_str())).await?;
    all.retain(|version| version.name.rsplit_once('/').is_some_and(|(own, _)| own == adaptor));
    Ok(all)
}

pub(super) fn version_name(adaptor: &str, digest: &str) -> String {
    format!("{adaptor}/{digest}")
}

/// An adaptor's rollout and its revision.
pub(super) async fn current(
    gateway: &Gateway,
    tenant: &str,
    name: &str,
) -> Result<Option<(Rollout, i64)>, ApiError> {
    let found = gateway.store().document(tenant, Kind::Adaptor.as_str(), name).await?;
    Ok(found.and_then(|found| Some((serde_json::from_str(&found.body).ok()?, found.revision))))
}

pub(super) fn put(allowed: &Allowed, name: &str, rollout: &Rollout, expect: Expect) -> Change {
    Change::Put {
        tenant: allowed.tenant.clone(),
        kind: Kind::Adaptor.as_str().into(),
        name: name.to_owned(),
        body: json!(rollout).to_string(),
        expect,
    }
}

/// `POST …/rollout`: `{"version": DIGEST, "percent": 1 to 100}`.
#[derive(Deserialize, ToSchema)]
#[schema(as = RolloutOrder)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The beginning of its digest.
    version: String,
    /// With 100 it goes live, with less it is on trial.
    #[serde(default = "all")]
    #[schema(minimum = 1, maximum = 100)]
    percent: u8,
}

const fn all() -> u8 {
    100
}

pub(super) async fn roll_out(
    State(worker): State<Worker>,
    Path((tenant, name)): Names,
    request: Request,
) -> Result<Response, ApiError> {
    let gateway = worker.gateway();
    let (parts, body) = request.into_parts();
    let allowed = allow(gateway, &parts.headers, &tenant, Wish::Define).await?;
    let wanted: Wanted = thing::body(&parts.headers, body).await?;
    let versions = versions_of(gateway, &tenant, &name).await?;
    let digests =
        versions.iter().filter_map(|version| version.name.rsplit_once('/')).map(|(_, digest)| digest);
    let matching: Vec<&str> = digests.filter(|digest| digest.starts_with(&wanted.version)).collect();
    let [digest] = matching.as_slice() else {
        let what = if matching.is_empty() { "no version" } else { "more than one version" };
        let message = format!("`{name}` has {what} that begins with `{}`.", wanted.version);
        return Err(ApiError::new(ErrorKind::ResourceNotFound, message).param("version"));
    };
    decide(gateway, &allowed, &name, "rollout", |rollout| match wanted.percent {
        100 => Ok(rollout.go_live(digest, now())),
        percent => rollout.try_out(digest, percent, now()),
    })
    .await
}

/// `POST …/rollback`: ends a trial, or goes back to the version before.
pub(super) async fn roll_back(
    State(worker): State<Worker>,
    Path((tenant, name)): Names,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let allowed = allow(worker.gateway(), &headers, &tenant, Wish::Define).await?;
    decide(worker.gateway(), &allowed, &name, "rollback", |rollout| rollout.roll_back(now())).await
}

async fn decide(
    gateway: &Gateway,
    allowed: &Allowed,
    name: &str,
    action: &str,
    next: impl FnOnce(&Rollout) -> Result<Rollout, crate::tenants::RolloutError>,
) -> Result<Response, ApiError> {
    find(gateway, Kind::Adaptor, &allowed.tenant, name).await?;
    let Some((known, revision)) = current(gateway, &allowed.tenant, name).await? else {
        return Err(ApiError::new(ErrorKind::Internal, ErrorKind::Internal.row().when));
    };
    let next = next(&known)?;
    let change = put(allowed, name, &next, Expect::Revision(revision));
    write(gateway, allowed, vec![change], action, Kind::Adaptor, name, json!({ "from": known, "to": next }))
        .await?;
    Ok(thing::answer(StatusCode::OK, &find(gateway, Kind::Adaptor, &allowed.tenant, name).await?))
}
