//! FIRST's batches: submit, list, status, result.

use airlock_sandbox::Operation;
use axum::{
    Json,
    extract::{Path, RawQuery, Request, State},
};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    admission::{Asked, Ticket},
    api::{
        error::{ApiError, ErrorKind},
        extract::{ScopePath, authenticate, read_body},
        openapi::{About, Api, Components, named},
    },
    auth::Scope,
    batch::{Batch, BatchError, BatchOrder, BatchStatus},
    gateway::Worker,
};

use ErrorKind as E;

/// A body names files; it holds no tasks.
const MAX_BODY: usize = 64 << 10;
const FIELDS: [&str; 3] = ["input_file", "model", "output_folder_path"];

/// A batch that was submitted.
#[derive(Serialize, ToSchema)]
#[schema(as = SubmittedBatch)]
struct Submitted {
    batch_id: String,
    input_file: String,
    #[schema(required = true)]
    output_folder_path: Option<String>,
    /// The backend's, with commas between them.
    #[schema(required = true)]
    task_ids: Option<String>,
    status: &'static str,
}

/// A batch in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Batch)]
struct Summary {
    id: String,
    /// The same.
    batch_id: String,
    cluster: String,
    framework: String,
    input_file: String,
    #[schema(required = true)]
    in_progress_at: Option<String>,
    #[schema(required = true)]
    completed_at: Option<String>,
    #[schema(required = true)]
    failed_at: Option<String>,
    status: &'static str,
}

pub(super) fn routes(api: Api, base: &str) -> Api {
    let text = |_: &mut Components| json!({ "type": "string" });
    let wanted = |_: &mut Components| {
        let text = json!({ "type": "string", "minLength": 1 });
        let may_miss = json!({ "type": ["string", "null"], "minLength": 1 });
        let fields = json!({ "model": text, "input_file": text, "output_folder_path": may_miss });
        json!({
            "type": "object", "required": ["model", "input_file"], "properties": fields, "additionalProperties": false,
        })
    };
    let listed = |c: &mut Components| json!({ "type": "array", "items": named::<Summary>(c) });
    let submit_about = About::inference("Submit a batch")
        .takes(wanted)
        .answers(StatusCode::OK, "It was submitted.", named::<Submitted>)
        .fails(&[E::InvalidValue, E::MissingParameter, E::ClusterNotFound, E::UnsupportedFramework])
        .fails(&[E::ModelNotFound, E::UnsupportedOperation, E::Maintenance, E::Overloaded])
        .fails(&[E::BatchUnavailable, E::BatchQuota, E::BatchOngoing])
        .fails(&[E::RateLimit, E::TokensUsedUp, E::LimitsUnavailable])
        .relayed();
    let known: Vec<&str> = BatchStatus::ALL.iter().map(|status| status.as_str()).collect();
    let list_about = About::inference("The caller's batches")
        .parameter("query", "status", "Only those of this status.", json!({ "enum": known }))
        .answers(StatusCode::OK, "All of them.", listed)
        .fails(&[E::InvalidValue]);
    let status_about =
        About::inference("A batch's status").fails(&[E::BatchNotFound, E::Overloaded]).relayed();
    let result_about = About::inference("A batch's result")
        .fails(&[E::BatchNotFound, E::BatchOngoing, E::BatchFailed, E::Overloaded])
        .relayed();
    api.post(&format!("{base}/{{cluster}}/{{framework}}/v1/batches"), submit, submit_about)
        .get(&format!("{base}/v1/batches"), list, list_about)
        .get(&format!("{base}/v1/batches/{{id}}"), status, status_about.answers(StatusCode::OK, "It.", text))
        .get(
            &format!("{base}/v1/batches/{{id}}/result"),
            result,
            result_about.answers(StatusCode::OK, "It.", text),
        )
}

