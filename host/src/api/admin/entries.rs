//! Clusters, endpoints, federated endpoints and members: read, made, replaced, removed. What clusters and endpoints say is
//! what fixture files say of them.

use axum::{
    Json,
    body::Body,
    extract::{Path, RawQuery, Request, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    OWN,
    access::{Allowed, Wish, allow},
    page::Page,
    signers, thing,
};
use crate::{
    api::{
        error::{ApiError, ErrorKind},
        openapi::{About, Api, ClusterFields, EndpointFields, FederatedFields, List, Source, Thing, named},
    },
    auth::Role,
    gateway::{Gateway, Worker},
    store::{Change, Document, Expect, NewAudit},
    tenants::{CATALOG_KINDS, Kind, Maintenance},
};

/// One kind of thing, and the path of its list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Collection {
    pub(super) path: &'static str,
    kind: Kind,
    /// What changing it takes.
    wish: Wish,
    /// What one of them says.
    fields: Source,
    /// How one is shown.
    shown: Source,
    /// How several are.
    listed: Source,
}

impl Collection {
    const fn of<F: ToSchema>(path: &'static str, kind: Kind, wish: Wish) -> Self {
        let (shown, listed) = (named::<Thing<F>>, named::<List<Thing<F>>>);
        Self { path, kind, wish, fields: named::<F>, shown, listed }
    }
}

pub(super) const COLLECTIONS: [Collection; 6] = [
    Collection::of::<ClusterFields>("clusters", Kind::Cluster, Wish::Define),
    Collection::of::<EndpointFields>("endpoints", Kind::Endpoint, Wish::Define),
    Collection::of::<FederatedFields>("federated", Kind::Federated, Wish::Define),
    Collection::of::<Maintenance>("maintenance", Kind::Maintenance, Wish::Define),
    Collection::of::<Member>("members", Kind::Member, Wish::Manage),
    Collection::of::<SignerSpec>("signers", Kind::Signer, Wish::Manage),
];

/// What is stored of a member.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Member {
    /// `user`, `developer`, `admin` or `operator`
    role: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    email: String,
}

/// What is stored of a signer.
#[derive(ToSchema)]
#[schema(as = SignerFields)]
#[expect(dead_code, reason = "what `tenants` reads, described")]
struct SignerSpec {
    /// ECDSA on P-256 or Ed25519, in PEM.
    public_key: String,
}

/// The routes of a collection: its list and each one of it.
pub(super) fn collection(api: Api, collection: Collection) -> Api {
    one(all(api, collection), collection)
}

/// What is said of a route that makes a thing or replaces it.
pub(super) fn made_or_kept(about: About, shown: Source) -> About {
    about.answers(StatusCode::OK, "It was there before.", shown).answers(
        StatusCode::CREATED,
        "It is new.",
        shown,
    )
}

/// `GET` and `POST` of a list.
fn all(api: Api, collection: Collection) -> Api {
    let list = move |State(worker): State<Worker>,
                     Path(tenant): Path<String>,
                     RawQuery(query): RawQuery,
                     headers: HeaderMap| async move {
        list(worker.gateway(), collection.kind, &tenant, query.as_deref(), &headers, thing::shown).await
    };
    let create = move |State(worker): State<Worker>, Path(tenant): Path<String>, request: Request| async move {
        create(&worker, collection, &tenant, request).await
    };
    let path = format!("{OWN}/{}", collection.path);
    let listed = About::admin("A page of them").pages().answers(StatusCode::OK, "It.", collection.listed);
    let new = About::admin("Make one, under the name that follows from what it says")
        .takes(collection.fields)
        .writes()
        .fails(&[ErrorKind::MissingParameter])
        .tagged();
    let api = api.get(&path, list, listed);
    // The others have no name but that of their path.
    if !CATALOG_KINDS.contains(&collection.kind) {
        return api;
    }
    api.post(&path, create, made_or_kept(new, collection.shown))
}

