//! Natively, before a backend that is a closure: `cargo test`.

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::testing::{Answer, Backend, Ran, chat, endpoint, streamed_chat};
use airlock_adaptor::{EndpointInfo, Task};

use super::CustomStreaming;

fn custom() -> EndpointInfo {
    endpoint(json!({ "api_url": "http://backend/v1", "note": "!" }))
}

fn chunk(text: &str) -> Value {
    json!({ "choices": [{ "delta": { "content": text } }] })
}

fn ran(answer: Answer, task: Task) -> Ran {
    Backend::new(move |_| answer.clone()).run::<CustomStreaming>(&custom(), task)
}

#[test]
fn each_event_is_changed_and_handed_on() {
    let usage = json!({ "choices": [], "usage": { "total_tokens": 2 } });
    let ran = ran(Answer::events([&chunk("a"), &chunk("b"), &usage]), streamed_chat());
    assert_eq!(ran.events(), [chunk("a!"), chunk("b!"), usage]);
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_error() {
    let ran = ran(Answer::events([&chunk("a")]).broken_off(), streamed_chat());
    assert_eq!(ran.error().code, "upstream_disconnected");
}

#[test]
fn a_complete_answer_goes_through() {
    let ran = ran(Answer::json(&json!({ "object": "chat.completion" })), chat());
    assert_eq!(ran.json()["object"], "chat.completion");
}