async fn submit(
    State(worker): State<Worker>,
    ScopePath(scope): ScopePath,
    request: Request,
) -> Result<Json<Submitted>, ApiError> {
    let gateway = worker.gateway();
    let (caller, parts, body) = authenticate(gateway.callers(), request).await?;
    let order = order(&read_body(&parts.headers, body, MAX_BODY).await?)?;
    let wanted = Asked { operation: Operation::ChatCompletions, body: &[], answer: Some(0) };
    let mut ticket = Ticket::new(gateway.admission(), &caller, &gateway.limits_of(&caller), &wanted);
    let submitted = gateway
        .batches()
        .submit(&gateway.catalog(&caller.tenant), worker.egress(), &scope, &caller, &mut ticket, order)
        .await;
    let batch = match submitted {
        Ok(batch) => batch,
        Err(BatchError::NotAdmitted) => return Err(ApiError::not_admitted(ticket.refusal())),
        Err(error) => return Err(told(error)),
    };
    Ok(Json(Submitted {
        status: batch.status.as_str(),
        batch_id: batch.asked.id,
        input_file: batch.asked.input_file,
        output_folder_path: batch.asked.output_folder_path,
        task_ids: batch.task_ids,
    }))
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
        // PostgreSQL's text cannot hold a NUL.
        Some(Value::String(text)) if !text.is_empty() && !text.contains('\0') => Ok(Some(text.clone())),
        Some(Value::Null) | None => Ok(None),
        Some(_) => {
            let message = format!("`{name}` must be a string that is not empty and holds no NUL.");
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

async fn list(
    State(worker): State<Worker>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Vec<Summary>>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.callers().authenticate_for(Scope::Inference, &headers).await?;
    let status = wanted_status(query.as_deref().unwrap_or_default())?;
    let batches = gateway.batches().list(&caller, status).await.map_err(told)?;
    Ok(Json(batches.into_iter().map(summary).collect()))
}

fn wanted_status(query: &str) -> Result<Option<BatchStatus>, ApiError> {
    let Some(text) = query.split('&').find_map(|pair| pair.strip_prefix("status=")) else { return Ok(None) };
    BatchStatus::parse(text).map(Some).ok_or_else(|| {
        let known: Vec<&str> = BatchStatus::ALL.iter().map(|status| status.as_str()).collect();
        let message = format!("{text:?} is no status of a batch; it is one of {}.", known.join(", "));
        ApiError::new(ErrorKind::InvalidValue, message).param("status")
    })
}

fn summary(batch: Batch) -> Summary {
    let asked = batch.asked;
    Summary {
        id: asked.id.clone(),
        batch_id: asked.id,
        cluster: asked.cluster,
        framework: asked.framework,
        input_file: asked.input_file,
        in_progress_at: time(batch.in_progress_at),
        completed_at: time(batch.completed_at),
        failed_at: time(batch.failed_at),
        status: batch.status.as_str(),
    }
}

/// RFC 3339, in UTC.
fn time(seconds: Option<i64>) -> Option<String> {
    Some(Timestamp::from_second(seconds?).ok()?.to_string())
}

/// The status, as a JSON string.
async fn status(
    State(worker): State<Worker>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<&'static str>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.callers().authenticate_for(Scope::Inference, &headers).await?;
    let status = gateway.batches().status(&caller, &id).await.map_err(told)?;
    Ok(Json(status.as_str()))
}

/// The result, as a JSON string.
async fn result(
    State(worker): State<Worker>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<String>, ApiError> {
    let gateway = worker.gateway();
    let caller = gateway.callers().authenticate_for(Scope::Inference, &headers).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_says_which_field_is_wrong() {
        for (field, wrong) in
            [("model", json!(1)), ("input_file", json!("a\0")), ("output_folder_path", json!(""))]
        {
            let mut body = json!({ "model": "m", "input_file": "f" });
            assert!(order(body.to_string().as_bytes()).is_ok());
            body[field] = wrong;
            let error = order(body.to_string().as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.status().as_u16()), (E::InvalidValue, 400), "{field}");
        }
    }
}
