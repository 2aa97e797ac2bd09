//! Asks whether the model runs, before a task goes to the next one: a backend that is down or restarting is not
//! waited for, and a federated model goes on to its next endpoint at once. Of the endpoint's configuration:
//!
//! | key | |
//! |---|---|
//! | `status_url` | required: where to ask, with GET; the answer is read as `manifest.rs` says |
//! | `status_live` | the words that mean that the model runs; `live`, `ok`, `ready`, `running`, in any case |
//! | `status_seconds` | for how long a good answer counts, 0 to 3600; 5 |

mod manifest;

use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, EndpointInfo, Reply, UpstreamRequest, config, key_value, upstream};
use airlock_middleware::{Call, Middleware};

/// A manifest of some thousand models fits.
const MAX_MANIFEST: usize = 1 << 20;
const TIMEOUT_MS: u32 = 5_000;
const RETRY_AFTER_MS: u32 = 10_000;

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Settings {
    status_url: String,
    status_live: Option<Vec<String>>,
    status_seconds: Option<u32>,
}

struct StatusGuard;

impl Middleware for StatusGuard {
    fn validate(endpoint: &mut EndpointInfo) -> Result<(), AdaptorError> {
        let settings: Settings = config(endpoint)?;
        if settings.status_seconds.is_some_and(|seconds| seconds > 3600) {
            return Err(AdaptorError::invalid_config("status_seconds", "must be at most 3600"));
        }
        if settings.status_live.is_some_and(|words| words.is_empty()) {
            return Err(AdaptorError::invalid_config(
                "status_live",
                "names no word: no model would ever run",
            ));
        }
        Ok(())
    }

    fn handle(call: Call) -> Result<Reply, AdaptorError> {
        let settings: Settings = config(&call.endpoint)?;
        let known = format!("status-guard:{}", call.endpoint.slug);
        if key_value::get(&known).is_none() {
            let manifest = fetch(&settings.status_url)?;
            let live = settings.status_live.as_deref();
            manifest::check(&manifest, &call.endpoint.model, live).map_err(|why| {
                AdaptorError::unavailable("model_not_running", why).retry_after(RETRY_AFTER_MS)
            })?;
            if let Some(milliseconds @ 1..) = settings.status_seconds.unwrap_or(5).checked_mul(1000) {
                // What does not fit is asked again.
                let _ = key_value::set(&known, b"live", Some(milliseconds));
            }
        }
        call.next()
    }
}

fn fetch(url: &str) -> Result<Vec<u8>, AdaptorError> {
    let request = UpstreamRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        timeout_ms: Some(TIMEOUT_MS),
    };
    let unknown = |why: String| {
        let message = format!("whether the model runs cannot be found out: {why}");
        AdaptorError::unavailable("model_status_unknown", message).retry_after(RETRY_AFTER_MS)
    };
    let response = upstream::send(&request).map_err(|error| unknown(error.message))?;
    if !upstream::is_success(&response) {
        return Err(unknown(format!("its status page answered {}", response.status())));
    }
    upstream::read_all(&response, MAX_MANIFEST).map_err(|error| unknown(error.message))
}

airlock_middleware::export_middleware!(StatusGuard);
