//! Holds on to connections: begins `config.count` (1) requests to `config.api_url` by wasi:http and waits for the
//! heads of their responses. With `config.hold` = `responses` it reads no byte of them; with `requests` it
//! reads them to their end, but never ends the body of its requests. Then it streams one event, `{"held":n}`,
//! and never another.

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::wasi::clocks::monotonic_clock;
use airlock_adaptor::wasi::http::types::{IncomingResponse, OutgoingBody};
use airlock_adaptor::wasi::io::streams::StreamError;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::wasi::{post, wait, write};
use airlock_guests::{number, settings, text};

struct Hold;

/// What it does not let go of: an unread response, or the body of a request.
enum Held {
    Response(#[expect(dead_code, reason = "held")] IncomingResponse),
    Request(#[expect(dead_code, reason = "held")] OutgoingBody),
}

impl EndpointAdaptor for Hold {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let mut held = Vec::new();
        Ok(Reply::events(move || {
            if !held.is_empty() {
                monotonic_clock::subscribe_duration(3_600_000_000_000).block();
            }
            held.extend((0..number(&config, "count", 1)).map(|_| hold(&config)));
            Ok(Some(json!({"held": held.len()}).to_string().into_bytes()))
        }))
    }
}

fn hold(config: &Value) -> Held {
    let (body, pending) = post(text(config, "api_url"));
    write(&body.write().expect("its stream"), b"{}").expect("two bytes are taken");
    if text(config, "hold") == "requests" {
        read(&wait(&pending).expect("a response"));
        return Held::Request(body);
    }
    OutgoingBody::finish(body, None).expect("the body ends");
    Held::Response(wait(&pending).expect("a response"))
}

fn read(response: &IncomingResponse) {
    let body = response.consume().expect("the body");
    let stream = body.stream().expect("its stream");
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(_) => {}
            Err(StreamError::Closed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

airlock_adaptor::export_endpoint!(Hold);
