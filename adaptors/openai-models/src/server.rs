//! The server: where it is asked, and what it says.

use airlock_adaptor::config::{config, timeout_ms};
use airlock_adaptor::direct_api::ApiUrl;
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, ClusterInfo, upstream, warn};

/// How long each answer is waited for.
const DEFAULT_SECONDS: f64 = 10.0;

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Settings {
    api_url: String,
    health_url: Option<String>,
    api_request_timeout: Option<f64>,
}

/// The answer to `GET /v1/models`, as far as it matters here.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct List {
    data: Vec<Model>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Model {
    id: String,
}

/// One server.
pub(crate) struct Server {
    models_url: String,
    health_url: String,
    /// Whether the configuration names `health_url`. Where it does not, the server may have none.
    has_health: bool,
    timeout_ms: u32,
}

impl Server {
    /// The server that the configuration names.
    pub(crate) fn of(cluster: &ClusterInfo) -> Result<Self, AdaptorError> {
        let settings: Settings = config(cluster)?;
        let api = ApiUrl::parse("api_url", &settings.api_url)?;
        let root = without_version(api.base());
        let operation = if root == api.base() { "v1/models" } else { "models" };
        if let Some(url) = &settings.health_url {
            ApiUrl::parse("health_url", url)?;
        }
        Ok(Self {
            models_url: api.for_operation(operation)?,
            has_health: settings.health_url.is_some(),
            health_url: settings.health_url.unwrap_or_else(|| format!("{root}/health")),
            timeout_ms: timeout_ms("api_request_timeout", settings.api_request_timeout, DEFAULT_SECONDS)?,
        })
    }

    /// The models that it serves; none where it is down.
    pub(crate) fn models(&self) -> Result<Option<Vec<String>>, AdaptorError> {
        let healthy = match upstream::get(&self.health_url, self.timeout_ms) {
            Ok((status, _)) if self.is_healthy(status) => Ok(()),
            Ok((status, _)) => Err(format!("it answered {status}")),
            Err(error) if is_down(&error) => Err(error.message),
            Err(error) => return Err(error),
        };
        if let Err(why) = healthy {
            warn!("GET {}: {why}: the cluster is taken to be down", self.health_url);
            return Ok(None);
        }
        match upstream::get_json::<List>("the server's list of models", &self.models_url, self.timeout_ms) {
            Ok(list) => Ok(Some(list.data.into_iter().map(|model| model.id).collect())),
            Err(error) if is_down(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A health check that nobody named may not exist: bought APIs have none. Then it says nothing.
    fn is_healthy(&self, status: u16) -> bool {
        (200..300).contains(&status) || (!self.has_health && status < 500)
    }
}

/// True where there was no answer at all. Any other error is for the operator to mend.
fn is_down(error: &AdaptorError) -> bool {
    matches!(error.code.as_str(), "upstream_unreachable" | "upstream_timeout" | "upstream_disconnected")
}

/// A base without the version that it ends with, as in `/v1`.
fn without_version(base: &str) -> &str {
    let is_version = |part: &str| {
        part.strip_prefix('v').is_some_and(|number| {
            number.starts_with(|first: char| first.is_ascii_digit())
                && number.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    // What ends with a slash is a scheme: then the last part is the host.
    let split = base.rsplit_once('/').filter(|(root, last)| is_version(last) && !root.ends_with('/'));
    split.map_or(base, |(root, _)| root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(config: &str) -> Result<Server, String> {
        let cluster = ClusterInfo { name: "c".to_owned(), config: config.to_owned(), models: Vec::new() };
        Server::of(&cluster).map_err(|error| error.message)
    }

    #[test]
    fn a_base_may_have_a_version_or_none() {
        for (api_url, models, health) in [
            ("http://h:8000", "http://h:8000/v1/models", "http://h:8000/health"),
            ("http://h:8000/", "http://h:8000/v1/models", "http://h:8000/health"),
            ("http://h:8000/v1", "http://h:8000/v1/models", "http://h:8000/health"),
            ("http://h/v1/", "http://h/v1/models", "http://h/health"),
            ("https://h/v1/chat/completions", "https://h/v1/models", "https://h/health"),
            ("https://h/ai/v1beta?a=b", "https://h/ai/v1beta/models?a=b", "https://h/ai/health"),
            ("https://v1", "https://v1/v1/models", "https://v1/health"),
            ("https://h/vllm", "https://h/vllm/v1/models", "https://h/vllm/health"),
        ] {
            let server = server(&format!(r#"{{"api_url":"{api_url}"}}"#)).unwrap();
            assert_eq!(
                (server.models_url.as_str(), server.health_url.as_str()),
                (models, health),
                "{api_url}"
            );
            assert_eq!(server.timeout_ms, 10_000);
        }
    }

    #[test]
    fn a_health_check_counts_where_it_exists() {
        let implied = server(r#"{"api_url":"https://h"}"#).unwrap();
        let named = server(r#"{"api_url":"https://h","health_url":"https://h/up"}"#).unwrap();
        assert_eq!(named.health_url, "https://h/up");
        for (status, is_implied, is_named) in [
            (200, true, true),
            (204, true, true),
            (404, true, false),
            (500, false, false),
            (503, false, false),
        ] {
            assert_eq!(
                (implied.is_healthy(status), named.is_healthy(status)),
                (is_implied, is_named),
                "{status}"
            );
        }
    }

    #[test]
    fn a_wrong_key_is_named() {
        for (config, start) in [
            ("{}", "config key `api_url`: is missing"),
            (r#"{"api_url":"h"}"#, "config key `api_url`: must begin with"),
            (r#"{"api_url":"https://h","health_url":"up"}"#, "config key `health_url`: must begin with"),
            (r#"{"api_url":"https://h","api_request_timeout":-1}"#, "config key `api_request_timeout`: -1"),
        ] {
            let message = server(config).map(drop).unwrap_err();
            assert!(message.starts_with(start), "{config}: {message}");
        }
    }
}
