//! What became of a task: its status as the service tells it, and what a failed one's traceback says.

use airlock_adaptor::serde_json::{self, Value};
use airlock_adaptor::{AdaptorError, serde::Deserialize};

use crate::{field, pack};

/// How much of a backend's or a worker's words a client is shown, in bytes.
const EXCERPT: usize = 256;
/// How FIRST's inference function reports a failed call to the model server, and what stands around the answer.
const STATUS_MARK: &str = "API request failed with status code: ";
const BODY_MARK: &str = "\nResponse text: ";
const BODY_END: &str = "\nResponse headers:";

/// The service's word on one task (`/v2/batch_status`, `/v2/tasks/{id}`).
#[derive(Debug, Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
pub(crate) struct TaskStatus {
    #[serde(default)]
    status: String,
    result: Option<String>,
    exception: Option<String>,
    reason: Option<String>,
}

/// What became of a task.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Not done.
    Pending,
    /// Done: its result, as JSON text.
    Done(String),
    /// Failed: what the client is told, and what the worker said.
    Failed(AdaptorError, String),
}

/// Reads a status. Words are compared without case; whatever is neither success nor failure is on its way.
pub(crate) fn of(status: &[u8]) -> Result<Outcome, AdaptorError> {
    let bad = |error| {
        AdaptorError::bad_upstream("upstream_bad_response", format!("the task's status is not JSON: {error}"))
    };
    let TaskStatus { status, result, exception, reason } = serde_json::from_slice(status).map_err(bad)?;
    let is_failed = status.eq_ignore_ascii_case("failed");
    if let (Some(packed), false) = (&result, is_failed) {
        return Ok(match pack::result(packed) {
            Ok(json) => Outcome::Done(json),
            Err(why) => {
                Outcome::Failed(AdaptorError::bad_upstream("upstream_bad_response", why), packed.clone())
            }
        });
    }
    if !is_failed && !status.eq_ignore_ascii_case("success") {
        return Ok(Outcome::Pending);
    }
    let said =
        exception.or(reason).unwrap_or_else(|| "the service gives neither a result nor a reason".into());
    Ok(Outcome::Failed(failure(&said), said))
}

/// The model server's own error where the worker's traceback holds one, else that the task failed.
pub(crate) fn failure(said: &str) -> AdaptorError {
    if let Some((_, after)) = said.split_once(STATUS_MARK) {
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        let body = after.split_once(BODY_MARK).map_or("", |(_, body)| body);
        let body = body.split(BODY_END).next().unwrap_or(body);
        return from_server(digits.parse().unwrap_or(500), body);
    }
    if said.contains("MaxResultSizeExceeded") {
        let message = "the answer is larger than Globus Compute carries (10 MiB)";
        return AdaptorError::bad_upstream("response_too_large", message);
    }
    // The last line of a traceback is the exception; those before it are places in files.
    let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    AdaptorError::bad_upstream(
        "task_failed",
        format!("the task failed on the compute endpoint: {}", excerpt(last)),
    )
}

/// The status that an error object names, 500 where it names none.
pub(crate) fn status_in(error: &Value) -> u16 {
    let code = field(error, "code").as_u64().or_else(|| field(field(error, "error"), "code").as_u64());
    code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500)
}

/// An error of the model server, from its status and body.
pub(crate) fn from_server(status: u16, body: &str) -> AdaptorError {
    let json: Value = serde_json::from_str(body.trim()).unwrap_or_default();
    let error = json.get("error").filter(|error| error.is_object()).unwrap_or(&json);
    let message = ["message", "detail", "error"]
        .iter()
        .find_map(|key| field(error, key).as_str())
        .unwrap_or(body.trim());
    let code = field(error, "code").as_str().unwrap_or("upstream_error");
    // A model server that refuses its own worker says nothing about the client's key.
    let shown = if matches!(status, 401 | 403) || !(400..600).contains(&status) { 502 } else { status };
    AdaptorError::new(shown, code, format!("the model server answered {status}: {}", excerpt(message)))
}

pub(crate) fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(EXCERPT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Outcome {
        of(text.as_bytes()).unwrap()
    }

    #[test]
    fn words_of_the_service_are_read_without_case() {
        for pending in ["waiting-for-ep", "RUNNING", "received", ""] {
            assert_eq!(status(&format!(r#"{{"status":"{pending}"}}"#)), Outcome::Pending);
        }
        let done = r#"{"status":"SUCCESS","result":"11\n\"{\\\"a\\\": 1}\"","completion_t":"1.5"}"#;
        assert_eq!(status(done), Outcome::Done(r#"{"a": 1}"#.into()));
        for failed in [r#"{"status":"Failed","reason":"Unknown task id"}"#, r#"{"status":"success"}"#] {
            assert!(matches!(status(failed), Outcome::Failed(error, _) if error.status == 502), "{failed}");
        }
        assert!(matches!(status(r#"{"status":"success","result":"99\nx"}"#), Outcome::Failed(..)));
        assert!(of(b"[").is_err());
    }

    #[test]
    fn the_model_servers_own_error_is_found_in_a_traceback() {
        let traceback = |status: u16, body: &str| {
            format!(
                "Traceback (most recent call last):\n  File \"/x/y.py\", line 3\nException: Unexpected error of type \
                 Exception: API request failed with status code: {status}\nResponse text: {body}\nResponse headers: {{'a': 'b'}}\n"
            )
        };
        let error =
            failure(&traceback(400, r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#));
        assert_eq!((error.status, error.code.as_str()), (400, "context_length_exceeded"));
        assert_eq!(error.message, "the model server answered 400: too long");
        assert_eq!(
            failure(&traceback(404, r#"{"object":"error","message":"no model","code":404}"#)).code,
            "upstream_error"
        );
        assert_eq!(
            failure(&traceback(503, "busy\nreally")).message,
            "the model server answered 503: busy\nreally"
        );
        assert_eq!(failure(&traceback(401, "no")).status, 502, "the worker's key is not the client's");
        assert_eq!(failure(&traceback(200, "odd")).status, 502);
    }

    #[test]
    fn another_failure_is_shown_by_its_last_line() {
        let error = failure(
            "Traceback:\n  File \"/home/secret/f.py\"\nNameError: name 'requests' is not defined\n\n",
        );
        assert_eq!((error.status, error.code.as_str()), (502, "task_failed"));
        assert_eq!(
            error.message,
            "the task failed on the compute endpoint: NameError: name 'requests' is not defined"
        );
        assert_eq!(failure("… MaxResultSizeExceeded(…)").code, "response_too_large");
        assert!(failure(&"é".repeat(1000)).message.len() < 400);
    }
}
