//! Begins `config.count` requests to `config.api_url` by wasi:http at once, then waits for all of them and replies
//! with how often each outcome came: `{"200":16,"ConnectionLimitReached":984}`.

use std::collections::BTreeMap;

use airlock_adaptor::serde_json::json;
use airlock_adaptor::wasi::http::types::{FutureIncomingResponse, OutgoingBody};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::wasi::{post, wait};
use airlock_guests::{number, settings, text};

struct FanOut;

impl EndpointAdaptor for FanOut {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let begin = |_| begin(text(&config, "api_url"));
        let pending: Vec<_> = (0..number(&config, "count", 1)).map(begin).collect();
        let mut outcomes = BTreeMap::<String, u32>::new();
        for one in &pending {
            let outcome = match wait(one) {
                Ok(response) => response.status().to_string(),
                Err(error) => format!("{error:?}").replace("ErrorCode::", ""),
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
        Reply::json(&json!(outcomes))
    }
}

fn begin(url: &str) -> FutureIncomingResponse {
    let (body, pending) = post(url);
    OutgoingBody::finish(body, None).expect("an empty body");
    pending
}

airlock_adaptor::export_endpoint!(FanOut);
