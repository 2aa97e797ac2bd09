//! CORS: which pages in browsers may call the API. None may where nothing is set, and none the admin API.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, Method, header};
use tower::{Layer as _, Service as _};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

/// What pages may read of an answer.
const EXPOSED: [HeaderName; 14] = [
    header::RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("x-airlock-endpoint"),
    HeaderName::from_static("x-airlock-overhead-ms"),
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// How long a browser need not ask again.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// `None` where no page may call.
pub(super) fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::from(Any)
    } else {
        AllowOrigin::list(origins.iter().filter_map(|o| HeaderValue::from_str(o).ok()))
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        // Named one by one: `*` would not mean `authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .max_age(MAX_AGE);
    Some(layer)
}

/// Answers preflights, without a key, and adds its headers to other answers.
pub(super) async fn outside_admin(State(layer): State<CorsLayer>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/admin/") {
        return next.run(request).await;
    }
    let mut service = layer.layer(next);
    match service.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
