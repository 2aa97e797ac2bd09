//! Sends the task upstream under the direct API's configuration `config.times` (2), each time without a body of its own,
//! and replies `{"task":…,"outcomes":[…]}`: the status of each, or its error. With `config.body` that goes out in the place
//! of the client's. With `config.forward` it forwards at last.

use airlock_adaptor::direct_api::DirectApi;
use airlock_adaptor::serde_json::json;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, upstream};
use airlock_guests::{number, refusal, settings, task_json};

struct Resend;

impl EndpointAdaptor for Resend {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        DirectApi::new(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let mut request = DirectApi::new(&endpoint)?.request(&task)?;
        request.body = config["body"].as_str().map(|body| body.as_bytes().to_vec());
        let send = |_| upstream::send(&request).map_or_else(refusal, |answer| json!(answer.status()));
        let outcomes: Vec<_> = (0..number(&config, "times", 2)).map(send).collect();
        if config["forward"] == true {
            return Ok(Reply::Forward(request));
        }
        Reply::json(&json!({"task": task_json(&task), "outcomes": outcomes}))
    }
}

airlock_adaptor::export_endpoint!(Resend);
