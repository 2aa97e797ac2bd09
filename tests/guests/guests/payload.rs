//! Hands the host much in one call, as `config.kind` says: `config.count` pieces (1) of `config.bytes` (1), which
//! all lie in the same place of this guest's memory and so cost it nothing. Kinds:
//!
//! - `headers`: of a request to `config.api_url` by `upstream.send`; `forward`: of one to forward
//! - `names`: as `headers`, each with a name of its own
//! - `fields`: of a list of wasi:http headers; `append`: added one by one
//! - `body`: of a request; `log`: a line; `key`, `value`: for the key-value store
//! - `random`: asked of wasi:random
//! - `poll`: the same pollable so many times
//!
//! Replies `{"outcome":…}`. With `config.stream` it happens in the first event of a stream.

use std::mem::ManuallyDrop;

use airlock_adaptor::log::{Level, log};
use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::wasi::clocks::monotonic_clock;
use airlock_adaptor::wasi::http::types::Fields;
use airlock_adaptor::wasi::io::poll;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, UpstreamRequest};
use airlock_adaptor::{key_value, upstream};
use airlock_guests::wasi::random;
use airlock_guests::{number, refusal, settings, text};

struct Payload;

impl EndpointAdaptor for Payload {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        if config["stream"] == true {
            let mut once = Some(config);
            return Ok(Reply::events(move || {
                Ok(once.take().map(|config| json!({"outcome": outcome(&config)}).to_string().into_bytes()))
            }));
        }
        if text(&config, "kind") == "forward" {
            return Ok(Reply::Forward(request(&config, ManuallyDrop::into_inner(headers(&config, false)))));
        }
        Reply::json(&json!({"outcome": outcome(&config)}))
    }
}

/// A text of `bytes` bytes that is never freed.
fn filler(bytes: usize) -> &'static str {
    "x".repeat(bytes).leak()
}

/// Strings that all lie in the same memory: never to be freed or changed.
fn alias(text: &'static str) -> String {
    // SAFETY: the memory lives for ever, and whoever holds the string neither frees nor changes it.
    unsafe { String::from_raw_parts(text.as_ptr().cast_mut(), text.len(), text.len()) }
}

fn headers(config: &Value, own_names: bool) -> ManuallyDrop<Vec<(String, String)>> {
    let (name, value) = (filler(4), filler(number(config, "bytes", 1)));
    let one = |at| (if own_names { format!("x-{at}") } else { alias(name) }, alias(value));
    ManuallyDrop::new((0..number(config, "count", 1)).map(one).collect())
}

fn request(config: &Value, headers: Vec<(String, String)>) -> UpstreamRequest {
    let (method, url) = ("POST".to_owned(), text(config, "api_url").to_owned());
    UpstreamRequest { method, url, headers, body: Some(Vec::new()), timeout_ms: Some(10_000) }
}

fn send(request: UpstreamRequest) -> Value {
    let request = ManuallyDrop::new(request);
    upstream::send(&request).map_or_else(refusal, |response| json!({"status": response.status()}))
}

fn outcome(config: &Value) -> Value {
    let (count, bytes) = (number(config, "count", 1), number(config, "bytes", 1));
    match text(config, "kind") {
        "headers" => send(request(config, ManuallyDrop::into_inner(headers(config, false)))),
        "names" => send(request(config, ManuallyDrop::into_inner(headers(config, true)))),
        "body" => {
            let mut request = request(config, Vec::new());
            request.body = Some(vec![b'x'; bytes]);
            send(request)
        }
        "fields" => fields(count, filler(bytes)),
        "append" => append(count, filler(bytes)),
        "log" => json!(log(Level::Info, filler(bytes))),
        "key" => json!(key_value::get(filler(bytes)).is_some()),
        "value" => json!(format!("{:?}", key_value::set("k", filler(bytes).as_bytes(), None))),
        "random" => json!(random::random::get_random_bytes(bytes as u64).len()),
        "poll" => {
            let pollable = monotonic_clock::subscribe_duration(0);
            json!(poll::poll(&vec![&pollable; count]).len())
        }
        other => panic!("config.kind {other:?} is unknown"),
    }
}

fn fields(count: usize, value: &'static str) -> Value {
    let one = |_| ("x-a".to_owned(), alias(value).into_bytes());
    let entries: ManuallyDrop<Vec<_>> = ManuallyDrop::new((0..count).map(one).collect());
    match Fields::from_list(&entries) {
        Ok(fields) => json!(fields.entries().len()),
        Err(error) => json!(error.to_string()),
    }
}

fn append(count: usize, value: &str) -> Value {
    let fields = Fields::new();
    for at in 0..count {
        if let Err(error) = fields.append(&format!("x-{at}"), value.as_bytes()) {
            return json!(error.to_string());
        }
    }
    json!(count)
}

airlock_adaptor::export_endpoint!(Payload);
