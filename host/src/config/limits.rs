//! `[limits]`: what each key, user and tenant may use, and where it is counted.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::ConfigError;

/// What one key, user or tenant may use. 0: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests in any second.
    pub requests_per_second: u64,
    /// Requests in any minute.
    pub requests_per_minute: u64,
    /// Tokens in any minute, of prompts and answers.
    pub tokens_per_minute: u64,
    /// Tokens in a day (UTC).
    pub tokens_per_day: u64,
    /// Requests whose last byte is not gone.
    pub concurrent_requests: u64,
    /// Bytes of a request's body.
    pub body_bytes: u64,
}

/// `[limits]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Of each key.
    pub key: Limits,
    /// Of each user.
    pub user: Limits,
    /// Of each tenant whose own settings say nothing else.
    pub tenant: Limits,
    /// A Redis server that counts for several gateways. Unset: each counts for itself.
    pub redis: Option<RedisUrl>,
    /// What holds while it cannot be reached.
    pub redis_lost: RedisLost,
    /// How long an answer of it is waited for, in milliseconds.
    pub redis_timeout_ms: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            key: Limits::default(),
            user: Limits::default(),
            tenant: Limits::default(),
            redis: None,
            redis_lost: RedisLost::Local,
            redis_timeout_ms: 100,
        }
    }
}

impl LimitsSection {
    /// Without time nothing can be asked.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.redis_timeout_ms == 0 {
            return Err("limits.redis_timeout_ms must be at least 1".to_owned());
        }
        Ok(())
    }
}

/// What holds while the Redis server cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisLost {
    /// Each gateway counts for itself, by the same limits.
    Local,
    /// What has a limit is refused.
    Refuse,
}

/// Such as `redis://:password@host:6379/0`. It may hold a password, so it is shown without it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// All of it, for who connects.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for RedisUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let known = ["redis", "redis+unix"];
        match Url::parse(text) {
            Ok(url) if known.contains(&url.scheme()) => Ok(Self(text.to_owned())),
            _ => Err(ConfigError(
                "limits.redis is no address of a Redis server; it is written redis://:PASSWORD@HOST:PORT/NUMBER or \
                 redis+unix:///PATH; it is not spoken to over TLS (what it says is not shown here)"
                    .to_owned(),
            )),
        }
    }
}

impl<'de> Deserialize<'de> for RedisUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Scheme, server and path.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(url) = Url::parse(&self.0) else { return f.write_str("redis://…") };
        write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_the_server_has_no_password() {
        let text = "redis://me:s3cret@cache.example.org:6380/1";
        let url: RedisUrl = text.parse().unwrap();
        assert_eq!(format!("{url:?}"), "redis://cache.example.org:6380/1");
        assert_eq!(url.secret(), text);
        assert_eq!(
            "redis+unix:///run/r.sock".parse::<RedisUrl>().unwrap().to_string(),
            "redis+unix:///run/r.sock"
        );
        for bad in ["s3cret", "http://me:s3cret@x/y", "rediss://me:s3cret@x/0"] {
            let error = bad.parse::<RedisUrl>().unwrap_err().to_string();
            assert!(error.contains("limits.redis") && !error.contains("s3cret"), "{error}");
        }
    }
}
