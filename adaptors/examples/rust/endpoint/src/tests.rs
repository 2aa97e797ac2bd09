//! Natively, before a backend that is a closure: `cargo test`.

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::testing::{Answer, Backend, Ran, chat, endpoint};

use super::CustomEndpoint;

/// A chat while the model is in this state.
fn ran(status: &'static str) -> Ran {
    let backend = Backend::new(move |request| match request.url.as_str() {
        "http://backend/status" => Answer::json(&status),
        _ => Answer::json(&json!({ "object": "chat.completion" })),
    });
    let config = json!({ "api_url": "http://backend/v1", "status_url": "http://backend/status" });
    backend.run::<CustomEndpoint>(&endpoint(config), chat())
}

#[test]
fn a_model_that_runs_is_called_with_a_changed_input() {
    let ran = ran("running");
    assert_eq!(ran.json()["object"], "chat.completion");
    assert_eq!(ran.sent[1].url, "http://backend/v1/chat/completions");
    let body: Value = ran.sent[1].json();
    assert_eq!((&body["temperature"], &body["stream"]), (&json!(0), &json!(false)));
}

#[test]
fn a_model_that_does_not_run_is_left_alone() {
    let ran = ran("starting");
    assert_eq!((ran.error().status, ran.error().code.as_str()), (503, "model_not_running"));
    assert_eq!(ran.sent.len(), 1);
}
