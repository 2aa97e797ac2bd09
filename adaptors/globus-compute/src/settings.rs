//! The configuration of endpoints and clusters.

use airlock_adaptor::serde_json::{Map, Value};
use airlock_adaptor::{AdaptorError, ClusterInfo, EndpointInfo, config, serde::Deserialize};

/// How long a task may take, in seconds, where nothing else is configured; FIRST's limit.
const TASK_SECONDS: f64 = 300.0;
/// The same for the first data of a stream (FIRST's), and for what comes after.
const FIRST_DATA_SECONDS: f64 = 30.0;
const IDLE_SECONDS: f64 = 30.0;

/// What both kinds share: how the service is reached. The gateway fills in Globus's own addresses.
#[derive(Debug, Clone, Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
pub(crate) struct Service {
    /// Base URL of the service.
    pub(crate) api_url: String,
    /// Which client's budget calls count against: the name of the variable that holds its id.
    #[serde(default)]
    pub(crate) client_id_env_name: String,
}

/// An endpoint's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
pub(crate) struct EndpointSettings {
    #[serde(flatten)]
    pub(crate) service: Service,
    /// The port of the model server on the compute node.
    pub(crate) api_port: u16,
    /// The Globus Compute endpoint.
    pub(crate) endpoint_uuid: String,
    /// The function that calls the model server.
    pub(crate) function_uuid: String,
    /// The Globus Compute endpoint of batches.
    pub(crate) batch_endpoint_uuid: Option<String>,
    /// The function that runs a batch.
    pub(crate) batch_function_uuid: Option<String>,
    /// How long a task may take, in seconds.
    task_timeout: Option<f64>,
    /// How long a stream may take to begin, in seconds.
    stream_first_timeout: Option<f64>,
    /// How long a stream may be silent, in seconds.
    stream_idle_timeout: Option<f64>,
}

/// How long a stream may take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamTimeouts {
    pub(crate) first: u32,
    pub(crate) idle: u32,
    pub(crate) total: u32,
}

/// A cluster's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
pub(crate) struct ClusterSettings {
    #[serde(flatten)]
    pub(crate) service: Service,
    /// The Globus Compute endpoint on a login node.
    pub(crate) qstat_endpoint_uuid: String,
    /// The function that reads the queue.
    pub(crate) qstat_function_uuid: String,
}

impl EndpointSettings {
    /// Reads and checks an endpoint's configuration.
    pub(crate) fn read(endpoint: &EndpointInfo) -> Result<Self, AdaptorError> {
        let settings: Self = config(endpoint)?;
        check_uuid("endpoint_uuid", &settings.endpoint_uuid)?;
        check_uuid("function_uuid", &settings.function_uuid)?;
        for (key, uuid) in [
            ("batch_endpoint_uuid", &settings.batch_endpoint_uuid),
            ("batch_function_uuid", &settings.batch_function_uuid),
        ] {
            uuid.as_deref().map_or(Ok(()), |uuid| check_uuid(key, uuid))?;
        }
        if settings.batch_endpoint_uuid.is_some() != settings.batch_function_uuid.is_some() {
            let why = "batches need batch_endpoint_uuid and batch_function_uuid; only one is there";
            return Err(AdaptorError::invalid_config("batch_endpoint_uuid", why));
        }
        settings.stream_timeouts()?;
        Ok(settings)
    }

    /// How long a task may take, in milliseconds.
    pub(crate) fn task_timeout_ms(&self) -> Result<u32, AdaptorError> {
        config::timeout_ms("task_timeout", self.task_timeout, TASK_SECONDS)
    }

    pub(crate) fn stream_timeouts(&self) -> Result<StreamTimeouts, AdaptorError> {
        let ms = config::timeout_ms;
        Ok(StreamTimeouts {
            first: ms("stream_first_timeout", self.stream_first_timeout, FIRST_DATA_SECONDS)?,
            idle: ms("stream_idle_timeout", self.stream_idle_timeout, IDLE_SECONDS)?,
            total: self.task_timeout_ms()?,
        })
    }

    /// Endpoint and function of batches, where both are configured.
    pub(crate) fn batch(&self) -> Option<(&str, &str)> {
        Some((self.batch_endpoint_uuid.as_deref()?, self.batch_function_uuid.as_deref()?))
    }
}

impl ClusterSettings {
    /// Reads and checks a cluster's configuration.
    pub(crate) fn read(cluster: &ClusterInfo) -> Result<Self, AdaptorError> {
        let settings: Self = config(cluster)?;
        check_uuid("qstat_endpoint_uuid", &settings.qstat_endpoint_uuid)?;
        check_uuid("qstat_function_uuid", &settings.qstat_function_uuid)?;
        Ok(settings)
    }
}

/// The Globus Compute endpoint that the configuration of one of a cluster's models names.
pub(crate) fn endpoint_uuid(config: &str) -> Option<String> {
    let config: Map<String, Value> = airlock_adaptor::serde_json::from_str(config).ok()?;
    config.get("endpoint_uuid")?.as_str().filter(|uuid| is_uuid(uuid)).map(str::to_owned)
}

/// The text becomes a part of a path: nothing but a UUID may stand there.
fn check_uuid(key: &str, text: &str) -> Result<(), AdaptorError> {
    if is_uuid(text) {
        return Ok(());
    }
    let why =
        "is not a UUID: copy it from `globus-compute-endpoint list`, or from the function's registration";
    Err(AdaptorError::invalid_config(key, why))
}

fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if dashes.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "6a0f3cde-0000-4000-8000-000000000001";

    fn read(config: &str) -> Result<EndpointSettings, AdaptorError> {
        let text = String::new;
        EndpointSettings::read(&EndpointInfo {
            slug: text(),
            cluster: text(),
            framework: text(),
            model: text(),
            config: config.replace("UUID", UUID),
        })
    }

    #[test]
    fn firsts_configuration_is_read_and_mistakes_name_their_key() {
        let whole = r#"{"api_url":"https://x","api_port":8000,"endpoint_uuid":"UUID","function_uuid":"UUID","other":1}"#;
        let settings = read(whole).unwrap();
        assert_eq!((settings.api_port, settings.batch()), (8000, None));
        assert_eq!(settings.task_timeout_ms().unwrap(), 300_000);
        let cases = [
            (whole.replace("8000", "\"8000\""), "api_port"),
            (whole.replace(r#""function_uuid":"UUID""#, r#""function_uuid":"../x""#), "function_uuid"),
            (whole.replace(r#""other":1"#, r#""batch_endpoint_uuid":"UUID""#), "batch_endpoint_uuid"),
            (whole.replace(r#""other":1"#, r#""task_timeout":0"#), "task_timeout"),
            (whole.replace(r#""other":1"#, r#""stream_idle_timeout":-1"#), "stream_idle_timeout"),
            (whole.replace(r#""api_port":8000,"#, ""), "api_port"),
        ];
        for (config, key) in cases {
            let error = read(&config).unwrap_err();
            assert!(error.message.contains(&format!("`{key}`")), "{config}: {}", error.message);
        }
    }
}
