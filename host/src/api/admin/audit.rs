//! Who did what, newest first.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    OWN,
    access::{Allowed, Wish, allow},
    page::Page,
    thing,
};
use crate::{
    api::{
        error::{ApiError, ErrorKind},
        openapi::{About, Api, List, named},
    },
    gateway::Worker,
    store::AuditEntry,
};

/// Who did what.
#[derive(Serialize, ToSchema)]
struct AuditLine<'a> {
    /// `audit_entry`
    object: &'a str,
    id: i64,
    #[schema(required = true)]
    at: Option<String>,
    /// The id of a key, or `airlock`.
    actor: &'a str,
    /// Whose key it is, where it was made for a member.
    #[schema(required = true)]
    member: Option<&'a str>,
    action: &'a str,
    /// What kind of thing it was done to.
    kind: &'a str,
    name: &'a str,
    /// More, as the action has it.
    detail: Value,
}

pub(super) fn routes(api: Api) -> Api {
    let about = About::admin("Who did what, newest first").pages();
    let about = about.answers(StatusCode::OK, "A page of it.", named::<List<AuditLine<'_>>>);
    api.get(&format!("{OWN}/audit"), list, about)
}

async fn list(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read).await?;
    let page = Page::of(query.as_deref())?;
    let before = match &page.after {
        None => None,
        Some(after) => Some(after.parse().map_err(|_| {
            ApiError::new(ErrorKind::InvalidValue, "`after` is the id of an entry here.").param("after")
        })?),
    };
    let found = worker.gateway().store().audit_page(Some(&tenant), before, page.to_ask()).await?;
    Ok(Json(page.list(found, |entry| entry.id.to_string(), shown)))
}

fn shown(entry: &AuditEntry) -> Value {
    let detail: Value = serde_json::from_str(&entry.detail).unwrap_or_default();
    json!(AuditLine {
        object: "audit_entry",
        id: entry.id,
        at: thing::time(entry.at),
        actor: &entry.actor,
        member: entry.member.as_deref(),
        action: &entry.action,
        kind: &entry.kind,
        name: &entry.name,
        detail,
    })
}
