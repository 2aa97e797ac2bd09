//! `[telemetry]`: where traces and metrics are sent by OTLP.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{ConfigError, Env, Settings};

/// OpenTelemetry's own variable, which counts where the setting is not there.
const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// `[telemetry]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySection {
    /// A collector that takes OTLP over HTTP, as `http://127.0.0.1:4318`. Unset: `OTEL_EXPORTER_OTLP_ENDPOINT`; without
    /// either nothing is sent.
    pub otlp_endpoint: Option<String>,
    /// Which of the GenAI conventions are followed.
    pub genai_conventions: GenAiConventions,
}

/// OpenTelemetry's conventions for GenAI, which change still.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenAiConventions {
    /// None of them: attributes of HTTP and our own.
    #[default]
    Off,
    /// The newest that this version knows, though they are not stable.
    LatestExperimental,
}

impl Settings {
    /// Where traces and metrics go: a URL that `/v1/traces` is put behind.
    pub fn otlp_endpoint(&self, env: &Env) -> Result<Option<String>, ConfigError> {
        let own = self.telemetry.otlp_endpoint.as_deref().map(|url| ("telemetry.otlp_endpoint", url));
        let Some((name, url)) = own.or_else(|| env.get(VARIABLE).map(|url| (VARIABLE, url))) else {
            return Ok(None);
        };
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
        match Url::parse(url).ok().filter(is_http) {
            Some(parsed) if parsed.query().is_none() && parsed.fragment().is_none() => {
                Ok(Some(url.trim_end_matches('/').to_owned()))
            }
            _ => Err(ConfigError(format!(
                "{name} is no address of a collector; write it like \"http://127.0.0.1:4318\" (OTLP over HTTP)"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_wins_over_the_variable_and_both_are_checked() {
        let env = Env::default().with(VARIABLE, "http://variable:4318/");
        let mut settings = Settings::default();
        assert_eq!(settings.otlp_endpoint(&Env::default()).unwrap(), None);
        assert_eq!(settings.otlp_endpoint(&env).unwrap().as_deref(), Some("http://variable:4318"));
        settings.telemetry.otlp_endpoint = Some("https://setting/base".into());
        assert_eq!(settings.otlp_endpoint(&env).unwrap().as_deref(), Some("https://setting/base"));
        for bad in ["localhost:4318", "grpc://x", "", "http://x?y"] {
            settings.telemetry.otlp_endpoint = Some(bad.into());
            let error = settings.otlp_endpoint(&env).unwrap_err().to_string();
            assert!(error.contains("telemetry.otlp_endpoint"), "{error}");
        }
    }
}
