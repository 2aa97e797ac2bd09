//! `POST …/versions`: a component, sent or named, on its way through the gate.

use axum::{
    Json,
    extract::{Path, RawQuery, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{
    access::{Allowed, Wish, allow, no_tenant},
    adaptors::{current, put, version_name},
    entries::write,
    signers,
    source::{self, Component, Pulled},
    thing,
};
use crate::{
    api::{
        error::{ApiError, ErrorKind},
        extract::discard,
    },
    gate::{self, Evidence, Report, Upload},
    gateway::{Gateway, Worker},
    intake::ReceiveError,
    store::{Change, Document, Expect, now},
    tenants::{Kind, Rollout, TenantSettings},
};

/// What is stored of a version.
#[derive(Serialize, ToSchema)]
pub(super) struct Version<'a> {
    adaptor: &'a str,
    /// SHA-256 of its bytes.
    digest: &'a str,
    /// In bytes.
    size: usize,
    /// Where it was pulled from; `null` where it was sent.
    #[schema(required = true)]
    source: Option<&'a Pulled>,
    report: &'a Report,
}

/// A version that was uploaded.
#[derive(Serialize, ToSchema)]
pub(super) struct NewVersion<'a> {
    /// `version`
    object: &'a str,
    /// `ADAPTOR/DIGEST`
    name: &'a str,
    tenant: &'a str,
    /// Where it was pulled from; `null` where it was sent.
    #[schema(required = true)]
    source: Option<&'a Pulled>,
    report: &'a Report,
    /// Which versions get tasks now.
    #[schema(value_type = Rollout)]
    rollout: Value,
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

/// What an upload asks for, beside its component.
struct Order {
    release: Release,
    config: Map<String, Value>,
    /// Signatures of the component that came along.
    evidence: Evidence,
}

impl Order {
    fn of(gateway: &Gateway, name: &str, query: Option<&str>, headers: &HeaderMap) -> Result<Self, ApiError> {
        thing::check_name("an adaptor", name)?;
        if gateway.is_bundled(name) {
            let message = format!("`{name}` is the name of a bundled adaptor; choose another.");
            return Err(ApiError::new(ErrorKind::InvalidValue, message).param("name"));
        }
        let (release, config) = wishes(query)?;
        let evidence = signers::evidence(headers)?;
        Ok(Self { release, config, evidence })
    }
}

/// `?release=live|hold|canary:PERCENT`, where nothing is said `live`; and `?config=JSON`, what the component is configured
/// with while it is examined.
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

/// A component as it is, or as JSON what it is called in a registry. It passes the gate, is stored, and gets tasks. The same
/// bytes twice are one version.
pub(super) async fn upload(
    State(worker): State<Worker>,
    Path((tenant, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let gateway = worker.gateway();
    let (parts, body) = request.into_parts();
    let allowed = allow(gateway, &parts.headers, &tenant, Wish::Define).await?;
    let order = Order::of(gateway, &name, query.as_deref(), &parts.headers);
    let begun = order.and_then(|order| Ok((order, gateway.intake().enter(&tenant)?)));
    let (order, slot) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            discard(body).await; // a client that still sends would not read why
            return Err(error);
        }
    };
    let component = source::component(&worker, &allowed, &parts.headers, body, slot).await?;
    check_quota(gateway, &tenant, &name, &component).await?;
    let report = admit(gateway, &allowed, &name, order.config, order.evidence, &component).await?;
    let source = component.source.as_ref();
    let rollout = keep(gateway, &allowed, &name, &report, source, order.release).await?;
    let version = version_name(&name, &report.digest);
    let answer =
        NewVersion { object: "version", name: &version, tenant: &tenant, source, report: &report, rollout };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Lets pass what passes the gate, and stores its bytes: the only time that they are in memory.
async fn admit(
    gateway: &Gateway,
    allowed: &Allowed,
    name: &str,
    config: Map<String, Value>,
    mut evidence: Evidence,
    component: &Component,
) -> Result<Report, ApiError> {
    let busy = |busy: gate::Busy| ApiError::new(ErrorKind::Overloaded, busy.to_string());
    let turn = gateway.gate().turn().await.map_err(busy)?;
    let bytes = component.received.read().await.map_err(ReceiveError::Disk)?;
    let tenant = gateway.tenants().tenant(&allowed.tenant).ok_or_else(|| no_tenant(&allowed.tenant))?;
    evidence.signed.extend(component.evidence.signed.iter().cloned());
    evidence.instead = evidence.instead.or_else(|| component.evidence.instead.clone());
    let signers = component.signers.clone();
    let upload = Upload { name: name.to_owned(), bytes: bytes.clone(), tenant, config, signers, evidence };
    let report = Box::pin(gateway.gate().examine(&turn, upload)).await.map_err(busy)?;
    let Some(failed) = report.failed() else {
        gateway.store().put_blob(&report.digest, &bytes).await?;
        return Ok(report);
    };
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
    source: Option<&Pulled>,
    release: Release,
) -> Result<Value, ApiError> {
    let spec = json!(Version { adaptor: name, digest: &report.digest, size: report.size, source, report });
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
        let expect = known.as_ref().map_or(Expect::Absent, |(_, revision)| Expect::Revision(*revision));
        changes.push(put(allowed, name, next, expect));
    }
    let detail =
        json!({ "digest": report.digest, "source": source, "signer": report.signer, "rollout": next });
    write(gateway, allowed, changes, "upload", Kind::Adaptor, name, detail).await?;
    Ok(json!(next.or(known.map(|(known, _)| known))))
}

async fn check_quota(
    gateway: &Gateway,
    tenant: &str,
    name: &str,
    component: &Component,
) -> Result<(), ApiError> {
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
    let own = version_name(name, component.received.digest());
    let size = |version: &Document| {
        let spec: Value = serde_json::from_str(&version.body).unwrap_or_default();
        spec.get("size").and_then(Value::as_u64).unwrap_or_default()
    };
    let stored: u64 = versions.iter().filter(|version| version.name != own).map(size).sum();
    let most = settings.quota.adaptor_bytes;
    if stored.saturating_add(component.received.size()) > most {
        return refuse(format!(
            "All versions together may have {most} bytes, and {stored} are stored already."
        ));
    }
    Ok(())
}
