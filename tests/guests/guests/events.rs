//! Streams `config.count` (3) chunks: `tok0 `, `tok1 `, …; the first has the role, the last the finish
//! reason `stop`. With `usage: true` one more follows, with the usage and no choices. At the chunk
//! numbered `fail_at` it returns the error `guest_failed` (503, retry after 1.5 s), at `bad_at` a
//! payload that holds line feeds, at `trap_at` it traps. A task without a stream gets the whole text.

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::{chunk, completion, settings, usage};

struct Events;

impl EndpointAdaptor for Events {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let text: String = (0..count(&settings(&endpoint))).map(|at| format!("tok{at} ")).collect();
        Reply::json(&completion(&endpoint.model, &text))
    }

    fn submit_streaming_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let mut at = 0;
        Ok(Reply::events(move || {
            let next = event(&config, &endpoint.model, at);
            at += 1;
            next
        }))
    }
}

fn count(config: &Value) -> u64 {
    config["count"].as_u64().unwrap_or(3)
}

/// The event numbered `at`.
fn event(config: &Value, model: &str, at: u64) -> Result<Option<Vec<u8>>, AdaptorError> {
    let count = count(config);
    if config["fail_at"] == at {
        return Err(
            AdaptorError::unavailable("guest_failed", "the guest was told to fail").retry_after(1_500)
        );
    }
    if config["bad_at"] == at {
        return Ok(Some(b"{\"a\":\n\n1}".to_vec()));
    }
    if config["trap_at"] == at {
        panic!("the guest was told to trap");
    }
    if at < count {
        let mut delta = json!({"content": format!("tok{at} ")});
        if at == 0 {
            delta["role"] = json!("assistant");
        }
        let finish_reason = (at + 1 == count).then_some("stop");
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish_reason}]);
        return Ok(Some(chunk(model, choices).to_string().into_bytes()));
    }
    if at == count && config["usage"] == true {
        let mut last = chunk(model, json!([]));
        last["usage"] = usage();
        return Ok(Some(last.to_string().into_bytes()));
    }
    Ok(None)
}

airlock_adaptor::export_endpoint!(Events);
