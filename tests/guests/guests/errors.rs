//! Returns the error that the configuration describes: `status` (500), `code`, `message`,
//! `retry_after_ms`. With `config.at` = `validate` it returns it there too.

use airlock_adaptor::serde_json::Value;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::settings;

struct Errors;

impl EndpointAdaptor for Errors {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        let config = settings(endpoint);
        if config["at"] == "validate" { Err(error(&config)) } else { Ok(()) }
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        Err(error(&settings(&endpoint)))
    }
}

fn error(config: &Value) -> AdaptorError {
    let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
    AdaptorError {
        status: config["status"].as_u64().unwrap_or(500) as u16,
        code: text("code"),
        message: text("message"),
        retry_after_ms: config["retry_after_ms"].as_u64().map(|milliseconds| milliseconds as u32),
    }
}

airlock_adaptor::export_endpoint!(Errors);
