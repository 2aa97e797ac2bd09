//! Who did what, newest first.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use http::HeaderMap;
use serde_json::{Value, json};

use super::{
    access::{Allowed, Wish, allow},
    page::Page,
    thing,
};
use crate::{
    api::error::{ApiError, ErrorKind},
    gateway::Worker,
    store::AuditEntry,
};

pub(super) async fn list(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let Allowed { tenant, .. } = allow(worker.gateway(), &headers, &tenant, Wish::Read)?;
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
    json!({
        "object": "audit_entry", "id": entry.id, "at": thing::time(entry.at), "actor": entry.actor,
        "member": entry.member,
        "action": entry.action, "kind": entry.kind, "name": entry.name, "detail": detail,
    })
}
