//! The server over HTTP: shapes that client libraries rely on.

mod lifetime;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::model_server::{ModelServerConfig, Server, router};

fn config(pace: Duration) -> ModelServerConfig {
    ModelServerConfig { models: vec!["m".into(), "a/b".into()], pace, api_key: Some("key".into()) }
}

fn app() -> Router {
    router(Arc::new(Server { config: config(Duration::ZERO), shutdown: CancellationToken::new() }))
}

async fn send(method: Method, path: &str, key: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let request =
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
    let response = app().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn post(path: &str, body: Value) -> Value {
    let (status, text) = send(Method::POST, path, "key", body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The chunks of a stream; fails if `[DONE]` does not close it.
async fn post_stream(path: &str, body: Value) -> Vec<Value> {
    let (status, text) = send(Method::POST, path, "key", body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let chunks = text.strip_suffix("data: [DONE]\n\n").expect("the stream ends with [DONE]");
    let chunks = chunks.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    chunks.map(|chunk| serde_json::from_str(chunk).unwrap()).collect()
}

/// A chat body; the keys of `more` are added or replace others.
fn chat(more: Value) -> Value {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hello, you!" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn joined<'a>(chunks: &'a [Value], pointer: &str) -> String {
    chunks
        .iter()
        .filter_map(|chunk| chunk.pointer(pointer).and_then(Value::as_str))
        .collect::<Vec<&'a str>>()
        .concat()
}

#[tokio::test]
async fn a_streamed_chat_is_the_plain_one_in_pieces() {
    let plain = post("/v1/chat/completions", chat(json!({}))).await;
    let text = plain["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("You said: “Hello, you!” I am the demo model m;"), "{text}");
    assert_eq!(plain["usage"]["prompt_tokens"], 7);

    let options = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let chunks = post_stream("/v1/chat/completions", chat(options)).await;
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(joined(&chunks, "/choices/0/delta/content"), text);
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], plain["usage"]);
    assert!(others.iter().all(|chunk| chunk["usage"].is_null() && chunk["id"] == last["id"]));
    assert_eq!(others.last().unwrap()["choices"][0]["finish_reason"], "stop");
    assert_eq!(others.len() as u64, 2 + plain["usage"]["completion_tokens"].as_u64().unwrap());
}

#[tokio::test]
async fn without_include_usage_no_chunk_has_usage() {
    let chunks = post_stream("/v1/chat/completions", chat(json!({ "stream": true, "n": 2 }))).await;
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none() && chunk["choices"] != json!([])));
    let ends = chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop");
    assert_eq!(ends.count(), 2);
}

#[tokio::test]
async fn limits_end_an_answer() {
    let answer =
        post("/v1/chat/completions", chat(json!({ "max_tokens": 9, "max_completion_tokens": 3 }))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "You said:");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 3);
    let answer = post("/v1/chat/completions", chat(json!({ "stop": " said", "n": 2 }))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "You");
    assert_eq!(answer["choices"][1]["message"]["content"], "(Answer 2.) You");
    assert_eq!(answer["choices"][1]["finish_reason"], "stop");
}

