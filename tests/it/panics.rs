//! A panic of the host, of which there should be none, ends the request that it happens in and no other.

use airlock_tests::{TestGateway, error, guest, within};
use serde_json::json;

#[tokio::test]
async fn before_the_answer_it_is_an_internal_error() {
    let gateway = TestGateway::with(guest("trap"), json!({})).await;
    gateway.ledger.panic_at("boom");
    let response = gateway.chat().header("x-request-id", "boom").send().await.unwrap();
    let told = error(response, 500, "internal_error").await.to_string();
    assert!(!told.contains("ledger") && !told.contains(".rs"), "{told}");
    error(gateway.chat().send().await.unwrap(), 502, "adaptor_trap").await;
    assert_eq!(gateway.live_instances(), 0);
}

#[tokio::test]
async fn within_a_stream_it_ends_that_stream() {
    let gateway = TestGateway::with(guest("events"), json!({ "count": 3 })).await;
    gateway.ledger.panic_at("boom");
    let other = gateway.chat_stream().send();
    // Whole or cut off, maybe before the head: its events may all have been made by then.
    let boom = gateway.chat_stream().header("x-request-id", "boom").header("connection", "close");
    if let Ok(broken) = within(boom.send()).await {
        let _ = within(broken.text()).await;
    }
    let other = within(other).await.unwrap().text().await.unwrap();
    assert!(other.ends_with("data: [DONE]\n\n"), "{other}");
    let after = gateway.chat_stream().send().await.unwrap().text().await.unwrap();
    assert!(after.ends_with("data: [DONE]\n\n"), "{after}");
    gateway.idle().await;
}
