//! An endpoint's or a cluster's configuration as a typed value.
//!
//! ```
//! use airlock_adaptor::{config, serde::Deserialize, serde_json::json, testing::endpoint};
//!
//! #[derive(Deserialize)]
//! # #[serde(crate = "airlock_adaptor::serde")]
//! struct Config {
//!     max_tokens: u32,
//! }
//!
//! let Config { max_tokens } = config(&endpoint(json!({ "max_tokens": 200 })))?;
//! assert_eq!(max_tokens, 200);
//! let error = config::<Config>(&endpoint(json!({ "max_tokens": "many" }))).err().unwrap();
//! assert!(error.message.starts_with("config key `max_tokens`: invalid type"));
//! # Ok::<(), airlock_adaptor::AdaptorError>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::object::Object;
use crate::{AdaptorError, ClusterInfo, EndpointInfo};

/// What has a `config`: the text of one JSON object.
pub trait Configured {
    /// The configuration's text.
    fn config_text(&self) -> &str;
}

impl Configured for EndpointInfo {
    fn config_text(&self) -> &str {
        &self.config
    }
}

impl Configured for ClusterInfo {
    fn config_text(&self) -> &str {
        &self.config
    }
}

/// The longest wait that can be configured, in seconds.
pub const MAX_TIMEOUT_SECONDS: f64 = 3600.0;

/// Reads the configuration. The error, `invalid_config`, names the key that is wrong.
pub fn config<'a, T: Deserialize<'a>>(owner: &'a impl Configured) -> Result<T, AdaptorError> {
    let text = owner.config_text();
    serde_json::from_str(text).map_err(|error| explain(text, &error))
}

/// Seconds that the configuration gives under `key`, or else the default, in milliseconds.
pub fn timeout_ms(key: &str, seconds: Option<f64>, default: f64) -> Result<u32, AdaptorError> {
    let seconds = seconds.unwrap_or(default);
    if !(seconds > 0.0 && seconds <= MAX_TIMEOUT_SECONDS) {
        let why = format!("{seconds} is not a time: write seconds above 0, up to {MAX_TIMEOUT_SECONDS}");
        return Err(AdaptorError::invalid_config(key, why));
    }
    // In range by the check above, and less than a millisecond is one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 < seconds <= 3600")]
    Ok((seconds * 1000.0).ceil() as u32)
}

impl EndpointInfo {
    /// Sets a key of the configuration, for the next one in a chain: its URL, say. What may be reached does not
    /// change with it: the host took that from the fixture.
    pub fn set_config(&mut self, key: &str, value: impl Serialize) -> Result<(), AdaptorError> {
        let wrong = |error: serde_json::Error| {
            AdaptorError::new(500, "adaptor_bad_output", format!("config key `{key}` cannot be set: {error}"))
        };
        let json = serde_json::to_string(&value).map_err(wrong)?;
        let mut config = Object::parse(self.config.as_bytes()).map_err(wrong)?;
        config.set(key, &json);
        self.config = config.to_json();
        Ok(())
    }
}

/// Turns serde's error into one that names the key: serde only knows the position.
fn explain(text: &str, error: &serde_json::Error) -> AdaptorError {
    let full = error.to_string();
    let why = full.split(" at line ").next().unwrap_or(&full);
    if let Some(key) = key_at(text, offset(text, error)) {
        return AdaptorError::invalid_config(&key, for_people(why));
    }
    match why.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        Some(key) => AdaptorError::invalid_config(key, "is missing"),
        None => AdaptorError::new(400, "invalid_config", format!("the config is not valid: {full}")),
    }
}

/// The text without Rust's names of numbers.
fn for_people(why: &str) -> String {
    match why.rsplit_once(", expected ") {
        Some((found, "f32" | "f64")) => format!("{found}, expected a number"),
        Some((found, "u8" | "u16" | "u32" | "u64" | "usize")) => format!("{found}, expected a whole number"),
        _ => why.to_owned(),
    }
}

/// Serde's line and column as an offset into the text.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + error.column()
}

/// The top-level key whose value the offset is in or just behind; none outside of values.
fn key_at(text: &str, offset: usize) -> Option<String> {
    let mut depth = 0_u32;
    let mut string_start = None;
    let mut escaped = false;
    let mut last_string = None;
    let mut key = None;
    for (at, byte) in text.bytes().enumerate().take(offset) {
        if let Some(start) = string_start {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    last_string = text.get(start..=at);
                    string_start = None;
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => string_start = Some(at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 1 => key = last_string,
            _ => {}
        }
    }
    // Past the closing brace nothing is wrong with one value, but with the object as a whole.
    let key = key.filter(|_| depth > 0)?;
    serde_json::from_str(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it is read matters")]
    struct Sample {
        url: String,
        #[serde(default)]
        limits: Vec<u8>,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it is read matters")]
    struct Inner {
        name: String,
    }

    fn message(text: &str) -> String {
        let endpoint = EndpointInfo {
            slug: String::new(),
            cluster: String::new(),
            framework: String::new(),
            model: String::new(),
            config: text.to_owned(),
        };
        let error = config::<Sample>(&endpoint).unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (400, "invalid_config"));
        error.message
    }

    #[test]
    fn a_missing_key_is_named() {
        assert_eq!(message("{}"), "config key `url`: is missing");
        assert_eq!(message(r#"{"limits":[1]}"#), "config key `url`: is missing");
        assert_eq!(message(r#"{"url":"u","inner":{}}"#), "config key `inner`: missing field `name`");
    }

    #[test]
    fn a_wrong_type_names_its_key() {
        let wrong = r#"config key `url`: invalid type: integer `7`, expected a string"#;
        assert_eq!(message(r#"{"a: \"b":{"c":1},"url":7}"#), wrong);
        assert_eq!(message("{\n \"limits\": [1],\n \"url\": 7 }"), wrong);
        let key = message(r#"{"limits":[1,"x:{"],"url":"u"}"#);
        assert!(key.starts_with("config key `limits`: invalid type: string"), "{key}");
    }

    #[test]
    fn a_key_is_changed_for_the_next_one_and_others_stay() {
        let mut endpoint = EndpointInfo {
            slug: String::new(),
            cluster: String::new(),
            framework: String::new(),
            model: String::new(),
            config: r#"{"a":{"x" : 1},"api_url":"http://one"}"#.to_owned(),
        };
        endpoint.set_config("api_url", "http://two").unwrap();
        endpoint.set_config("b", [1]).unwrap();
        assert_eq!(endpoint.config, r#"{"a":{"x" : 1},"api_url":"http://two","b":[1]}"#);
        endpoint.config.clear();
        assert_eq!(endpoint.set_config("b", 1).unwrap_err().code, "adaptor_bad_output");
    }

    #[test]
    fn a_config_that_is_no_object_is_refused() {
        assert!(message("[]").starts_with("the config is not valid:"), "{}", message("[]"));
        assert!(message("").starts_with("the config is not valid:"));
    }
}
