//! A backend's errors, as far as they help the client: in answers that say so, and in answers that say 200 first.

use std::{str::FromStr as _, time::Duration};

use airlock_sandbox::UpstreamResponse;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

use super::words::Words;

/// Most of an error's body that is read.
const MAX_BODY: usize = 64 << 10;
/// Longest wait for it: the status alone is an answer too.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Answers above this are answers.
const MAX_TOLD: usize = 256 << 10;
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
        _ => Bytes::new(),
    };
    interpret(response.status, &response.headers, &body)
}

/// The error that an event of a stream is, by its name or by what its object says: `{"error": {…}}`, or vLLM's older
/// `{"object": "error", …}`.
pub(super) fn told(payload: &[u8], is_named: bool) -> Option<UpstreamFailure> {
    let json: Value = serde_json::from_slice(payload).unwrap_or(Value::Null);
    let is_error = is_named || is_said(json.get("error")) || is_error_object(&json);
    is_error.then(|| failure(&json, payload))
}

/// The error that a whole answer is. Answers of `responses` may have one among other things, which their clients know.
pub(super) fn told_whole(pieces: &[Bytes]) -> Option<UpstreamFailure> {
    if pieces.iter().map(Bytes::len).sum::<usize>() > MAX_TOLD {
        return None;
    }
    let joined;
    let whole = match pieces {
        [whole] => whole,
        pieces => {
            joined = Bytes::from(pieces.concat());
            &joined
        }
    };
    if !Words::default().may_tell_error(whole) {
        return None;
    }
    let json: Value = serde_json::from_slice(whole).ok()?;
    let is_answer = is_said(json.get("choices")) || json.get("object").is_some_and(|kind| kind == "response");
    let is_error = is_error_object(&json) || is_said(json.get("error")) && !is_answer;
    is_error.then(|| failure(&json, whole))
}

fn is_error_object(json: &Value) -> bool {
    json.get("object").is_some_and(|kind| kind == "error")
}

/// Whether there is something: what the official clients take for an error is what Python takes for true.
fn is_said(value: Option<&Value>) -> bool {
    value.is_some_and(|value| match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    })
}

/// An error that has no status of its own has the one that its code is, where that can be.
fn failure(json: &Value, payload: &[u8]) -> UpstreamFailure {
    let status = text(json, "code").and_then(|code| StatusCode::from_str(&code).ok());
    let status = status.filter(|status| status.is_client_error() || status.is_server_error());
    let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
    let message = said(json).unwrap_or_else(|| shown("the backend told of an error", payload));
    with_message(status, message, json, None)
}

/// What an answer with the status of an error says.
fn interpret(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamFailure {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let message = said(&json).unwrap_or_else(|| shown(&format!("the backend answered {status}"), body));
    with_message(status, message, &json, retry_after(headers))
}

/// The object that describes an error: OpenAI's, or all there is.
fn object_of(json: &Value) -> &Value {
    json.get("error").filter(|error| error.is_object()).unwrap_or(json)
}

fn text(json: &Value, key: &str) -> Option<String> {
    match object_of(json).get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Understands OpenAI's shape, the common `{"detail"}` and `{"message"}`, and `{"error": "…"}`.
fn said(json: &Value) -> Option<String> {
    let short = || json.get("error").and_then(Value::as_str).map(str::to_owned);
    text(json, "message").or_else(short).or_else(|| text(json, "detail"))
}

fn with_message(
    status: StatusCode,
    message: String,
    json: &Value,
    retry_after: Option<Duration>,
) -> UpstreamFailure {
    let [kind, code, param] = ["type", "code", "param"].map(|key| text(json, key));
    let code = code.or_else(|| Some(object_of(json).pointer("/details/error_code")?.as_str()?.to_owned()));
    UpstreamFailure { status, message, kind, code, param, retry_after }
}

fn shown(what: &str, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..SHOWN).unwrap_or(body));
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.trim() {
        "" => format!("{what} and said nothing more"),
        text => format!("{what}: {text}"),
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
    fn an_error_that_is_told_late_has_the_status_of_its_code() {
        for (code, status) in
            [("404", 404), ("\"429\"", 429), ("\"x\"", 502), ("200", 502), ("600", 502), ("null", 502)]
        {
            let payload = format!(r#"{{"error":{{"message":"m","code":{code}}}}}"#);
            let failure = told(payload.as_bytes(), false).unwrap();
            assert_eq!((failure.status.as_u16(), failure.message.as_str()), (status, "m"), "{code}");
        }
        let text = told(b"out of memory", true).unwrap();
        assert_eq!(text.message, "the backend told of an error: out of memory");
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