/// `GET`, `PUT` and `DELETE` of one.
fn one(api: Api, collection: Collection) -> Api {
    type Names = Path<(String, String)>;
    let read = move |State(worker): State<Worker>, Path((tenant, name)): Names, headers: HeaderMap| async move {
        let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read).await?;
        let document = find(worker.gateway(), collection.kind, &tenant, &name).await?;
        Ok::<_, ApiError>(thing::answer(StatusCode::OK, &document))
    };
    let replace = move |State(worker): State<Worker>, Path((tenant, name)): Names, request: Request| async move {
        replace(&worker, collection, &tenant, &name, request).await
    };
    let delete = move |State(worker): State<Worker>, Path((tenant, name)): Names, headers: HeaderMap| async move {
        let allowed = allow(worker.gateway(), &headers, &tenant, collection.wish).await?;
        let expect = thing::expectation(&headers)?;
        find(worker.gateway(), collection.kind, &allowed.tenant, &name).await?;
        remove(worker.gateway(), &allowed, collection.kind, &name, expect).await
    };
    let path = format!("{OWN}/{}/{{name}}", collection.path);
    let shown = About::admin("One of them").tagged().answers(StatusCode::OK, "It.", collection.shown);
    let set = About::admin("Make or replace one").takes(collection.fields).writes().conditional().tagged();
    let gone = About::admin("Delete one").writes().conditional();
    api.get(&path, read, shown).put(&path, replace, made_or_kept(set, collection.shown)).delete(
        &path,
        delete,
        gone.answers_as(StatusCode::NO_CONTENT, "It is gone.", &[]),
    )
}

/// A page of a tenant's things of one kind.
pub(super) async fn list(
    gateway: &Gateway,
    kind: Kind,
    tenant: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    shown: fn(&Document) -> Value,
) -> Result<Json<Value>, ApiError> {
    let Allowed { tenant, .. } = allow(gateway, headers, tenant, Wish::Read).await?;
    let page = Page::of(query)?;
    let found = gateway.store().page(&tenant, kind.as_str(), page.after.as_deref(), page.to_ask()).await?;
    Ok(Json(page.list(found, |document| document.name.clone(), shown)))
}

async fn create(
    worker: &Worker,
    collection: Collection,
    tenant: &str,
    request: Request,
) -> Result<Response, ApiError> {
    let (allowed, headers, body) = begin(worker, collection, tenant, request).await?;
    let spec: Value = thing::body(&headers, body).await?;
    let Some(name) = collection.kind.name_of(&spec) else {
        let message = format!("It needs a name: `PUT` it to its path below `{}`.", collection.path);
        return Err(ApiError::new(ErrorKind::MissingParameter, message).param("name"));
    };
    put(worker.gateway(), &allowed, collection.kind, &name, &spec, Expect::Absent).await
}

async fn replace(
    worker: &Worker,
    collection: Collection,
    tenant: &str,
    name: &str,
    request: Request,
) -> Result<Response, ApiError> {
    let (allowed, headers, body) = begin(worker, collection, tenant, request).await?;
    let expect = thing::expectation(&headers)?;
    let spec: Value = thing::body(&headers, body).await?;
    match collection.kind.name_of(&spec) {
        Some(own) if own != name => {
            let message = format!("What it says makes its name `{own}`; the path says `{name}`.");
            return Err(ApiError::new(ErrorKind::InvalidValue, message).param("name"));
        }
        _ => thing::check_name("a thing", name)?,
    }
    put(worker.gateway(), &allowed, collection.kind, name, &spec, expect).await
}

async fn begin(
    worker: &Worker,
    collection: Collection,
    tenant: &str,
    request: Request,
) -> Result<(Allowed, HeaderMap, Body), ApiError> {
    let (parts, body) = request.into_parts();
    let allowed = allow(worker.gateway(), &parts.headers, tenant, collection.wish).await?;
    Ok((allowed, parts.headers, body))
}

