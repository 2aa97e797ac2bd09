//! The finished description: its bytes, made once, and `GET /openapi.json`.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{About, Components};

const ABOUT: &str = "One OpenAI-compatible API in front of every model backend. Every answer carries `x-request-id`. Every \
    error has OpenAI's shape, or Anthropic's on paths of `messages`; OpenAI's also on paths that do not exist (404 `not_found`) and for methods that a path does not have \
    (405 `method_not_allowed`). A 500 `internal_error` would be a fault of the gateway itself.";

/// The parts of the surface.
const TAGS: [(&str, &str); 4] = [
    ("admin", "What tenants have: made, seen and changed while the gateway runs."),
    ("openai", "OpenAI's API, over all clusters or within one framework of one."),
    ("first", "The same and more for FIRST's clients, in FIRST's shapes."),
    ("gateway", "The gateway itself."),
];

/// The part that a path belongs to.
pub(super) fn tag(path: &str) -> &'static str {
    match path {
        _ if path.starts_with("/admin/") => "admin",
        _ if path.starts_with("/resource_server/") => "first",
        _ if path.contains("/v1/") => "openai",
        _ => "gateway",
    }
}

/// What is said of the description itself.
pub(super) fn about() -> About {
    let openapi = |_: &mut Components| json!({ "type": "object", "required": ["openapi", "info", "paths"] });
    About::open("This description").answers(StatusCode::OK, "OpenAPI 3.1.", openapi).tagged().unchanged()
}

/// The description, as it is served.
#[derive(Debug, Clone)]
pub struct Document {
    bytes: Bytes,
    tag: HeaderValue,
}

impl Document {
    pub(super) fn new(paths: Map<String, Value>, components: Components) -> Self {
        let tags = TAGS.map(|(name, what)| json!({ "name": name, "description": what }));
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Airlock",
                "version": env!("CARGO_PKG_VERSION"),
                "description": ABOUT,
                "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
            },
            "tags": tags,
            "paths": paths,
            "components": components.finish(),
        });
        let text = format!("{document:#}");
        let tag = format!("\"{}\"", hex::encode(Sha256::digest(&text)));
        // Digits and letters: a header can always hold it.
        let tag = HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""));
        Self { bytes: text.into(), tag }
    }

    /// Its text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// `GET /openapi.json`; 304 for who has it already.
    pub(super) fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|tags| tags.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
        let tag = (header::ETAG, self.tag.clone());
        if known.any(|known| known == "*" || known.as_bytes() == self.tag.as_bytes()) {
            return (StatusCode::NOT_MODIFIED, [tag]).into_response();
        }
        let media_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        ([tag, media_type], Body::from(self.bytes.clone())).into_response()
    }
}
