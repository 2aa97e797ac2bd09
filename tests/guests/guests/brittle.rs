//! Relays what its backend says, but for what `config.brittle` names:
//!
//! - `status`: panics where the backend refuses
//! - `silence`: panics where no answer comes
//! - `hide`: tells a refusal as a success
//! - `endless`: a stream never ends, whatever the backend says
//! - `spin`, `grow`: as the guests of these names, which no gate lets pass

use airlock_adaptor::direct_api::DirectApi;
use airlock_adaptor::serde_json::json;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, upstream};
use airlock_guests::{completion, settings, spin, take_memory, text};

struct Brittle;

impl EndpointAdaptor for Brittle {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        DirectApi::new(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let how = text(&config, "brittle");
        match how {
            "endless" if task.stream => {
                return Ok(Reply::events(|| Ok(Some(json!({ "more": "to come" }).to_string().into_bytes()))));
            }
            "spin" => spin(),
            "grow" => take_memory(),
            _ => {}
        }
        let response = upstream::send(&DirectApi::new(&endpoint)?.request(&task)?);
        assert!(how != "silence" || response.is_ok(), "no answer came");
        let response = response?;
        match how {
            "status" => assert!(upstream::is_success(&response), "the backend refused"),
            "hide" => return Reply::json(&completion(&endpoint.model, "all is well")),
            _ => {}
        }
        Ok(Reply::Relay(response))
    }
}

airlock_adaptor::export_endpoint!(Brittle);
