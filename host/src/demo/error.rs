//! Refusals in OpenAI's form: one object with the four keys `message`, `type`, `param` and `code`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

/// A refused request.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl ApiError {
    /// 400 for a value that the server cannot use.
    pub(super) fn bad_request(message: impl Into<String>, param: Option<&'static str>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into(), param, code: None }
    }

    /// The body could not be read: too large, or cut off.
    pub(super) fn unreadable(status: StatusCode, message: String) -> Self {
        Self { status, message, param: None, code: None }
    }

    /// 401 for a missing or wrong key. The key itself is not repeated: answers end up in logs.
    pub(super) fn wrong_key() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            message: "Incorrect API key provided to the demo model server.".to_owned(),
            param: None,
            code: Some("invalid_api_key"),
        }
    }

    /// 404 for a model that this server does not offer.
    pub(super) fn unknown_model(model: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("The model `{model}` does not exist on the demo model server."),
            param: Some("model"),
            code: Some("model_not_found"),
        }
    }

    /// 404 or 405 for a path or a method without a handler.
    pub(super) fn no_route(status: StatusCode, method: &http::Method, path: &str) -> Self {
        Self { status, message: format!("Invalid URL ({method} {path})"), param: None, code: None }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = error_body(&self.message, "invalid_request_error", self.param, self.code);
        (self.status, Json(body)).into_response()
    }
}

/// The error object, as a response body and as an event inside a stream.
pub(super) fn error_body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}
