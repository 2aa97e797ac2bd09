//! Natively, in front of the direct API and a backend that is a closure: `cargo test`.

use airlock_adaptor::serde_json::json;
use airlock_adaptor::testing::{Answer, Backend, Ran, chat, endpoint};
use airlock_middleware::InFront;

use super::CustomMiddleware;

fn ran(refused_word: &str) -> Ran {
    let backend = Backend::new(|_| Answer::json(&json!({ "object": "chat.completion" })));
    let config = json!({ "api_url": "http://backend/v1", "refused_word": refused_word });
    backend.run::<InFront<CustomMiddleware>>(&endpoint(config), chat())
}

#[test]
fn a_chat_gets_a_system_prompt() {
    let ran = ran("forbidden");
    assert_eq!(ran.json()["object"], "chat.completion");
    let first = &ran.sent[0].json()["messages"][0];
    assert_eq!(*first, json!({ "role": "system", "content": "Be polite." }));
}

#[test]
fn a_chat_with_the_word_is_refused() {
    let ran = ran("Hello");
    assert_eq!((ran.error().status, ran.error().code.as_str()), (400, "word_refused"));
    assert!(ran.sent.is_empty());
}
