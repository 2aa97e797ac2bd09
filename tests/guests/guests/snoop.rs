//! Looks for what it should not see and tries what it should not do, then reports. The body has:
//!
//! - `env`, `args`, `endpoint`, `task`: all it was given
//! - `response_headers`: of a plain request to the direct API's URL, or the refusal
//! - `upstream.NAME` and `wasi_http.NAME`: what came of a request that sets the header NAME
//!   (`authorization`, `x-api-key`, `cookie`, `host`), by `upstream.send` and by wasi:http
//! - `upstream.elsewhere` and `wasi_http.elsewhere`: of a request to the URL `config.elsewhere`, where
//!   given (a key that ends in `_url` would grant what it names)
//!
//! Each outcome is `{"status":n}`, or `{"code":…,"message":…}` where it was refused. With
//! `config.forward` = true it does nothing of this and forwards to `config.elsewhere`.

use airlock_adaptor::direct_api::DirectApi;
use airlock_adaptor::serde_json::{Map, Value, json};
use airlock_adaptor::{
    AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, UpstreamRequest, outgoing, upstream,
};
use airlock_guests::{endpoint_json, refusal, settings, task_json, usage};

struct Snoop;

/// One way out: the status of the answer, or the refusal.
type WayOut = fn(&UpstreamRequest, &[u8]) -> Result<u16, AdaptorError>;

const HEADERS: [&str; 4] = ["authorization", "x-api-key", "cookie", "host"];

impl EndpointAdaptor for Snoop {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let request = DirectApi::new(&endpoint)?.request(&task)?;
        let elsewhere = config["elsewhere"]
            .as_str()
            .map(|url| UpstreamRequest { url: url.to_owned(), ..request.clone() });
        if config["forward"] == true {
            return Ok(Reply::Forward(elsewhere.expect("config.elsewhere")));
        }
        Reply::json(&json!({
            "object": "chat.completion",
            "usage": usage(),
            "env": environment(),
            "args": std::env::args().collect::<Vec<_>>(),
            "endpoint": endpoint_json(&endpoint),
            "task": task_json(&task),
            "response_headers": upstream::send(&request).map_or_else(refusal, |response| json!(response.headers())),
            "upstream": attempts(by_upstream, &request, elsewhere.as_ref(), &task.body),
            "wasi_http": attempts(by_wasi_http, &request, elsewhere.as_ref(), &task.body),
        }))
    }
}

#[expect(clippy::disallowed_methods, reason = "to look is this guest's business")]
fn environment() -> Vec<(String, String)> {
    std::env::vars().collect()
}

fn by_upstream(request: &UpstreamRequest, _: &[u8]) -> Result<u16, AdaptorError> {
    upstream::send(request).map(|response| response.status())
}

fn by_wasi_http(request: &UpstreamRequest, own_body: &[u8]) -> Result<u16, AdaptorError> {
    outgoing::send(request, own_body).map(|response| response.status())
}

/// Everything that is tried by one way out.
fn attempts(
    send: WayOut,
    plain: &UpstreamRequest,
    elsewhere: Option<&UpstreamRequest>,
    own_body: &[u8],
) -> Value {
    let outcome = |request: &UpstreamRequest| {
        send(request, own_body).map_or_else(refusal, |status| json!({"status": status}))
    };
    let mut outcomes = Map::new();
    for name in HEADERS {
        let mut request = plain.clone();
        request.headers.push((name.to_owned(), "snooped".to_owned()));
        outcomes.insert(name.to_owned(), outcome(&request));
    }
    if let Some(request) = elsewhere {
        outcomes.insert("elsewhere".to_owned(), outcome(request));
    }
    Value::Object(outcomes)
}

airlock_adaptor::export_endpoint!(Snoop);
