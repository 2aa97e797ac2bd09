//! Answers a request from memory that was answered before: the same operation and body, at the same endpoint. Only
//! complete answers in JSON with status 200 are kept, of up to 64 KiB; streams, sound and answers to forms go through.
//! Of the endpoint's configuration:
//!
//! | key | |
//! |---|---|
//! | `cache_seconds` | for how long an answer counts, 1 to 86400; 300 |
//!
//! All users of an endpoint share its answers. What is kept is gone when the gateway restarts, and may go at any
//! time.

mod key;

use airlock_adaptor::object::Object;
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, EndpointInfo, Reply, config, debug, key_value};
use airlock_middleware::{Call, Middleware};

const DEFAULT_SECONDS: u32 = 300;
const MAX_SECONDS: u32 = 86_400;
/// The gateway takes no longer answers, unless it is told to; longer than 64 KiB are handed on and not kept.
const MAX_ANSWER: usize = 64 << 20;

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Settings {
    cache_seconds: Option<u32>,
}

struct ResponseCache;

impl Middleware for ResponseCache {
    fn validate(endpoint: &mut EndpointInfo) -> Result<(), AdaptorError> {
        let settings: Settings = config(endpoint)?;
        match settings.cache_seconds.unwrap_or(DEFAULT_SECONDS) {
            1..=MAX_SECONDS => Ok(()),
            _ => Err(AdaptorError::invalid_config("cache_seconds", format!("must be 1 to {MAX_SECONDS}"))),
        }
    }

    fn handle(call: Call) -> Result<Reply, AdaptorError> {
        // Of a form the body is not all that was asked; and sound is no JSON.
        if call.is_streamed() || !call.operation().is_json() {
            return call.next();
        }
        let settings: Settings = config(&call.endpoint)?;
        let key = key::of(&call.endpoint, call.operation(), call.body());
        if let Some(answer) = key_value::get(&key) {
            debug!("answered from the cache");
            return Ok(Reply::Body(answer));
        }
        let answer = match call.next_body(MAX_ANSWER)? {
            Ok(answer) => answer,
            Err(reply) => return Ok(reply),
        };
        if Object::parse(&answer).is_err() {
            let message = "the backend's answer is not a JSON object";
            return Err(AdaptorError::bad_upstream("upstream_bad_response", message));
        }
        let milliseconds = settings.cache_seconds.unwrap_or(DEFAULT_SECONDS).saturating_mul(1000);
        if let Err(error) = key_value::set(&key, &answer, Some(milliseconds)) {
            debug!("an answer was not kept: {error:?}");
        }
        Ok(Reply::Body(answer))
    }
}

airlock_middleware::export_middleware!(ResponseCache);
