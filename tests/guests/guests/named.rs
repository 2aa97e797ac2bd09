//! Streams what `config.events` lists, each as one event; with `config.fails`, the error `guest_failed` (503) comes
//! after them. A task without a stream gets `config.body`.

use airlock_adaptor::serde_json::Value;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::settings;

struct Named;

impl EndpointAdaptor for Named {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        Reply::json(&settings(&endpoint)["body"])
    }

    fn submit_streaming_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let listed: Vec<Value> = config["events"].as_array().cloned().unwrap_or_default();
        let mut events = listed.into_iter();
        Ok(Reply::events(move || match events.next() {
            Some(event) => Ok(Some(event.to_string().into_bytes())),
            None if config["fails"] == true => {
                Err(AdaptorError::unavailable("guest_failed", "the guest was told to fail"))
            }
            None => Ok(None),
        }))
    }
}

airlock_adaptor::export_endpoint!(Named);
