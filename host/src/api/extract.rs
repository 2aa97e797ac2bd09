//! What handlers take from a request: its id, its scope, its body.

use std::{sync::Arc, time::Duration};

use airlock_sandbox::Vendor;
use axum::{
    body::Body,
    extract::{FromRequestParts, RawPathParams, Request},
};
use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use http_body_util::BodyExt as _;
use rand::Rng as _;

use super::error::{ApiError, ErrorKind};
use crate::{
    auth::{self, Caller, Callers},
    chunks::Chunks,
    routing::Scope,
};

/// Longest silence within a request's body.
pub(super) const BODY_IDLE: Duration = Duration::from_secs(30);

/// `x-request-id`: the client's where it is well-formed, else ours.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) Arc<str>);

impl RequestId {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get("x-request-id").and_then(|v| v.to_str().ok());
        match given.filter(|id| is_well_formed(id)) {
            Some(id) => Self(id.into()),
            None => Self(format!("req_{:032x}", rand::rng().random::<u128>()).into()),
        }
    }
}

fn is_well_formed(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

/// The cluster and framework of a path, where it has them.
pub(super) struct ScopePath(pub(super) Scope);

impl<S: Send + Sync> FromRequestParts<S> for ScopePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let mut cluster = None;
        let mut framework = None;
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::new(ErrorKind::NotFound, "The request's path is not UTF-8."))?;
        for (name, value) in &params {
            match name {
                "cluster" => cluster = Some(value.to_owned()),
                "framework" => framework = Some(value.to_owned()),
                _ => {}
            }
        }
        Ok(Self(Scope { within: cluster.zip(framework) }))
    }
}

/// Who asks for inference with a body, before anything of the body is read.
pub(super) async fn authenticate(
    callers: &Callers,
    request: Request,
) -> Result<(Caller, Parts, Body), ApiError> {
    authenticate_as(callers, Vendor::OpenAi, request).await
}

/// The same, of somebody who may show the key as this vendor's clients do.
pub(super) async fn authenticate_as(
    callers: &Callers,
    vendor: Vendor,
    request: Request,
) -> Result<(Caller, Parts, Body), ApiError> {
    let (parts, body) = request.into_parts();
    let caller = match vendor {
        Vendor::OpenAi => callers.authenticate_for(auth::Scope::Inference, &parts.headers).await,
        Vendor::Anthropic => callers.authenticate_either_for(auth::Scope::Inference, &parts.headers).await,
    };
    match caller {
        Ok(caller) => Ok((caller, parts, body)),
        Err(error) => {
            discard(body).await;
            Err(error.into())
        }
    }
}

/// How long the body will be, where that is said.
pub(super) fn announced(headers: &HeaderMap) -> u64 {
    headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// The whole body, up to `limit` bytes.
pub(super) async fn read_body(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    if announced(headers) > limit as u64 {
        discard(body).await;
        return Err(too_large(limit as u64));
    }
    let mut whole = Chunks::default();
    loop {
        let frame = match tokio::time::timeout(BODY_IDLE, body.frame()).await {
            Ok(None) => return Ok(whole.join()),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                return Err(unreadable("the connection broke before the whole body had come"));
            }
            Err(_) => return Err(unreadable("nothing more of it came for 30 seconds")),
        };
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > limit {
                discard(body).await;
                return Err(too_large(limit as u64));
            }
            whole.push(data);
        }
    }
}

fn unreadable(why: &str) -> ApiError {
    ApiError::new(ErrorKind::UnreadableBody, format!("The request body cannot be read: {why}."))
}

pub(super) fn too_large(limit: u64) -> ApiError {
    ApiError::new(
        ErrorKind::BodyTooLarge,
        format!("The request body is larger than {limit} bytes, which is the limit."),
    )
}

/// Reads on for a while: a client that is still sending would not see the answer otherwise.
pub(super) async fn discard(mut body: impl http_body::Body<Data = Bytes> + Unpin) {
    let mut left = 128_usize << 20;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_request_ids_are_taken() {
        let id = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", value.parse().unwrap());
            RequestId::of(&headers).0
        };
        assert_eq!(&*id("abc-1"), "abc-1");
        for bad in ["", "a b", "<script>", &"x".repeat(129)] {
            assert!(id(bad).starts_with("req_"), "{bad}");
        }
        assert_ne!(RequestId::of(&HeaderMap::new()).0, RequestId::of(&HeaderMap::new()).0);
    }
}
