//! What functions on compute nodes post back: `api/streaming/{data|error|done}/`, as FIRST's functions do it.

use airlock_sandbox::{Message, Proof, Undelivered};
use axum::{
    Json,
    extract::{Request, State},
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    api::{
        error::{ApiError, ErrorKind},
        extract::read_body,
        openapi::{About, Api, named},
    },
    gateway::Worker,
};

/// FIRST's limits, in bytes of the body: of data, and of anything else.
const MAX_DATA: usize = 150_000;
const MAX_OTHER: usize = 15_000;

const SECRET: &str = "x-internal-secret";
const TOKEN: &str = "x-stream-task-token";

/// A callback.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = Callback)]
struct Posted {
    /// Which request waits for it.
    #[schema(required = true, nullable = false)]
    task_id: Option<String>,
    /// One event, at `data/`.
    data: Option<String>,
    /// Why there will be no more, at `error/`.
    error: Option<String>,
}

/// That it was taken.
#[derive(Serialize, ToSchema)]
#[schema(as = CallbackTaken)]
struct Taken {
    /// `received` or `ok`
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
}

pub(super) fn routes(api: Api, base: &str) -> Api {
    let about = |summary| {
        let text = || json!({ "type": "string" });
        About::open(summary)
            .takes(named::<Posted>)
            .parameter("header", SECRET, "What the gateway and its backends know.", text())
            .parameter("header", TOKEN, "What only who was asked knows.", text())
            .answers(StatusCode::OK, "It was taken.", named::<Taken>)
            .fails(&[ErrorKind::MissingParameter, ErrorKind::CallbackSecret, ErrorKind::CallbackToken])
    };
    let path = |what| format!("{base}/api/streaming/{what}/");
    let data_about = about("Post an event of a stream").fails(&[ErrorKind::Overloaded]);
    api.post(&path("data"), data, data_about)
        .post(&path("error"), error, about("Say why a stream ends early"))
        .post(&path("done"), done, about("Say that a stream is complete"))
}

async fn data(State(worker): State<Worker>, request: Request) -> Result<Json<Taken>, ApiError> {
    let message = |posted: Posted| posted.data.map(Message::Data).ok_or_else(|| missing("data"));
    take(&worker, request, MAX_DATA, message).await.map(|_| Json(Taken { status: "received", task_id: None }))
}

async fn error(State(worker): State<Worker>, request: Request) -> Result<Json<Taken>, ApiError> {
    let message = |posted: Posted| posted.error.map(Message::Error).ok_or_else(|| missing("error"));
    take(&worker, request, MAX_OTHER, message).await.map(ok)
}

async fn done(State(worker): State<Worker>, request: Request) -> Result<Json<Taken>, ApiError> {
    take(&worker, request, MAX_OTHER, |_| Ok(Message::Done)).await.map(ok)
}

fn ok(id: Uuid) -> Json<Taken> {
    Json(Taken { status: "ok", task_id: Some(id.to_string()) })
}

/// Checks who posts and hands over what came: for which inbox.
async fn take(
    worker: &Worker,
    request: Request,
    limit: usize,
    message: impl FnOnce(Posted) -> Result<Message, ApiError>,
) -> Result<Uuid, ApiError> {
    let callbacks = worker.gateway().sandbox().callbacks();
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, limit).await?;
    let token = shown(&parts.headers, TOKEN);
    // Who shows no token shows nothing, as in FIRST.
    let secret = if token.is_empty() { &[] } else { shown(&parts.headers, SECRET) };
    let posted = serde_json::from_slice::<Posted>(&body);
    let is_trusted = callbacks.is_secret(secret);
    if let (true, Err(error)) = (is_trusted, &posted) {
        let message = format!("The body is not the JSON of a callback: {error}.");
        return Err(ApiError::new(ErrorKind::InvalidJson, message));
    }
    let mut posted = posted.unwrap_or_default();
    let id = posted.task_id.take().map(|id| Uuid::parse_str(&id).unwrap_or_default());
    let message = match id {
        // Who is not trusted learns nothing of what is wrong with the rest.
        _ if !is_trusted => Message::Done,
        None => return Err(missing("task_id")),
        Some(_) => message(posted)?,
    };
    let id = id.unwrap_or_default();
    callbacks.deliver(Proof { secret, id, token }, message).map_err(refusal)?;
    Ok(id)
}

fn shown<'a>(headers: &'a HeaderMap, name: &str) -> &'a [u8] {
    headers.get(name).map_or(&[], |value| value.as_bytes())
}

fn missing(field: &str) -> ApiError {
    ApiError::new(ErrorKind::MissingParameter, format!("`{field}` is missing.")).param(field)
}

fn refusal(why: Undelivered) -> ApiError {
    let (kind, message) = match why {
        Undelivered::Secret => (
            ErrorKind::CallbackSecret,
            "The callback lacks the gateway's secret (`x-internal-secret`) or a token (`x-stream-task-token`).",
        ),
        Undelivered::Token => {
            (ErrorKind::CallbackToken, "No request waits for a callback with this id and token.")
        }
        Undelivered::Overflow => {
            (ErrorKind::Overloaded, "The client reads slower than this arrives; its stream was ended.")
        }
    };
    tracing::warn!(code = kind.row().code, "a callback was refused: {message}");
    ApiError::new(kind, message)
}
