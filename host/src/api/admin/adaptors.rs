//! Uploaded adaptors: their versions, and which of them get tasks.

use axum::{
    Json,
    extract::{Path, RawQuery, Request, State},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    access::{Allowed, Wish, allow, no_tenant},
    entries::{self, find, write},
    thing,
};
use crate::{
    api::{
        error::{ApiError, ErrorKind},
        extract::read_body,
    },
    gate::{self, Report, Upload},
    gateway::{Gateway, Worker},
    store::{Change, Document, Expect, now},
    tenants::{Kind, Rollout, TenantSettings},
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
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read)?;
    Ok(thing::answer(StatusCode::OK, &find(worker.gateway(), Kind::Adaptor, &tenant, &name).await?))
}

/// Removes an adaptor with all its versions. Refused where an endpoint names it.
pub(super) async fn delete(
    State(worker): State<Worker>,
    Path((tenant, name)): Names,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let gateway = worker.gateway();
    let allowed = allow(gateway, &headers, &tenant, Wish::Define)?;
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
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read)?;
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

fn version_name(adaptor: &str, digest: &str) -> String {
    format!("{adaptor}/{digest}")
}

/// What becomes of a version once it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    /// All tasks go to it.
    Live,
    /// So many of a hundred do.
    Canary(u8),
    /// None, for now.
    Hold,
}

/// What an upload asks for: `?release=live|hold|canary:PERCENT`, where nothing is said `live`; and `?config=JSON`, what
/// the component is configured with while it is examined.
fn wishes(query: Option<&str>) -> Result<(Release, Map<String, Value>), ApiError> {
    let (mut release, mut config) = (Release::Live, Map::new());
    for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if key == "config" {
            config = serde_json::from_str(&value).map_err(|error| {
                let message = format!("`config` is one JSON object, URL-encoded: {error}.");
                ApiError::new(ErrorKind::InvalidValue, message).param("config")
            })?;
            continue;
        }
        release = match (&*key, &*value, value.strip_prefix("canary:").and_then(|n| n.parse().ok())) {
            ("release", "live", _) => Release::Live,
            ("release", "hold", _) => Release::Hold,
            ("release", _, Some(percent)) => Release::Canary(percent),
            _ => {
                let message = "An upload takes `release=live`, `release=hold` or `release=canary:PERCENT`, and `config=JSON`.";
                return Err(ApiError::new(ErrorKind::InvalidValue, message).param(key.into_owned()));
            }
        };
    }
    Ok((release, config))
}

