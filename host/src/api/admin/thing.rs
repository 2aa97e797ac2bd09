//! One thing of a tenant: how it is shown, and what a request expects of it.

use axum::{
    Json,
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    api::{
        error::{ApiError, ErrorKind},
        extract::read_body,
    },
    store::{Document, Expect},
};

/// Largest body of a definition.
const MAX_BODY: usize = 1 << 20;

/// RFC 3339, in UTC. What has always been there was made at no time.
pub(super) fn time(seconds: i64) -> Option<String> {
    Some(seconds).filter(|seconds| *seconds > 0)?;
    Some(Timestamp::from_second(seconds).ok()?.to_string())
}

/// A document, as clients see it.
pub(super) fn shown(document: &Document) -> Value {
    let spec: Value = serde_json::from_str(&document.body).unwrap_or_default();
    json!({
        "object": document.kind,
        "name": document.name,
        "tenant": document.tenant,
        "revision": document.revision,
        "created_at": time(document.created_at),
        "updated_at": time(document.updated_at),
        "spec": spec,
    })
}

/// The answer with one document, and its revision as `etag`.
pub(super) fn answer(status: StatusCode, document: &Document) -> Response {
    let mut response = (status, Json(shown(document))).into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", document.revision)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// What a request expects to find: `if-match` a revision, `if-none-match: *` nothing.
pub(super) fn expectation(headers: &HeaderMap) -> Result<Expect, ApiError> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Expect::Any),
        (None, Some("*")) => Ok(Expect::Absent),
        (Some(tag), None) => {
            let revision = tag.trim_start_matches("W/").trim_matches('"').parse();
            revision.map(Expect::Revision).map_err(|_| {
                let message =
                    format!("`if-match` names no revision: {tag}. Send the `etag` of the last answer.");
                ApiError::new(ErrorKind::InvalidValue, message).param("if-match")
            })
        }
        _ => {
            let message = "Send `if-match` with an `etag`, or `if-none-match: *`, and not both.";
            Err(ApiError::new(ErrorKind::InvalidValue, message).param("if-none-match"))
        }
    }
}

/// The body as JSON of this shape.
pub(super) async fn body<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, ApiError> {
    let bytes = read_body(headers, body, MAX_BODY).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::new(ErrorKind::InvalidJson, format!("The body does not fit: {error}.")))
}

/// A name that can stand in a path, and in a log line.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), ApiError> {
    let is_good = (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && name.bytes().any(|b| b.is_ascii_alphanumeric());
    if is_good {
        return Ok(());
    }
    let message = format!("{name:?} is no name of {what}: use 1 to 128 letters, digits, `-`, `_` and `.`.");
    Err(ApiError::new(ErrorKind::InvalidValue, message).param("name"))
}