/// Stores it. Making the same thing twice is no mistake.
pub(super) async fn put(
    gateway: &Gateway,
    allowed: &Allowed,
    kind: Kind,
    name: &str,
    spec: &Value,
    expect: Expect,
) -> Result<Response, ApiError> {
    thing::check_name("a thing", name)?;
    let before = gateway.store().document(&allowed.tenant, kind.as_str(), name).await?;
    if let (Expect::Absent, Some(before)) = (expect, &before)
        && serde_json::from_str::<Value>(&before.body).is_ok_and(|own| own == *spec)
    {
        return Ok(thing::answer(StatusCode::OK, before));
    }
    if kind == Kind::Member {
        check_member(spec, allowed)?;
    }
    if kind == Kind::Maintenance {
        check_notice(gateway, &allowed.tenant, name, spec)?;
    }
    if kind == Kind::Signer {
        signers::check(gateway, &allowed.tenant, name, spec).await?;
    }
    let change = Change::Put {
        tenant: allowed.tenant.clone(),
        kind: kind.as_str().into(),
        name: name.to_owned(),
        body: spec.to_string(),
        expect,
    };
    let action = if before.is_some() { "replace" } else { "create" };
    write(gateway, allowed, vec![change], action, kind, name, json!({ "spec": spec })).await?;
    let after = find(gateway, kind, &allowed.tenant, name).await?;
    Ok(thing::answer(if before.is_some() { StatusCode::OK } else { StatusCode::CREATED }, &after))
}

fn check_notice(gateway: &Gateway, tenant: &str, cluster: &str, spec: &Value) -> Result<(), ApiError> {
    let maintenance: Maintenance = serde_json::from_value(spec.clone())
        .map_err(|error| ApiError::new(ErrorKind::InvalidValue, format!("This is no notice: {error}.")))?;
    if maintenance.notice.trim().is_empty() {
        let message = "A cluster that is down needs a notice, which clients are told; to have it up again, delete this.";
        return Err(ApiError::new(ErrorKind::InvalidValue, message).param("notice"));
    }
    if gateway.catalog(tenant).cluster(cluster).is_none() {
        let message = format!("The tenant `{tenant}` has no cluster `{cluster}`.");
        return Err(ApiError::new(ErrorKind::ResourceNotFound, message));
    }
    Ok(())
}

fn check_member(spec: &Value, allowed: &Allowed) -> Result<(), ApiError> {
    let member: Member = serde_json::from_value(spec.clone())
        .map_err(|error| ApiError::new(ErrorKind::InvalidValue, format!("This is no member: {error}.")))?;
    let Some(role) = Role::parse(&member.role) else {
        let known = Role::ALL.map(Role::as_str).join(", ");
        let message = format!("{:?} is no role; it is one of {known}.", member.role);
        return Err(ApiError::new(ErrorKind::InvalidValue, message).param("role"));
    };
    if role > allowed.caller.role {
        let message = "Nobody can give a role above their own.";
        return Err(ApiError::new(ErrorKind::Forbidden, message).param("role"));
    }
    Ok(())
}

/// Removes it.
pub(super) async fn remove(
    gateway: &Gateway,
    allowed: &Allowed,
    kind: Kind,
    name: &str,
    expect: Expect,
) -> Result<StatusCode, ApiError> {
    let change = Change::Delete {
        tenant: allowed.tenant.clone(),
        kind: kind.as_str().into(),
        name: name.to_owned(),
        expect,
    };
    write(gateway, allowed, vec![change], "delete", kind, name, Value::Null).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes changes in a caller's name.
pub(super) async fn write(
    gateway: &Gateway,
    allowed: &Allowed,
    changes: Vec<Change>,
    action: &str,
    kind: Kind,
    name: &str,
    detail: Value,
) -> Result<i64, ApiError> {
    let audit = NewAudit {
        tenant: allowed.tenant.clone(),
        actor: allowed.caller.key_id.to_string(),
        action: action.to_owned(),
        kind: kind.as_str().to_owned(),
        name: name.to_owned(),
        detail: detail.to_string(),
    };
    let revision = gateway.tenants().write(&allowed.tenant, changes, audit).await?;
    if matches!(kind, Kind::Tenant | Kind::Member) {
        // Keys depend on them.
        gateway.keys().refresh(gateway.store()).await?;
    }
    Ok(revision)
}

/// One document, or 404.
pub(super) async fn find(
    gateway: &Gateway,
    kind: Kind,
    tenant: &str,
    name: &str,
) -> Result<Document, ApiError> {
    let found = gateway.store().document(tenant, kind.as_str(), name).await?;
    found.ok_or_else(|| {
        let message = format!("The tenant `{tenant}` has no {} `{name}`.", kind.as_str());
        ApiError::new(ErrorKind::ResourceNotFound, message)
    })
}
