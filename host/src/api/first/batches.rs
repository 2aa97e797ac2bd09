//! FIRST's batches: submit, list, status, result.

use axum::{
    Json,
    extract::{Path, RawQuery, Request, State},
};
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        error::{ApiError, ErrorKind},
        extract::{ScopePath, authenticate, read_body},
    },
    auth::Scope,
    batch::{Batch, BatchError, BatchOrder, BatchStatus},
    gateway::Worker,
};

/// A body names files; it holds no tasks.
const MAX_BODY: usize = 64 << 10;
const FIELDS: [&str; 3] = ["input_file", "model", "output_folder_path"];

pub(super) async fn submit(
    State(worker): State<Worker>,
    ScopePath(scope): ScopePath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let gateway = worker.gateway();
    let (caller, parts, body) = authenticate(gateway.keys(), request).await?;
    let order = order(&read_body(&parts.headers, body, MAX_BODY).await?)?;
    let submitted = gateway
        .batches()
        .submit(&gateway.catalog(&caller.tenant), worker.egress(), &scope, &caller, order)
        .await;
    let batch = submitted.map_err(told)?;
    Ok(Json(json!({
        "batch_id": batch.asked.id,
        "input_file": batch.asked.input_file,
        "output_folder_path": batch.asked.output_folder_path,
        "task_ids": batch.task_ids,
        "status": batch.status.as_str(),
    })))
}

/// Reads the body; keys that FIRST does not know are refused, as there.
fn order(body: &[u8]) -> Result<BatchOrder, ApiError> {
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|e| {
        ApiError::new(ErrorKind::InvalidJson, format!("The body is not one JSON object: {e}."))
    })?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let message = format!("`{unknown}` is no field of a batch; it has {}.", FIELDS.join(", "));
        return Err(ApiError::new(ErrorKind::InvalidValue, message).param(unknown));
    }
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(Value::Null) | None => Ok(None),
        Some(_) => {
            let message = format!("`{name}` must be a string that is not empty.");
            Err(ApiError::new(ErrorKind::InvalidValue, message).param(name))
        }
    };
    let required = |name: &str| {
        text(name)?.ok_or_else(|| {
            ApiError::new(ErrorKind::MissingParameter, format!("`{name}` is missing.")).param(name)
        })
    };
    Ok(BatchOrder {
        model: required("model")?,
        input_file: required("input_file")?,
        output_folder_path: text("output_folder_path")?,
    })
}

pub(super) async fn list(
    State(worker): State<Worker>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Vec<Value>>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.keys().authenticate_for(Scope::Inference, &headers)?;
    let status = wanted_status(query.as_deref().unwrap_or_default())?;
    let batches = gateway.batches().list(&caller, status).await.map_err(told)?;
    Ok(Json(batches.iter().map(summary).collect()))
}

fn wanted_status(query: &str) -> Result<Option<BatchStatus>, ApiError> {
    let Some(text) = query.split('&').find_map(|pair| pair.strip_prefix("status=")) else { return Ok(None) };
    BatchStatus::parse(text).map(Some).ok_or_else(|| {
        let known: Vec<&str> = BatchStatus::ALL.iter().map(|status| status.as_str()).collect();
        let message = format!("{text:?} is no status of a batch; it is one of {}.", known.join(", "));
        ApiError::new(ErrorKind::InvalidValue, message).param("status")
    })
}

fn summary(batch: &Batch) -> Value {
    let asked = &batch.asked;
    json!({
        "id": asked.id,
        "batch_id": asked.id,
        "cluster": asked.cluster,
        "framework": asked.framework,
        "input_file": asked.input_file,
        "in_progress_at": time(batch.in_progress_at),
        "completed_at": time(batch.completed_at),
        "failed_at": time(batch.failed_at),
        "status": batch.status.as_str(),
    })
}

/// RFC 3339, in UTC.
fn time(seconds: Option<i64>) -> Option<String> {
    Some(Timestamp::from_second(seconds?).ok()?.to_string())
}

/// The status, as a JSON string.
pub(super) async fn status(
    State(worker): State<Worker>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<&'static str>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.keys().authenticate_for(Scope::Inference, &headers)?;
    let status = gateway.batches().status(&caller, &id).await.map_err(told)?;
    Ok(Json(status.as_str()))
}

/// The result, as a JSON string.
pub(super) async fn result(
    State(worker): State<Worker>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<String>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.keys().authenticate_for(Scope::Inference, &headers)?;
    Ok(Json(gateway.batches().result(&caller, &id).await.map_err(told)?))
}

/// Tells the operator what the client is not told.
fn told(error: BatchError) -> ApiError {
    let error = ApiError::from(error);
    if error.status().is_server_error() {
        tracing::warn!(code = error.code(), detail = error.detail(), "a batch request failed");
    }
    error
}