#[tokio::test]
async fn a_tool_call_makes_a_round_trip() {
    let tool = json!({ "type": "function", "function": { "name": "get_weather", "parameters": {
        "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } } });
    let question = json!({ "role": "user", "content": "What is the weather in Paris?" });
    let body = json!({ "messages": [question], "tools": [tool] });
    let answer = post("/v1/chat/completions", chat(body.clone())).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    let message = &answer["choices"][0]["message"];
    assert!(message["content"].is_null());
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], r#"{"city":"Paris"}"#);

    let mut streamed = chat(body);
    streamed["stream"] = json!(true);
    let chunks = post_stream("/v1/chat/completions", streamed).await;
    let arguments = "/choices/0/delta/tool_calls/0/function/arguments";
    assert_eq!(joined(&chunks, arguments), r#"{"city":"Paris"}"#);
    assert_eq!(joined(&chunks, "/choices/0/delta/tool_calls/0/function/name"), "get_weather");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");

    let result =
        json!({ "role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "18 °C" });
    let body = json!({ "messages": [question, message, result], "tools": [tool] });
    let answer = post("/v1/chat/completions", chat(body)).await;
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("“18 °C”"), "{text}");
}

#[tokio::test]
async fn message_parts_and_null_content_are_read() {
    let parts = json!([{ "type": "text", "text": "Look:" }, { "type": "image_url", "image_url": { "url": "data:" } }]);
    let messages = json!([{ "role": "assistant", "content": null }, { "role": "user", "content": parts }]);
    let answer = post("/v1/chat/completions", chat(json!({ "messages": messages }))).await;
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("You said: “Look: [image_url]”"), "{text}");
}

#[tokio::test]
async fn completions_take_lists_echo_and_stream() {
    let body = json!({ "model": "m", "prompt": ["One", "Two"], "n": 2, "echo": true, "max_tokens": 2 });
    let answer = post("/v1/completions", body.clone()).await;
    let texts: Vec<_> = answer["choices"].as_array().unwrap().iter().map(|choice| &choice["text"]).collect();
    assert_eq!(texts, ["OneYou said", "One(Answer", "TwoYou said", "Two(Answer"]);
    assert_eq!(answer["usage"]["completion_tokens"], 8);
    assert_eq!(answer["choices"][3]["index"], 3);

    let mut streamed = json!({ "model": "m", "prompt": [[1, 2], [3]], "stream": true });
    streamed["stream_options"] = json!({ "include_usage": true });
    let chunks = post_stream("/v1/completions", streamed).await;
    assert_eq!(chunks.last().unwrap()["usage"]["prompt_tokens"], 3);
    assert!(joined(&chunks, "/choices/0/text").starts_with("You said: “1 2”"));
}

#[tokio::test]
async fn embeddings_come_as_numbers_and_as_base64() {
    let body = json!({ "model": "m", "input": ["a", "b", "a"], "dimensions": 6 });
    let answer = post("/v1/embeddings", body).await;
    assert_eq!(answer["data"][0]["embedding"], answer["data"][2]["embedding"]);
    assert_ne!(answer["data"][0]["embedding"], answer["data"][1]["embedding"]);
    assert_eq!(answer["data"][0]["embedding"].as_array().unwrap().len(), 6);
    assert_eq!(answer["usage"], json!({ "prompt_tokens": 3, "total_tokens": 3 }));
    let body = json!({ "model": "m", "input": [[1, 2, 3]], "dimensions": 6, "encoding_format": "base64" });
    let answer = post("/v1/embeddings", body).await;
    assert_eq!(answer["data"][0]["embedding"].as_str().unwrap().len(), 32);
    assert_eq!(answer["usage"]["total_tokens"], 3);
}

#[tokio::test]
async fn models_are_listed_and_ids_may_hold_a_slash() {
    for path in ["/v1/models/a/b", "/v1/models/a%2Fb"] {
        let (status, text) = send(Method::GET, path, "key", "").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["id"], "a/b");
    }
    let (_, text) = send(Method::GET, "/v1/models", "key", "").await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn refusals_have_the_four_keys() {
    let unknown = chat(json!({ "model": "gone" })).to_string();
    let none = chat(json!({ "n": 0 })).to_string();
    let cases = [
        (Method::POST, "/v1/chat/completions", "no", String::new(), 401, "invalid_api_key"),
        (Method::POST, "/v1/nothing", "no", String::new(), 401, "invalid_api_key"),
        (Method::POST, "/v1/chat/completions", "key", unknown, 404, "model_not_found"),
        (Method::POST, "/v1/chat/completions", "key", "{".to_owned(), 400, ""),
        (Method::POST, "/v1/chat/completions", "key", none, 400, ""),
        (Method::GET, "/v1/chat/completions", "key", String::new(), 405, ""),
        (Method::GET, "/v1/nothing", "key", String::new(), 404, ""),
    ];
    for (method, path, key, body, status, code) in cases {
        let (got, text) = send(method, path, key, body).await;
        assert_eq!(got.as_u16(), status, "{path}: {text}");
        let error = serde_json::from_str::<Value>(&text).unwrap()["error"].take();
        let mut keys: Vec<_> = error.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["code", "message", "param", "type"]);
        assert_eq!(error["code"].as_str().unwrap_or_default(), code);
    }
    assert_eq!(send(Method::GET, "/health", "no", "").await.0, StatusCode::OK);
}
