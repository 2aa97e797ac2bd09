//! Responses and Messages over a backend that speaks chats alone, through the gateway.

use airlock_tests::{TestGateway, Upstream, chunks, error, sse, within};
use serde_json::{Value, json};

async fn before(upstream: &Upstream) -> TestGateway {
    let config = json!({ "api_url": upstream.url(), "speaks": ["chat/completions"] });
    let operations = ["chat/completions", "embeddings", "responses", "messages"];
    TestGateway::builder().operations(&operations).endpoint("m", "direct-api", config).start().await
}

fn response(stream: bool) -> Value {
    json!({ "model": "m", "input": "Hi", "instructions": "Be brief.", "stream": stream })
}

fn message(stream: bool) -> Value {
    json!({
        "model": "m", "max_tokens": 9, "system": "Be brief.", "stream": stream,
        "messages": [{ "role": "user", "content": "Hi" }],
    })
}

fn usage() -> Value {
    json!({ "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7 })
}

fn completion() -> Value {
    let said = json!({ "role": "assistant", "content": "Hello!" });
    json!({ "choices": [{ "index": 0, "message": said, "finish_reason": "stop" }], "usage": usage() })
}

fn stream() -> Vec<String> {
    let chunk = |delta: Value, finish: Value| json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
    let chunks = [
        chunk(json!({ "role": "assistant", "content": "" }), Value::Null),
        chunk(json!({ "content": "Hello!" }), Value::Null),
        chunk(json!({}), json!("stop")),
        json!({ "choices": [], "usage": usage() }),
    ];
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

async fn asked(gateway: &TestGateway, path: &str, body: &Value) -> reqwest::Response {
    within(gateway.post(&format!("/v1/{path}"), body).send()).await.unwrap()
}

async fn complete(response: reqwest::Response) -> Value {
    assert_eq!(response.status(), 200);
    within(response.json()).await.unwrap()
}

/// The names of a stream's events, each of which its JSON has as `type` too.
fn names(text: &str) -> Vec<String> {
    let event = |event: &str| {
        let (name, data) = event.split_once("\ndata: ").unwrap();
        let name = name.strip_prefix("event: ").unwrap().to_owned();
        assert_eq!(serde_json::from_str::<Value>(data).unwrap()["type"], json!(name));
        name
    };
    text.trim_end().split("\n\n").map(event).collect()
}

#[tokio::test]
async fn a_complete_answer_is_one_of_the_clients_api_and_counted() {
    let upstream = Upstream::json(completion()).await;
    let gateway = before(&upstream).await;
    let answer = complete(asked(&gateway, "responses", &response(false)).await).await;
    assert_eq!(answer["output"][0]["content"][0]["text"], "Hello!");
    assert_eq!(answer["usage"]["total_tokens"], 7);
    let answer = complete(asked(&gateway, "messages", &message(false)).await).await;
    assert_eq!(answer["content"][0]["text"], "Hello!");
    assert_eq!(answer["usage"]["output_tokens"], 4);
    for count in [1, 2] {
        let record = gateway.ledger.nth(count).await;
        assert_eq!(record.usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)), Some((3, 4)));
    }
}

#[tokio::test]
async fn a_stream_has_the_events_of_the_clients_api_and_is_counted() {
    let upstream = Upstream::start(|_| async { sse(chunks(stream())) }).await;
    let gateway = before(&upstream).await;
    let text = within(asked(&gateway, "responses", &response(true)).await.text()).await.unwrap();
    let names_of = names(&text);
    assert_eq!(names_of.first().map(String::as_str), Some("response.created"));
    assert_eq!(names_of.last().map(String::as_str), Some("response.completed"));
    let text = within(asked(&gateway, "messages", &message(true)).await.text()).await.unwrap();
    let names_of = names(&text);
    assert_eq!(names_of.first().map(String::as_str), Some("message_start"));
    assert_eq!(names_of.last().map(String::as_str), Some("message_stop"));
    for count in [1, 2] {
        let record = gateway.ledger.nth(count).await;
        assert_eq!(record.usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)), Some((3, 4)));
    }
}

#[tokio::test]
async fn what_a_chat_cannot_say_is_refused_by_its_name() {
    let upstream = Upstream::json(completion()).await;
    let gateway = before(&upstream).await;
    let mut body = response(false);
    body["previous_response_id"] = json!("resp_1");
    let told = error(asked(&gateway, "responses", &body).await, 400, "unsupported_parameter").await;
    assert!(told.to_string().contains("`previous_response_id`"), "{told}");
    let body = json!({ "model": "m", "input": "x" });
    error(asked(&gateway, "embeddings", &body).await, 400, "unsupported_operation").await;
}
