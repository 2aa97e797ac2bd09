//! Stands in front of another adaptor and does what `config.front` says, then hands the task on:
//!
//! - nothing said: nothing
//! - `trap`, `spin`: as the guests of these names; the next one is not reached
//! - `hold`: takes `config.hold_mib` MiB first, and keeps them
//! - `url`: hands on `config.other` as `api_url`
//! - `body`: sets the field `front` of the body to how often it was called, which is always 1
//! - `twice`: calls the next one, throws its reply away, sets `front` and calls it again
//! - `first`: as `twice`, but with `front` in the first call and the client's own body in the second
//! - `report`: replies with what it was given, and with what the next one would have sent

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::{AdaptorError, EndpointInfo, Reply};
use airlock_guests::{endpoint_json, number, settings, spin, task_json, text};
use airlock_middleware::{Call, Middleware};

struct Front;

static CALLS: AtomicU32 = AtomicU32::new(0);

impl Middleware for Front {
    fn validate(endpoint: &mut EndpointInfo) -> Result<(), AdaptorError> {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let config = settings(endpoint);
        match text(&config, "front") {
            "unhappy" => Err(AdaptorError::invalid_config("front", "makes it unhappy")),
            "url" => endpoint.set_config("api_url", &config["other"]),
            _ => Ok(()),
        }
    }

    fn handle(mut call: Call) -> Result<Reply, AdaptorError> {
        let config = settings(&call.endpoint);
        match text(&config, "front") {
            "trap" => panic!("the front was told to trap"),
            "spin" => spin(),
            "hold" => {
                let held = vec![1_u8; number(&config, "hold_mib", 1) << 20];
                let reply = call.next();
                black_box(&held);
                return reply;
            }
            "url" => call.endpoint.set_config("api_url", &config["other"])?,
            "body" => mark(&mut call)?,
            "twice" => {
                drop(call.next()?);
                mark(&mut call)?;
            }
            "first" => {
                let own = call.body().to_vec();
                mark(&mut call)?;
                drop(call.next()?);
                call.set_body(own);
            }
            "report" => return report(&call),
            _ => {}
        }
        call.next()
    }
}

fn mark(call: &mut Call) -> Result<(), AdaptorError> {
    let count = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    call.edit(|body| body.set("front", &count.to_string()))
}

#[expect(clippy::disallowed_methods, reason = "to look is this guest's business")]
fn report(call: &Call) -> Result<Reply, AdaptorError> {
    let sent = match call.next()? {
        Reply::Forward(request) => json!({"url": request.url, "headers": request.headers}),
        _ => Value::Null,
    };
    let seen = json!({
        "object": "chat.completion",
        "env": std::env::vars().collect::<Vec<_>>(),
        "endpoint": endpoint_json(&call.endpoint),
        "task": task_json(call.task()),
        "sent": sent,
    });
    Ok(Reply::Body(seen.to_string().into_bytes()))
}

airlock_middleware::export_middleware!(Front);
