//! Breaks the contract as `config.kind` says. Bodies: `not-json`, `array`, `empty`, `huge` (of
//! `config.bytes` bytes). Errors: `status` (99), `status-high` (600), `empty-code`, `control`
//! (control characters in code and message). Requests to forward: `url` (not one), `userinfo`,
//! `connect` (the method), `method` (not one), `header` (a line break in the value), `header-name`
//! (one in the name), `transfer-encoding`; those that need a host take `config.api_url`.

use airlock_adaptor::serde_json::Value;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, UpstreamRequest};
use airlock_guests::settings;

struct BadOutput;

impl EndpointAdaptor for BadOutput {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let kind = config["kind"].as_str().unwrap_or_default();
        match kind {
            "not-json" => Ok(Reply::Body(b"this is not JSON".to_vec())),
            "array" => Ok(Reply::Body(b"[1,2,3]".to_vec())),
            "empty" => Ok(Reply::Body(Vec::new())),
            "huge" => Ok(Reply::Body(huge(&config))),
            "status" => Err(AdaptorError::new(99, "odd", "a status below all others")),
            "status-high" => Err(AdaptorError::new(600, "odd", "a status above all others")),
            "empty-code" => Err(AdaptorError::new(500, "", "no code")),
            "control" => Err(AdaptorError::new(500, "a\r\nb", "c\r\nx-injected: 1\r\n\u{1b}[31m\0")),
            _ => Ok(Reply::Forward(request(&config, kind))),
        }
    }
}

/// A JSON object of `config.bytes` bytes (64 MiB).
fn huge(config: &Value) -> Vec<u8> {
    let length = config["bytes"].as_u64().unwrap_or(64 << 20) as usize;
    let frame = br#"{"x":""}"#;
    let filler = "x".repeat(length.saturating_sub(frame.len()));
    format!(r#"{{"x":"{filler}"}}"#).into_bytes()
}

/// A request that must not be sent.
fn request(config: &Value, kind: &str) -> UpstreamRequest {
    let url = config["api_url"].as_str().unwrap_or("http://127.0.0.1:9/v1");
    let mut request = UpstreamRequest {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        timeout_ms: None,
    };
    let mut header = |name: &str, value: &str| request.headers.push((name.to_owned(), value.to_owned()));
    match kind {
        "url" => request.url = "not a url".to_owned(),
        "userinfo" => request.url = url.replacen("://", "://user:secret@", 1),
        "connect" => request.method = "CONNECT".to_owned(),
        "method" => request.method = "GET / HTTP/1.1\r\nhost: x".to_owned(),
        "header" => header("x-a", "1\r\nx-injected: 1"),
        "header-name" => header("x-a: 1\r\nx-injected", "1"),
        "transfer-encoding" => header("transfer-encoding", "chunked"),
        other => panic!("config.kind {other:?} is unknown"),
    }
    request
}

airlock_adaptor::export_endpoint!(BadOutput);
