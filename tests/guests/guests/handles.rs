//! Makes handles and gives none back, `config.count` (for ever) of the kind `config.of`: `events` (a resource of
//! its own), `pollables`, `fields`, `requests` (of wasi:http). Then replies `{"made":n}`.

use std::mem::forget;

use airlock_adaptor::serde_json::json;
use airlock_adaptor::wasi::clocks::monotonic_clock;
use airlock_adaptor::wasi::http::types::{Fields, OutgoingRequest};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, EventStream, Events, Reply, Task};
use airlock_guests::{number, settings, text};

struct Handles;

impl EndpointAdaptor for Handles {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let make: fn() = match text(&config, "of") {
            "events" => || forget(EventStream::new(Events::new(|| Ok(None)))),
            "pollables" => || forget(monotonic_clock::subscribe_duration(0)),
            "fields" => || forget(Fields::new()),
            "requests" => || forget(OutgoingRequest::new(Fields::new())),
            other => panic!("config.of {other:?} is unknown"),
        };
        let count = number(&config, "count", usize::MAX);
        for _ in 0..count {
            make();
        }
        Reply::json(&json!({"made": count}))
    }
}

airlock_adaptor::export_endpoint!(Handles);
