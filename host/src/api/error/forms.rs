//! The forms that errors have where an operation has one of its own: Anthropic's, and those of events with names.

use airlock_sandbox::{Events, Operation, Vendor};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::ApiError;
use crate::relay::{Cut, RelayError, Rendered};

impl ApiError {
    /// As the answer to this operation.
    pub(in crate::api) fn answer(self, operation: Operation, request_id: &str) -> Response {
        let body = match operation.vendor() {
            Vendor::OpenAi => self.body(),
            Vendor::Anthropic => self.anthropic(request_id),
        };
        self.with_body(body)
    }

    /// An error inside a stream.
    pub fn render(error: RelayError, cut: &Cut<'_>) -> Rendered {
        let error = Self::from(error);
        let json = match (cut.operation.vendor(), cut.operation.events()) {
            (Vendor::Anthropic, _) => error.anthropic(cut.request_id),
            (Vendor::OpenAi, Some(Events::Named(_) | Events::Either(_))) => error.numbered(cut.next_number),
            (Vendor::OpenAi, _) => error.body(),
        };
        Rendered { cause: error.cause(), code: error.code, json }
    }

    /// Anthropic's form (`ErrorResponse` of its SDKs, which read the code from `details`). The types follow the status.
    fn anthropic(&self, request_id: &str) -> Bytes {
        let details = json!({ "error_code": self.code });
        let error =
            json!({ "type": anthropic_type(self.status), "message": self.message, "details": details });
        json!({ "type": "error", "error": error, "request_id": request_id }).to_string().into()
    }

    /// OpenAI's event `error` with the fields of `ResponseErrorEvent`. The official clients raise on `error`, and on
    /// nothing else.
    fn numbered(&self, number: u64) -> Bytes {
        let mut event = json!({
            "type": "error", "code": self.code, "message": self.message, "param": self.param,
            "sequence_number": number,
        });
        let body: Value = self.openai();
        if let (Some(event), Some(error)) = (event.as_object_mut(), body.get("error")) {
            event.insert("error".into(), error.clone());
        }
        event.to_string().into()
    }
}

/// Anthropic's types of errors, by status: <https://docs.anthropic.com/en/api/errors>.
fn anthropic_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_of_anthropics_types() {
        for (status, type_) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (405, "invalid_request_error"),
            (413, "request_too_large"),
            (422, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (503, "overloaded_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ] {
            assert_eq!(anthropic_type(StatusCode::from_u16(status).unwrap()), type_, "{status}");
        }
    }
}
