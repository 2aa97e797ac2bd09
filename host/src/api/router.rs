//! All routes and all layers.

use std::any::Any;

use airlock_sandbox::Operation;
use axum::{
    Router,
    body::Body,
    middleware,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{Method, Uri};
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    admin, edge,
    error::{ApiError, ErrorKind},
    extract, first, health, metrics, openai,
};
use crate::gateway::Worker;

/// The whole surface, for one worker.
pub fn router(worker: Worker) -> Router {
    let mut router = Router::new().route("/health", get(health::health)).route("/ready", get(health::ready));
    if worker.gateway().settings().metrics {
        router = router.route("/metrics", get(metrics::metrics));
    }
    // FIRST's clients come to `/resource_server`, OpenAI's to `/v1`.
    for root in ["", "/resource_server"] {
        for scope in ["", "/{cluster}/{framework}"] {
            router = router.merge(openai_routes(&format!("{root}{scope}/v1")));
        }
    }
    router
        .merge(first::routes("/resource_server"))
        .merge(admin::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(worker)
        // A panic in one request ends that request. There should be none.
        .layer(CatchPanicLayer::custom(panicked))
        // Outermost, so that every answer has a request id.
        .layer(middleware::from_fn(edge::edge))
}

fn openai_routes(base: &str) -> Router<Worker> {
    let mut router = Router::new()
        .route(&format!("{base}/models"), get(openai::models::list))
        .route(&format!("{base}/models/{{*id}}"), get(openai::models::retrieve));
    for operation in Operation::ALL {
        let path = format!("{base}/{}", operation.path());
        router = router.route(&path, openai::tasks::route(operation));
    }
    router
}

async fn not_found(method: Method, uri: Uri, body: Body) -> Response {
    extract::discard(body).await;
    let message = format!("Unknown request URL: {method} {}.", uri.path());
    ApiError::new(ErrorKind::NotFound, message).into_response()
}

async fn method_not_allowed(method: Method, uri: Uri, body: Body) -> Response {
    extract::discard(body).await;
    let message = format!("Not allowed to {method} on {}.", uri.path());
    ApiError::new(ErrorKind::MethodNotAllowed, message).into_response()
}

fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let cause = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(cause, "a request panicked");
    ApiError::new(ErrorKind::Internal, ErrorKind::Internal.row().when).into_response()
}
