//! Tenants themselves: the operator's business.

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
    OWN,
    access::{Allowed, Wish, allow},
    entries::{self, made_or_kept},
    page::Page,
    thing,
};
use crate::{
    api::{
        error::{ApiError, ErrorKind},
        openapi::{About, Api, List, Thing, named},
    },
    auth::Role,
    gateway::Worker,
    store::{Change, Document, Expect},
    tenants::{DEFAULT_TENANT, Kind, Quota, TenantSettings},
};

/// What makes a tenant.
#[derive(Deserialize)]
struct NewTenant {
    name: String,
    #[serde(flatten)]
    settings: Value,
}

/// What makes a tenant: its name beside its settings.
#[derive(ToSchema)]
#[schema(as = NewTenant)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is used: that of a flattened field would refuse the name")]
struct NewTenantFields {
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    #[schema(nullable = false)]
    description: Option<String>,
    #[schema(nullable = false)]
    quota: Option<Quota>,
}

pub(super) fn routes(api: Api) -> Api {
    const ALL: &str = "/admin/v1/tenants";
    let all = About::admin("All tenants for an operator, their own for others").pages();
    let new = About::admin("Make a tenant").takes(named::<NewTenantFields>).writes().tagged();
    let one = About::admin("A tenant").tagged();
    let put =
        About::admin("Set what a tenant is").takes(named::<TenantSettings>).writes().conditional().tagged();
    let gone = About::admin("Delete a tenant with all that it has").writes().conditional();
    api.get(ALL, list, all.answers(StatusCode::OK, "A page of them.", named::<List<Thing<TenantSettings>>>))
        .post(ALL, create, made_or_kept(new, named::<Thing<TenantSettings>>))
        .get(OWN, read, one.answers(StatusCode::OK, "It.", named::<Thing<TenantSettings>>))
        .put(OWN, replace, made_or_kept(put, named::<Thing<TenantSettings>>))
        .delete(OWN, delete, gone.answers_as(StatusCode::NO_CONTENT, "It is gone.", &[]))
}

/// `GET`: all of them for an operator, a caller's own for others.
async fn list(
    State(worker): State<Worker>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let gateway = worker.gateway();
    let own = gateway.callers().authenticate(&headers).await?.tenant.to_string();
    let Allowed { caller, .. } = allow(gateway, &headers, &own, Wish::Read).await?;
    let page = Page::of(query.as_deref())?;
    let mut names: Vec<String> = match caller.role {
        Role::Operator => gateway.tenants().names(),
        _ => vec![caller.tenant.to_string()],
    };
    names.retain(|name| page.after.as_ref().is_none_or(|after| name > after));
    names.truncate(usize::try_from(page.to_ask()).unwrap_or(usize::MAX));
    let mut found = Vec::new();
    for name in names {
        found.push(document(&worker, &name).await?);
    }
    Ok(Json(page.list(found, |tenant| tenant.name.clone(), thing::shown)))
}

/// `default` is there without anybody having made it.
async fn document(worker: &Worker, name: &str) -> Result<Document, ApiError> {
    match entries::find(worker.gateway(), Kind::Tenant, name, name).await {
        Err(error) if error.kind() == ErrorKind::ResourceNotFound && name == DEFAULT_TENANT => Ok(Document {
            tenant: name.to_owned(),
            kind: Kind::Tenant.as_str().to_owned(),
            name: name.to_owned(),
            body: "{}".to_owned(),
            revision: 0,
            created_at: 0,
            updated_at: 0,
        }),
        found => found,
    }
}

/// `POST`
async fn create(State(worker): State<Worker>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let allowed = allow(worker.gateway(), &parts.headers, DEFAULT_TENANT, Wish::Operate).await?;
    let NewTenant { name, settings } = thing::body(&parts.headers, body).await?;
    thing::check_name("a tenant", &name)?;
    let allowed = Allowed { tenant: name.clone(), ..allowed };
    put(&worker, &allowed, &name, settings, Expect::Absent).await
}

/// `GET` of one.
async fn read(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read).await?;
    Ok(thing::answer(StatusCode::OK, &document(&worker, &tenant).await?))
}

/// `PUT`: its settings.
async fn replace(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let allowed = allow(worker.gateway(), &parts.headers, &tenant, Wish::Operate).await?;
    let expect = thing::expectation(&parts.headers)?;
    let settings = thing::body(&parts.headers, body).await?;
    put(&worker, &allowed, &tenant, settings, expect).await
}

async fn put(
    worker: &Worker,
    allowed: &Allowed,
    name: &str,
    settings: Value,
    expect: Expect,
) -> Result<Response, ApiError> {
    let read: TenantSettings = serde_json::from_value(settings)
        .map_err(|error| ApiError::new(ErrorKind::InvalidValue, format!("This is no tenant: {error}.")))?;
    let spec = serde_json::to_value(read).unwrap_or_default();
    entries::put(worker.gateway(), allowed, Kind::Tenant, name, &spec, expect).await
}

/// `DELETE`: with all that it has, and its keys.
async fn delete(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let gateway = worker.gateway();
    let allowed = allow(gateway, &headers, &tenant, Wish::Operate).await?;
    if tenant == DEFAULT_TENANT {
        let message = "The tenant `default` owns what fixtures load, and stays.";
        return Err(ApiError::new(ErrorKind::Forbidden, message));
    }
    let expect = thing::expectation(&headers)?;
    document(&worker, &tenant).await?;
    let forget = Change::Forget {
        tenant: tenant.clone(),
        kind: Kind::Tenant.as_str().into(),
        name: tenant.clone(),
        expect,
    };
    let detail = json!({ "with": "all that it had" });
    entries::write(gateway, &allowed, vec![forget], "delete", Kind::Tenant, &tenant, detail).await?;
    Ok(StatusCode::NO_CONTENT)
}
