//! Stands in front of another adaptor and numbers the events of its stream: `nth` counts from 1, `through` says how
//! many of these have seen the event. At the event numbered `config.nth_traps_at` it traps. A complete answer goes
//! through untouched.

use airlock_adaptor::serde_json::{self, Value, json};
use airlock_adaptor::{AdaptorError, Reply};
use airlock_guests::settings;
use airlock_middleware::{Call, Middleware};

struct Nth;

impl Middleware for Nth {
    fn handle(call: Call) -> Result<Reply, AdaptorError> {
        let traps_at = settings(&call.endpoint)["nth_traps_at"].as_u64();
        let mut nth = 0;
        call.next_events(move |payload| {
            nth += 1;
            if traps_at == Some(nth) {
                panic!("it was told to trap");
            }
            numbered(&payload, nth)
        })
    }
}

fn numbered(payload: &[u8], nth: u64) -> Result<Vec<u8>, AdaptorError> {
    let bad =
        |error| AdaptorError::bad_upstream("upstream_bad_event", format!("an event is not JSON: {error}"));
    let mut event: Value = serde_json::from_slice(payload).map_err(bad)?;
    event["nth"] = json!(nth);
    event["through"] = json!(event["through"].as_u64().unwrap_or_default() + 1);
    serde_json::to_vec(&event).map_err(bad)
}

airlock_middleware::export_middleware!(Nth);
