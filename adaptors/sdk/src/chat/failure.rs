//! A backend's refusal as an error for the client.

use serde_json::Value;

use crate::AdaptorError;
use crate::upstream::Response;

/// How much of a refusal is read, in bytes.
const LIMIT: usize = 64 << 10;
/// How much of a backend's words a client is shown, in characters.
const EXCERPT: usize = 1024;

/// An answer of a backend that is no success.
#[derive(Debug)]
pub struct Failure {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The beginning of its body.
    pub body: Vec<u8>,
}

impl Failure {
    /// Reads what the client, or the log, is told.
    pub fn read(response: Response) -> Self {
        let mut body = Vec::new();
        while body.len() < LIMIT
            && let Ok(Some(piece)) = response.read()
        {
            body.extend_from_slice(&piece);
        }
        body.truncate(LIMIT);
        Self { status: response.status(), headers: response.headers(), body }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// `retry-after` in milliseconds, where it gives seconds.
    pub fn retry_after_ms(&self) -> Option<u32> {
        self.header("retry-after")?.trim().parse::<u32>().ok()?.checked_mul(1000)
    }

    /// The error of a backend with OpenAI's API, or one like it.
    pub fn refused(&self) -> AdaptorError {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let error = body.get("error").unwrap_or(&body);
        let message = ["message", "detail"].iter().find_map(|key| error.get(key)?.as_str());
        let message = message.or(error.as_str()).map_or_else(|| self.text(), str::to_owned);
        AdaptorError { retry_after_ms: self.retry_after_ms(), ..refusal(self.status, &message) }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}

/// The error for a client whose backend refused with `status` and said `message`. What concerns the gateway's own
/// credential is not the client's business; that a backend is overloaded makes the gateway try another one.
pub fn refusal(status: u16, message: &str) -> AdaptorError {
    let said: String = message.chars().take(EXCERPT).collect();
    let (status, code) = match status {
        401..=403 => {
            return AdaptorError::new(
                502,
                "upstream_auth_error",
                "the backend refused the gateway's own credential",
            );
        }
        400 | 422 if is_context_length(message) => (400, "context_length_exceeded"),
        408 | 504 => (504, "upstream_timeout"),
        413 => (413, "request_too_large"),
        424 => (502, "upstream_error"),
        429 => (429, "rate_limit_exceeded"),
        503 | 529 => (503, "upstream_overloaded"),
        400..=599 => (status, "upstream_error"),
        _ => (502, "upstream_error"),
    };
    AdaptorError::new(status, code, format!("the backend refused the request: {said}"))
}

/// Backends have no code for a prompt that is too long, and clients need one: they shorten it and try again.
fn is_context_length(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "prompt is too long",
        "input is too long",
        "exceeds the maximum number of tokens",
        "exceed context limit",
        "maximum context length",
    ]
    .iter()
    .any(|phrase| message.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_meaning_for_the_client() {
        for (status, message, expected) in [
            (400, "bad", (400, "upstream_error")),
            (400, "prompt is too long: 3 tokens > 2 maximum", (400, "context_length_exceeded")),
            (401, "key 123", (502, "upstream_auth_error")),
            (403, "arn:aws:iam::1:user/x may not", (502, "upstream_auth_error")),
            (404, "no model", (404, "upstream_error")),
            (429, "slow", (429, "rate_limit_exceeded")),
            (500, "oh", (500, "upstream_error")),
            (529, "busy", (503, "upstream_overloaded")),
            (302, "", (502, "upstream_error")),
        ] {
            let error = refusal(status, message);
            assert_eq!((error.status, error.code.as_str()), expected, "{status} {message}");
        }
        assert!(!refusal(403, "arn:aws:iam::1").message.contains("arn"), "the operator's business");
        assert!(refusal(500, &"x".repeat(10_000)).message.len() < 1100);
    }

    #[test]
    fn a_time_to_wait_is_read_where_it_is_in_seconds() {
        let after = |value: &str| {
            let headers = vec![("retry-after".to_owned(), value.to_owned())];
            Failure { status: 429, headers, body: Vec::new() }.retry_after_ms()
        };
        assert_eq!(after("7"), Some(7000));
        assert_eq!(after("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(after("9999999999"), None);
    }
}
