//! Sends the requests that the array `requests` of the task's body describes and replies `{"outcomes":[…]}`, for
//! each of them `{"status":n}` or the refusal. By `upstream.send`:
//! `{"method":"GET","url":…,"headers":[[name,value]],"body":…}`. By wasi:http, where there is `authority`:
//! `{"method":…,"scheme":…,"authority":…,"path":…,"headers":…,"body":…}`, every part as it is given. With
//! `"forward":true` in the body, the first one is forwarded.

use airlock_adaptor::serde_json::{self, Value, json};
use airlock_adaptor::wasi::http::outgoing_handler;
use airlock_adaptor::wasi::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, Scheme};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, UpstreamRequest, upstream};
use airlock_guests::wasi::{wait, write};
use airlock_guests::{refusal, text};

struct Requests;

impl EndpointAdaptor for Requests {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(_: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let body: Value = serde_json::from_slice(&task.body).unwrap_or_default();
        let requests = body["requests"].as_array().cloned().unwrap_or_default();
        if body["forward"] == true {
            return Ok(Reply::Forward(described(&requests[0])));
        }
        let send = |request: &Value| {
            let sent = if request["authority"].is_string() {
                by_wasi_http(request)
            } else {
                upstream::send(&described(request)).map(|response| response.status())
            };
            sent.map_or_else(refusal, |status| json!({"status": status}))
        };
        Reply::json(&json!({"outcomes": requests.iter().map(send).collect::<Vec<_>>()}))
    }
}

fn headers(request: &Value) -> Vec<(String, String)> {
    serde_json::from_value(request["headers"].clone()).unwrap_or_default()
}

fn method(request: &Value) -> &str {
    request["method"].as_str().unwrap_or("GET")
}

fn described(request: &Value) -> UpstreamRequest {
    UpstreamRequest {
        method: method(request).to_owned(),
        url: text(request, "url").to_owned(),
        headers: headers(request),
        body: Some(text(request, "body").as_bytes().to_vec()),
        timeout_ms: Some(5_000),
    }
}

/// A refusal of one part.
fn part(name: &str) -> impl Fn(()) -> AdaptorError {
    move |()| AdaptorError::new(502, "part_refused", name)
}

fn by_wasi_http(request: &Value) -> Result<u16, AdaptorError> {
    let refused = |what: &str, why: String| AdaptorError::new(502, what, why);
    let fields = Fields::new();
    for (name, value) in headers(request) {
        fields.append(&name, value.as_bytes()).map_err(|why| refused("header_refused", why.to_string()))?;
    }
    let outgoing = OutgoingRequest::new(fields);
    outgoing.set_method(&Method::Other(method(request).to_owned())).map_err(part("method"))?;
    let scheme = match request["scheme"].as_str() {
        None => Some(Scheme::Http),
        Some("none") => None,
        Some("https") => Some(Scheme::Https),
        Some(other) => Some(Scheme::Other(other.to_owned())),
    };
    outgoing.set_scheme(scheme.as_ref()).map_err(part("scheme"))?;
    outgoing.set_authority(request["authority"].as_str()).map_err(part("authority"))?;
    outgoing.set_path_with_query(request["path"].as_str()).map_err(part("path"))?;
    let body = outgoing.body().map_err(part("body"))?;
    let sent = |why: airlock_adaptor::wasi::http::types::ErrorCode| refused("not_sent", why.to_string());
    let pending = outgoing_handler::handle(outgoing, None).map_err(sent)?;
    let content = text(request, "body").as_bytes();
    // What goes wrong here is told by the response.
    if !content.is_empty()
        && let Ok(stream) = body.write()
    {
        let _ = write(&stream, content);
    }
    let _ = OutgoingBody::finish(body, None);
    wait(&pending).map(|response| response.status()).map_err(sent)
}

airlock_adaptor::export_endpoint!(Requests);
