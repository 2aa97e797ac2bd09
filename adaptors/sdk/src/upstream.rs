//! The short way to a backend: one call, over the host's connection pool. Every call has a timeout, and every failure says
//! what could not be read; nothing is tried twice.
//!
//! ```
//! use airlock_adaptor::{serde_json::{Value, json}, upstream, testing::{Answer, Backend}};
//!
//! let backend = Backend::new(|request| match request.url.as_str() {
//!     "http://backend/jobs" => Answer::json(&json!({ "echo": request.json() })),
//!     _ => Answer::status(404, "not here"),
//! });
//! backend.within(|| {
//!     let told: Value = upstream::post_json("the jobs", "http://backend/jobs", &json!({ "id": 7 }), 10_000)?;
//!     assert_eq!(told["echo"]["id"], 7);
//!     let error = upstream::get_json::<Value>("the status", "http://backend/status", 10_000).unwrap_err();
//!     assert_eq!((error.status, error.code.as_str()), (502, "upstream_bad_response"));
//!     assert_eq!(error.message, "the status could not be read: the server answered 404");
//! #   Ok::<(), airlock_adaptor::AdaptorError>(())
//! })?;
//! # Ok::<(), airlock_adaptor::AdaptorError>(())
//! ```

use serde::{Serialize, de::DeserializeOwned};

pub use crate::calls::upstream::{Response, send};
use crate::{AdaptorError, UpstreamRequest};

/// How much of a backend's error the client is shown, in bytes.
const ERROR_EXCERPT: usize = 256;

/// The longest answer that [`get`] and [`post`] take, in bytes.
const ANSWER_LIMIT: usize = 8 << 20;

/// Gets a URL: the status of the answer, and all of it. Waits for `timeout_ms` for its head.
pub fn get(url: &str, timeout_ms: u32) -> Result<(u16, Vec<u8>), AdaptorError> {
    call("GET", url, None, timeout_ms)
}

/// Posts JSON to a URL: the status of the answer, and all of it. Waits for `timeout_ms` for its head.
pub fn post(url: &str, body: &impl Serialize, timeout_ms: u32) -> Result<(u16, Vec<u8>), AdaptorError> {
    let body = serde_json::to_vec(body).map_err(|error| {
        AdaptorError::new(500, "adaptor_bad_output", format!("what is to be posted is not JSON: {error}"))
    })?;
    call("POST", url, Some(body), timeout_ms)
}

fn call(
    method: &str,
    url: &str,
    body: Option<Vec<u8>>,
    timeout_ms: u32,
) -> Result<(u16, Vec<u8>), AdaptorError> {
    let json = "application/json";
    let mut headers = vec![("accept".to_owned(), json.to_owned())];
    headers.extend(body.as_ref().map(|_| ("content-type".to_owned(), json.to_owned())));
    let (method, url, timeout_ms) = (method.to_owned(), url.to_owned(), Some(timeout_ms));
    let response = send(&UpstreamRequest { method, url, headers, body, timeout_ms })?;
    Ok((response.status(), read_all(&response, ANSWER_LIMIT)?))
}

/// Gets a URL whose answer is JSON. `what` names it in errors, as in "the model's status". No client asked
/// for this URL: its errors become 502, 503 or 504, whatever the server's own status, and the URL itself, which
/// is the operator's business, goes to the log alone.
pub fn get_json<T: DeserializeOwned>(what: &str, url: &str, timeout_ms: u32) -> Result<T, AdaptorError> {
    told(what, "GET", url, get(url, timeout_ms))
}

/// Posts JSON to a URL whose answer is JSON. Errors are those of [`get_json`].
pub fn post_json<T: DeserializeOwned>(
    what: &str,
    url: &str,
    body: &impl Serialize,
    timeout_ms: u32,
) -> Result<T, AdaptorError> {
    told(what, "POST", url, post(url, body, timeout_ms))
}

fn told<T: DeserializeOwned>(
    what: &str,
    method: &str,
    url: &str,
    answer: Result<(u16, Vec<u8>), AdaptorError>,
) -> Result<T, AdaptorError> {
    let answer = answer.map_err(|error| unreadable(what, error));
    let read = answer.and_then(|(status, body)| parse_json(what, status, &body));
    read.inspect_err(|error| crate::warn!("{method} {url}: {}", error.message))
}

/// What an answer with this status and body says.
fn parse_json<T: DeserializeOwned>(what: &str, status: u16, body: &[u8]) -> Result<T, AdaptorError> {
    let bad = |why| unreadable(what, AdaptorError::bad_upstream("upstream_bad_response", why));
    if !(200..300).contains(&status) {
        return Err(bad(format!("the server answered {status}")));
    }
    serde_json::from_slice(body).map_err(|error| bad(format!("the answer is not what was expected: {error}")))
}

fn unreadable(what: &str, error: AdaptorError) -> AdaptorError {
    AdaptorError { message: format!("{what} could not be read: {}", error.message), ..error }
}

/// Reads a whole body of up to `limit` bytes.
pub fn read_all(response: &Response, limit: usize) -> Result<Vec<u8>, AdaptorError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.read()? {
        if body.len() + chunk.len() > limit {
            let message = format!("the backend's answer is longer than {limit} bytes");
            return Err(AdaptorError::bad_upstream("response_too_large", message));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// True for a status of 200 to 299.
pub fn is_success(response: &Response) -> bool {
    (200..300).contains(&response.status())
}

/// A response that is no success as an error for the client, with the beginning of its body.
pub fn into_error(response: Response) -> AdaptorError {
    let status = response.status();
    let mut excerpt = Vec::new();
    while excerpt.len() < ERROR_EXCERPT
        && let Ok(Some(chunk)) = response.read()
    {
        excerpt.extend_from_slice(&chunk);
    }
    error_of(status, &excerpt)
}

fn error_of(status: u16, excerpt: &[u8]) -> AdaptorError {
    let excerpt = excerpt.get(..ERROR_EXCERPT).unwrap_or(excerpt);
    let text = String::from_utf8_lossy(excerpt);
    let status_shown = match status {
        // The gateway's own credential was refused: the client's was not.
        401 | 403 => 502,
        400..=599 => status,
        _ => 502,
    };
    AdaptorError::new(
        status_shown,
        "upstream_error",
        format!("the backend answered {status}: {}", text.trim()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backends_error_is_shown_and_its_refusal_of_us_is_not_the_clients() {
        assert_eq!(error_of(429, b" slow down\n").message, "the backend answered 429: slow down");
        assert_eq!(error_of(429, b"").status, 429);
        assert_eq!(error_of(401, b"bad key").status, 502);
        assert_eq!(error_of(302, b"").status, 502);
        assert!(error_of(500, &[b'x'; 1000]).message.len() < 300);
    }

    #[test]
    fn an_answer_is_json_or_a_clear_error() {
        let read = |status, body: &str| parse_json::<Vec<u8>>("the list", status, body.as_bytes());
        assert_eq!(read(200, "[1, 2]").unwrap(), [1, 2]);
        for (status, body, why) in [
            (404, "[1]", "the server answered 404"),
            (302, "", "the server answered 302"),
            (200, "{", "the answer is not what was expected: invalid type: map"),
            (200, "", "the answer is not what was expected: EOF"),
        ] {
            let error = read(status, body).unwrap_err();
            assert_eq!((error.status, error.code.as_str()), (502, "upstream_bad_response"));
            let start = format!("the list could not be read: {why}");
            assert!(error.message.starts_with(&start), "{}", error.message);
        }
    }
}