/// `POST …/versions`: a component, as it is. It passes the gate, is stored, and gets tasks. The same bytes twice are one
/// version.
pub(super) async fn upload(
    State(worker): State<Worker>,
    Path((tenant, name)): Names,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let gateway = worker.gateway();
    let (parts, body) = request.into_parts();
    let allowed = allow(gateway, &parts.headers, &tenant, Wish::Define)?;
    // Before anything is refused: a client that still sends would not read why.
    let limit = gateway.settings().compile.max_adaptor_mib << 20;
    let bytes = read_body(&parts.headers, body, limit).await?;
    thing::check_name("an adaptor", &name)?;
    if gateway.is_bundled(&name) {
        let message = format!("`{name}` is the name of a bundled adaptor; choose another.");
        return Err(ApiError::new(ErrorKind::InvalidValue, message).param("name"));
    }
    let (release, config) = wishes(query.as_deref())?;
    check_quota(gateway, &tenant, &name, &bytes).await?;
    let report = examine(gateway, &tenant, &name, bytes.clone(), config).await?;
    gateway.store().put_blob(&report.digest, &bytes).await?;
    let rollout = keep(gateway, &allowed, &name, &report, release).await?;
    let answer = json!({
        "object": "version", "name": version_name(&name, &report.digest), "tenant": tenant, "report": report,
        "rollout": rollout,
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Lets pass what passes the gate.
async fn examine(
    gateway: &Gateway,
    tenant: &str,
    name: &str,
    bytes: Bytes,
    config: Map<String, Value>,
) -> Result<Report, ApiError> {
    let tenant = gateway.tenants().tenant(tenant).ok_or_else(|| no_tenant(tenant))?;
    let upload = Upload { name: name.to_owned(), bytes, tenant, config };
    let busy = |busy: gate::Busy| ApiError::new(ErrorKind::Overloaded, busy.to_string());
    let report = gateway.gate().examine(upload).await.map_err(busy)?;
    let Some(failed) = report.failed() else { return Ok(report) };
    let mut message = failed.message.clone();
    if let Some(remedy) = &failed.remedy {
        message = format!("{message}. {}", capitalized(remedy));
    }
    let error = ApiError::new(ErrorKind::AdaptorRefused, message);
    Err(error.details(json!({ "report": report })))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Stores a version and, in the same write, that it gets tasks.
async fn keep(
    gateway: &Gateway,
    allowed: &Allowed,
    name: &str,
    report: &Report,
    release: Release,
) -> Result<Value, ApiError> {
    let spec = json!({ "adaptor": name, "digest": report.digest, "size": report.size, "report": report });
    let mut changes = vec![Change::Put {
        tenant: allowed.tenant.clone(),
        kind: Kind::Version.as_str().into(),
        name: version_name(name, &report.digest),
        body: spec.to_string(),
        expect: Expect::Any,
    }];
    let known = current(gateway, &allowed.tenant, name).await?;
    let next = match (&known, release) {
        (None, _) => Some(Rollout::first(&report.digest, now())),
        (Some((known, _)), Release::Live) => Some(known.go_live(&report.digest, now())),
        (Some((known, _)), Release::Canary(percent)) => {
            Some(known.try_out(&report.digest, percent, now())?)
        }
        (Some(_), Release::Hold) => None,
    };
    if let Some(next) = &next {
        changes.push(put(
            allowed,
            name,
            next,
            known.as_ref().map_or(Expect::Absent, |(_, r)| Expect::Revision(*r)),
        ));
    }
    let detail = json!({ "digest": report.digest, "rollout": next });
    write(gateway, allowed, changes, "upload", Kind::Adaptor, name, detail).await?;
    Ok(json!(next.or(known.map(|(known, _)| known))))
}

/// An adaptor's rollout and its revision.
async fn current(gateway: &Gateway, tenant: &str, name: &str) -> Result<Option<(Rollout, i64)>, ApiError> {
    let found = gateway.store().document(tenant, Kind::Adaptor.as_str(), name).await?;
    Ok(found.and_then(|found| Some((serde_json::from_str(&found.body).ok()?, found.revision))))
}

fn put(allowed: &Allowed, name: &str, rollout: &Rollout, expect: Expect) -> Change {
    Change::Put {
        tenant: allowed.tenant.clone(),
        kind: Kind::Adaptor.as_str().into(),
        name: name.to_owned(),
        body: json!(rollout).to_string(),
        expect,
    }
}

async fn check_quota(gateway: &Gateway, tenant: &str, name: &str, bytes: &[u8]) -> Result<(), ApiError> {
    let store = gateway.store();
    let settings = store.document(tenant, Kind::Tenant.as_str(), tenant).await?;
    let settings: TenantSettings =
        settings.and_then(|found| serde_json::from_str(&found.body).ok()).unwrap_or_default();
    let adaptors = store.documents(Some(tenant), Some(Kind::Adaptor.as_str())).await?;
    let refuse = |what: String| Err(ApiError::new(ErrorKind::TenantQuota, what));
    if adaptors.len() >= settings.quota.adaptors && adaptors.iter().all(|adaptor| adaptor.name != name) {
        return refuse(format!("The tenant has {} adaptors, which is its limit.", adaptors.len()));
    }
    let versions = store.documents(Some(tenant), Some(Kind::Version.as_str())).await?;
    let own = version_name(name, &gate::digest(bytes));
    let size = |version: &Document| {
        let spec: Value = serde_json::from_str(&version.body).unwrap_or_default();
        spec.get("size").and_then(Value::as_u64).unwrap_or_default()
    };
    let stored: u64 = versions.iter().filter(|version| version.name != own).map(size).sum();
    let most = settings.quota.adaptor_bytes;
    if stored.saturating_add(bytes.len() as u64) > most {
        return refuse(format!(
            "All versions together may have {most} bytes, and {stored} are stored already."
        ));
    }
    Ok(())
}

/// `POST …/rollout`: `{"version": DIGEST, "percent": 1 to 100}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    version: String,
    #[serde(default = "all")]
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
    let allowed = allow(gateway, &parts.headers, &tenant, Wish::Define)?;
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
    let allowed = allow(worker.gateway(), &headers, &tenant, Wish::Define)?;
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
