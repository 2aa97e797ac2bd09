//! Around every route: the request id, the time until the answer's head, paths that nothing can have, and a log line for what the ledger does not record.

use std::time::Instant;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::HeaderValue;
use percent_encoding::percent_decode_str;

use super::{
    error::{ApiError, ErrorKind},
    extract::{RequestId, discard},
};

/// Marks a response whose request has a ledger entry of its own.
#[derive(Clone, Copy)]
pub(super) struct Recorded;

/// Gives the request its id, and the response the same.
pub(super) async fn edge(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = if is_text(&path) {
        next.run(request).await
    } else {
        discard(request.into_body()).await;
        let message = format!("The path {path} is not UTF-8, or holds a NUL: nothing has such a name.");
        ApiError::new(ErrorKind::NotFound, message).into_response()
    };
    if response.extensions_mut().remove::<Recorded>().is_none() {
        let status = response.status().as_u16();
        tracing::debug!(target: "request", request_id = %id.0, %method, path, status);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert("x-request-id", value);
    }
    // Of the gateway and the backend together, so that it takes the place of a backend's.
    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    response.headers_mut().insert("openai-processing-ms", took.into());
    response
}

/// Whether what a path names can be a name at all. PostgreSQL's text cannot hold a NUL.
fn is_text(path: &str) -> bool {
    percent_decode_str(path).decode_utf8().is_ok_and(|path| !path.contains('\0'))
}
