//! A backend's error answer, as far as it helps the client.

use std::time::Duration;

use airlock_sandbox::UpstreamResponse;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

/// Most of an error's body that is read.
const MAX_BODY: usize = 64 << 10;
/// Longest wait for it: the status alone is an answer too.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Most of a body that is no OpenAI error, in bytes, that is shown. FIRST shows as much.
const SHOWN: usize = 256;

/// What a backend said went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFailure {
    /// Its status.
    pub status: StatusCode,
    /// Its sentence.
    pub message: String,
    /// Its `error.type`.
    pub kind: Option<String>,
    /// Its `error.code`, or Anthropic's `error.details.error_code`.
    pub code: Option<String>,
    /// Its `error.param`.
    pub param: Option<String>,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
}

pub(super) async fn read(response: UpstreamResponse) -> UpstreamFailure {
    let body = Limited::new(response.body, MAX_BODY).collect();
    let body = match tokio::time::timeout(MAX_WAIT, body).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        _ => bytes::Bytes::new(),
    };
    interpret(response.status, &response.headers, &body)
}

/// Understands OpenAI's shape, the common `{"detail"}` and `{"message"}`, and plain text.
fn interpret(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamFailure {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = json.get("error").filter(|e| e.is_object()).unwrap_or(&json);
    let text = |key: &str| match error.get(key)? {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    };
    let message = text("message")
        .or_else(|| json.get("error").and_then(Value::as_str).map(str::to_owned))
        .or_else(|| text("detail"))
        .unwrap_or_else(|| shown(status, body));
    UpstreamFailure {
        status,
        message,
        kind: text("type"),
        code: text("code").or_else(|| error.pointer("/details/error_code")?.as_str().map(str::to_owned)),
        param: text("param"),
        retry_after: retry_after(headers),
    }
}

fn shown(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..SHOWN).unwrap_or(body));
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.trim() {
        "" => format!("the backend answered {status} and said nothing more"),
        text => format!("the backend answered {status}: {text}"),
    }
}

/// `retry-after-ms`, else `retry-after` in seconds. Dates are rare here, and left out.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(body: &str) -> UpstreamFailure {
        interpret(StatusCode::BAD_REQUEST, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn the_usual_shapes_of_errors_are_understood() {
        let openai = failure(
            r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        );
        assert_eq!(openai.message, "too long");
        assert_eq!(openai.code.as_deref(), Some("context_length_exceeded"));
        assert_eq!(openai.param.as_deref(), Some("messages"));
        let anthropic = failure(
            r#"{"type":"error","error":{"type":"not_found_error","message":"gone","details":{"error_code":"thread_not_found"}}}"#,
        );
        assert_eq!(
            (anthropic.message.as_str(), anthropic.code.as_deref()),
            ("gone", Some("thread_not_found"))
        );
        for body in [r#"{"message":"m"}"#, r#"{"detail":"m"}"#, r#"{"error":"m"}"#] {
            assert_eq!(failure(body).message, "m", "{body}");
        }
        assert!(failure("<html>\n".repeat(100).as_str()).message.len() < 400);
        assert!(failure("").message.contains("400"));
    }

    #[test]
    fn retry_after_is_read_in_both_spellings() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "7".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(7)));
        headers.insert("retry-after-ms", "1500".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_millis(1500)));
        headers.insert("retry-after-ms", "-1".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }
}
