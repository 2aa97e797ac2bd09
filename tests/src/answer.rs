//! What clients get, taken apart and checked.

use serde_json::{Value, json};

/// A small answer of a backend, with usage.
pub fn completion() -> Value {
    json!({
        "id": "x", "object": "chat.completion", "choices": [],
        "usage": { "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7 },
    })
}

/// The `error` object of an error answer: its status and code are as given, it has OpenAI's four keys and
/// no others, and the answer has a request id.
#[track_caller]
pub fn error(response: reqwest::Response, status: u16, code: &str) -> impl Future<Output = Value> {
    let caller = std::panic::Location::caller();
    async move {
        let got = response.status();
        let headers = response.headers().clone();
        let mut text = super::within(response.text()).await.unwrap();
        text.truncate(text.floor_char_boundary(4096)); // some tests provoke answers of megabytes
        assert_eq!(got, status, "at {caller}: {text}");
        assert_eq!(headers["content-type"], "application/json", "at {caller}: {text}");
        assert!(!headers["x-request-id"].is_empty(), "at {caller}: {text}");
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("at {caller}: {e}: {text}"));
        four_keys(&body, &text);
        assert_eq!(body["error"]["code"], code, "at {caller}: {text}");
        body["error"].clone()
    }
}

fn four_keys(body: &Value, text: &str) {
    assert_eq!(body.as_object().unwrap().len(), 1, "{text}");
    let mut keys: Vec<&str> = body["error"].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["code", "message", "param", "type"], "{text}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(!message.is_empty(), "{text}");
}

/// The payloads of a stream's events, in order.
pub fn events(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect()
}

/// The error that ends a stream: it is the last event, and `[DONE]` is nowhere.
#[track_caller]
pub fn stream_error(text: &str, code: &str) -> Value {
    assert!(!events(text).contains(&"[DONE]"), "{text}");
    let body: Value = serde_json::from_str(events(text).last().expect("an event")).unwrap();
    assert!(body["error"].is_object(), "no error at the end: {text}");
    four_keys(&body, text);
    assert_eq!(body["error"]["code"], code, "{text}");
    body["error"].clone()
}
