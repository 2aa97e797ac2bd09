//! Around every route: the request id, and a log line for what the ledger does not record.

use axum::{extract::Request, middleware::Next, response::Response};
use http::HeaderValue;

use super::extract::RequestId;

/// Marks a response whose request has a ledger entry of its own.
#[derive(Clone, Copy)]
pub(super) struct Recorded;

/// Gives the request its id, and the response the same.
pub(super) async fn edge(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if response.extensions_mut().remove::<Recorded>().is_none() {
        let status = response.status().as_u16();
        tracing::debug!(target: "request", request_id = %id.0, %method, path, status);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}
