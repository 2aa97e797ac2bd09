//! The configuration of a cluster or an endpoint.

use airlock_adaptor::config::{Configured, config, timeout_ms};
use airlock_adaptor::direct_api::{ApiUrl, DirectApi};
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, EndpointInfo};

/// How long the manifest is waited for.
const STATUS_SECONDS: f64 = 10.0;

/// The keys that are read here.
#[derive(Clone, Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
pub(crate) struct Settings {
    status_url: Option<String>,
    pub(crate) api_url: Option<String>,
    api_request_timeout: Option<f64>,
}

/// Where the manifest is.
pub(crate) struct Source {
    pub(crate) url: String,
    pub(crate) timeout_ms: u32,
}

impl Settings {
    pub(crate) fn of(owner: &impl Configured) -> Result<Self, AdaptorError> {
        config(owner)
    }

    /// Where the manifest is, checked.
    pub(crate) fn source(&self) -> Result<Source, AdaptorError> {
        const KEY: &str = "status_url";
        let url = self.status_url.clone().ok_or_else(|| {
            let why = "is missing: name the manifest here, or in the cluster's config where the cluster is metis too";
            AdaptorError::invalid_config(KEY, why)
        })?;
        ApiUrl::parse(KEY, &url)?;
        let timeout_ms = timeout_ms("api_request_timeout", self.api_request_timeout, STATUS_SECONDS)?;
        Ok(Source { url, timeout_ms })
    }

    /// The same for an endpoint. Its `api_request_timeout` is for answers of the model, which take longer.
    pub(crate) fn source_for_task(&self) -> Result<Source, AdaptorError> {
        Self { api_request_timeout: None, ..self.clone() }.source()
    }

    /// Checks an endpoint's configuration.
    pub(crate) fn check(&self, endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        let source = self.source_for_task()?;
        // Where there is no `api_url`, URLs come from the manifest; all other keys can be checked now.
        DirectApi::with_url(endpoint, self.api_url.as_deref().unwrap_or(&source.url)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(config: &str) -> EndpointInfo {
        EndpointInfo {
            slug: "c-api-m".to_owned(),
            cluster: "c".to_owned(),
            framework: "api".to_owned(),
            model: "m".to_owned(),
            config: config.to_owned(),
        }
    }

    fn check(config: &str) -> Result<(), String> {
        let endpoint = endpoint(config);
        let checked = Settings::of(&endpoint).and_then(|settings| settings.check(&endpoint));
        checked.map_err(|error| error.message)
    }

    #[test]
    fn a_wrong_key_is_named() {
        for (config, start) in [
            ("{}", "config key `status_url`: is missing: name the manifest"),
            (r#"{"status_url": "h"}"#, "config key `status_url`: must begin with"),
            (r#"{"status_url": 1}"#, "config key `status_url`: invalid type"),
            (r#"{"status_url": "https://h", "api_url": "x"}"#, "config key `api_url`: must begin with"),
            (
                r#"{"status_url": "https://h", "api_request_timeout": 0}"#,
                "config key `api_request_timeout`: 0",
            ),
            (r#"{"status_url": "https://h", "extra_body": 1}"#, "config key `extra_body`: must be an object"),
        ] {
            let message = check(config).unwrap_err();
            assert!(message.starts_with(start), "{config}: {message}");
        }
        assert_eq!(check(r#"{"status_url": "https://h/status"}"#), Ok(()));
        assert_eq!(check(r#"{"status_url": "https://h/status", "api_url": "https://h/v1"}"#), Ok(()));
    }

    #[test]
    fn a_task_waits_no_longer_for_the_manifest_because_it_may_wait_for_its_answer() {
        let endpoint = endpoint(r#"{"status_url": "https://h", "api_request_timeout": 300}"#);
        let settings = Settings::of(&endpoint).unwrap();
        assert_eq!(settings.source().unwrap().timeout_ms, 300_000);
        assert_eq!(settings.source_for_task().unwrap().timeout_ms, 10_000);
    }
}
