//! The direct API with a check before it: asks whether the model runs, and changes what is sent.

use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_adaptor::{config, direct_api::DirectApi, info, upstream};

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Config {
    status_url: String,
}

struct CustomEndpoint;

impl EndpointAdaptor for CustomEndpoint {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        config::<Config>(endpoint)?;
        DirectApi::new(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        // Ask first, so that a backend that is not ready is left alone.
        let Config { status_url } = config(&endpoint)?;
        let status: String = upstream::get_json("the model's status", &status_url, 10_000)?;
        if status != "running" {
            let message = format!("the model {} is {status}: try again later", endpoint.model);
            return Err(AdaptorError::unavailable("model_not_running", message));
        }
        // Change the input, log, and leave the rest to the direct API.
        let mut api = DirectApi::new(&endpoint)?;
        api.set_field("stream", task.stream)?;
        api.set_field("temperature", 0)?;
        info!("calling the model {}", endpoint.model);
        Ok(Reply::Forward(api.request(&task)?))
    }
}

airlock_adaptor::export_endpoint!(CustomEndpoint);

#[cfg(test)]
mod tests;
