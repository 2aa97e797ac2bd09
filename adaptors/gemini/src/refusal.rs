//! The errors of the Gemini API.

use airlock_adaptor::chat::{Failure, refusal};
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, serde_json};

/// The body of a refusal, and the payload of an error inside a stream.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
pub(crate) struct Refused {
    error: Status,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Status {
    code: u16,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

/// What is known of `google.rpc.ErrorInfo` and `google.rpc.RetryInfo`.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct Detail {
    reason: Option<String>,
    retry_delay: Option<String>,
}

/// Understands a refusal.
pub(crate) fn read(failure: &Failure) -> AdaptorError {
    let told = match serde_json::from_slice::<Refused>(&failure.body) {
        Ok(refused) => refused.into_error(),
        Err(_) => refusal(failure.status, &failure.text()),
    };
    AdaptorError { retry_after_ms: told.retry_after_ms.or(failure.retry_after_ms()), ..told }
}

impl Refused {
    pub(crate) fn into_error(self) -> AdaptorError {
        let Status { code, message, details } = self.error;
        let has_reason = |reason: &str| details.iter().any(|detail| detail.reason.as_deref() == Some(reason));
        // A wrong key is a bad request to this API.
        let code = if has_reason("API_KEY_INVALID") { 401 } else { code };
        let wait = details.iter().filter_map(|detail| detail.retry_delay.as_deref()).find_map(milliseconds);
        AdaptorError { retry_after_ms: wait, ..refusal(code, &message) }
    }
}

/// A `google.protobuf.Duration`, for example `34.5s`.
fn milliseconds(duration: &str) -> Option<u32> {
    let seconds: f64 = duration.strip_suffix('s')?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range by the filter")]
    Some(seconds)
        .filter(|seconds| (0.0..=1e6).contains(seconds))
        .map(|seconds| (seconds * 1000.0).ceil() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("34s", Some(34_000)),
            ("0.5s", Some(500)),
            ("34", None),
            ("-1s", None),
            ("NaNs", None),
            ("1e300s", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }
}
