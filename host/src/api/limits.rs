//! What answers say of the caller's limits.

use std::time::Duration;

use airlock_sandbox::Vendor;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::admission::{Level, Standing, go_duration};

/// Writes the limits down that apply, in the place of a backend's. OpenAI's headers say how long something takes, Anthropic's
/// when it is over: <https://docs.anthropic.com/en/api/rate-limits>.
pub(super) fn tell(standing: &Standing, vendor: Vendor, headers: &mut HeaderMap) {
    for (what, level) in [("requests", standing.requests), ("tokens", standing.tokens)] {
        let Some(Level { limit, remaining, reset }) = level else { continue };
        let (names, reset) = match vendor {
            Vendor::OpenAi => (
                ["limit", "remaining", "reset"].map(|part| format!("x-ratelimit-{part}-{what}")),
                go_duration(reset),
            ),
            Vendor::Anthropic => {
                let name = |part| format!("anthropic-ratelimit-{what}-{part}");
                (["limit", "remaining", "reset"].map(name), at(reset))
            }
        };
        for (name, value) in names.into_iter().zip([limit.to_string(), remaining.to_string(), reset]) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
    }
}

/// The second at which so much time is over, in RFC 3339.
fn at(wait: Duration) -> String {
    let seconds = i64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
    let end = Timestamp::now().as_second().saturating_add(seconds);
    Timestamp::from_second(end).map_or_else(|_| String::new(), |end| end.to_string())
}
