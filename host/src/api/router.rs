//! All routes and all layers.

use std::any::Any;

use axum::{
    Router,
    body::Body,
    middleware,
    response::{IntoResponse as _, Response},
};
use http::{Method, Uri};
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    admin, cors, edge,
    error::{ApiError, ErrorKind},
    extract, first, health, metrics, openai,
    openapi::{Api, Document},
};
use crate::gateway::Worker;

/// The whole surface: its routes, and the description of them.
pub struct Surface {
    routes: Router<Worker>,
    document: Document,
}

impl Surface {
    /// Made once, for all workers.
    pub fn new(has_metrics: bool) -> Self {
        let mut api = health::routes(Api::default());
        if has_metrics {
            api = metrics::routes(api);
        }
        // FIRST's clients come to `/resource_server`, OpenAI's to `/v1`.
        for root in ["", "/resource_server"] {
            for scope in ["", "/{cluster}/{framework}"] {
                api = openai::routes(api, &format!("{root}{scope}/v1"));
            }
        }
        let (routes, document) = admin::routes(first::routes(api, "/resource_server")).finish();
        Self { routes, document }
    }

    /// The description of all routes.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The routes and all layers, for one worker.
    pub fn router(&self, worker: Worker) -> Router {
        let pages = cors::layer(&worker.gateway().settings().cors.allow_origins);
        let mut routes = self
            .routes
            .clone()
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(worker)
            // A panic in one request ends that request. There should be none.
            .layer(CatchPanicLayer::custom(panicked));
        if let Some(pages) = pages {
            routes = routes.layer(middleware::from_fn_with_state(pages, cors::outside_admin));
        }
        // Outermost, so that every answer has a request id.
        routes.layer(middleware::from_fn(edge::edge))
    }
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
