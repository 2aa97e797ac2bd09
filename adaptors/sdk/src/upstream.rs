//! The short way to a backend: one call, over the host's connection pool.

use crate::AdaptorError;
pub use crate::bindings::imports::airlock::adaptor::upstream::{Response, send};

/// How much of a backend's error the client is shown, in bytes.
const ERROR_EXCERPT: usize = 256;

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
}
