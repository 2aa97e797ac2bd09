//! Reads the backend's stream, changes each event, and hands it on as it comes.

use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::serde_json::{self, Value};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_adaptor::{config, direct_api::DirectApi, sse, upstream};

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Config {
    /// What is put behind each piece of text.
    note: String,
}

struct CustomStreaming;

impl EndpointAdaptor for CustomStreaming {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        config::<Config>(endpoint)?;
        DirectApi::new(endpoint).map(drop)
    }

    /// Complete answers go through as they are.
    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        DirectApi::new(&endpoint)?.run(task)
    }

    fn submit_streaming_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let Config { note } = config(&endpoint)?;
        let response = upstream::send(&DirectApi::new(&endpoint)?.request(&task)?)?;
        if !upstream::is_success(&response) {
            return Ok(Reply::Relay(response)); // the backend's own error
        }
        // The gateway asks for one event at a time: a slow client slows the backend down.
        let mut events = sse::Events::new(response);
        Ok(Reply::events(move || events.next_event()?.map(|event| noted(&event.data, &note)).transpose()))
    }
}

/// A chunk of a chat with the note behind its text.
fn noted(event: &[u8], note: &str) -> Result<Vec<u8>, AdaptorError> {
    let broken =
        |error| AdaptorError::bad_upstream("upstream_bad_response", format!("an event is not JSON: {error}"));
    let mut event: Value = serde_json::from_slice(event).map_err(broken)?;
    if let Some(Value::String(text)) = event.pointer_mut("/choices/0/delta/content")
        && !text.is_empty()
    {
        text.push_str(note);
    }
    Ok(event.to_string().into_bytes())
}

airlock_adaptor::export_endpoint!(CustomStreaming);

#[cfg(test)]
mod tests;
