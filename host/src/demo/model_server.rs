//! The server itself: settings, routes, the key check, and what all answers share.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use super::{chat, completions, embeddings};

/// Room for prompts with images inside.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// How the demo model server behaves.
#[derive(Clone, Debug)]
pub struct ModelServerConfig {
    /// The models it offers. Each of them answers chats, completions and embeddings.
    pub models: Vec<String>,
    /// The pause between two streamed tokens; zero sends them as fast as they are read.
    pub pace: Duration,
    /// If set, every request but `GET /health`, `/status` and `/jobs` must carry this bearer token.
    pub api_key: Option<String>,
}

/// What the handlers share.
pub(super) struct Server {
    pub(super) config: ModelServerConfig,
    pub(super) shutdown: CancellationToken,
}

/// Serves until `shutdown` is cancelled; the caller owns the listener.
///
/// Streams that are open then end with an error event, so that this returns soon.
///
/// # Errors
/// Fails if the listener does.
pub async fn serve(
    listener: TcpListener,
    config: ModelServerConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let server = Arc::new(Server { config, shutdown: shutdown.clone() });
    let listener = listener.tap_io(|socket| {
        // Without it, small events wait for the peer's acknowledgement.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "the demo model server could not set TCP_NODELAY");
        }
    });
    axum::serve(listener, router(server)).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

/// The routes and what lies around them.
pub(super) fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/completions", post(completions::create))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/models", get(list_models))
        .route("/v1/models/{*id}", get(get_model))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .layer(middleware::from_fn_with_state(server.clone(), check_key))
        .route("/health", get(health))
        .route("/status", get(status))
        .route("/jobs", get(jobs))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::map_response(add_headers))
        .with_state(server)
}

impl Server {
    /// Refuses a model that is not on the list.
    pub(super) fn check_model(&self, model: &str) -> Result<(), ApiError> {
        match self.config.models.iter().any(|known| known == model) {
            true => Ok(()),
            false => Err(ApiError::unknown_model(model)),
        }
    }
}

async fn check_key(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let sent = sent.and_then(|value| value.strip_prefix("Bearer "));
    match &server.config.api_key {
        // A plain comparison will do: this key guards nothing but a demo on the loopback address.
        Some(key) if sent != Some(key) => ApiError::wrong_key().into_response(),
        _ => next.run(request).await,
    }
}

/// Real servers send an id and names of their own, and a gateway must not confuse them with its own.
async fn add_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-request-id", HeaderValue::from_static("demo-model-server"));
    headers.insert("openai-organization", HeaderValue::from_static("airlock-demo"));
    response
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Whether the models run, as the examples of endpoint adaptors ask for it.
async fn status() -> Json<Value> {
    Json(json!("running"))
}

/// What runs here, as the examples of cluster adaptors ask for it: in FIRST's form. The guides call the cluster so.
async fn jobs(State(server): State<Arc<Server>>) -> Json<Value> {
    let job = |model: &String| json!({ "Models": model, "Framework": "api", "Cluster": "mine", "Model Status": "running" });
    let running: Vec<_> = server.config.models.iter().map(job).collect();
    Json(json!({ "running": running, "queued": [], "stopped": [], "cluster_status": { "free_nodes": 3 } }))
}

async fn list_models(State(server): State<Arc<Server>>) -> Json<Value> {
    let models: Vec<_> = server.config.models.iter().map(|id| model(id)).collect();
    Json(json!({ "object": "list", "data": models }))
}

async fn get_model(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    server.check_model(&id)?;
    Ok(Json(model(&id)))
}

/// Models have no real birthday; a fixed one keeps the list the same at every start.
fn model(id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": 1_767_225_600, "owned_by": "airlock-demo" })
}

async fn no_route(request: Request) -> ApiError {
    ApiError::no_route(StatusCode::NOT_FOUND, request.method(), request.uri().path())
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::no_route(StatusCode::METHOD_NOT_ALLOWED, request.method(), request.uri().path())
}

/// What all chunks of an answer have in common.
pub(super) struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    /// A head with the present time.
    pub(super) fn new(id: String, model: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { id, created: now.as_secs(), model: model.to_owned() }
    }

    /// A body or a chunk with these choices. `usage` of `None` leaves the key out.
    pub(super) fn body(&self, object: &str, choices: Value, usage: Option<Value>) -> Value {
        let mut body = json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "airlock-demo",
            "choices": choices,
        });
        if let (Some(usage), Some(body)) = (usage, body.as_object_mut()) {
            body.insert("usage".to_owned(), usage);
        }
        body
    }
}

/// Token counts of one answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) prompt: usize,
    pub(super) completion: usize,
}

impl Usage {
    /// The `usage` object.
    pub(super) fn to_json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": { "cached_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 0 },
        })
    }
}
