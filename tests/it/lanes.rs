//! Guests that compute for long leave their worker's thread, and come back when they are quick again.

use airlock_tests::{TestGateway, error, eventually, guest, within};
use serde_json::json;

async fn spinning() -> TestGateway {
    TestGateway::builder()
        .endpoint("m", guest("spin"), json!({}))
        .endpoint("good", guest("echo"), json!({}))
        .settings(|s| s.sandbox.cpu_ms = 300)
        .start()
        .await
}

#[tokio::test]
async fn a_spinning_guest_leaves_its_workers_thread() {
    let gateway = spinning().await;
    let slow = || gateway.gateway.sandbox().slow_calls();
    for request in [gateway.chat(), gateway.chat_stream()] {
        let asking = tokio::spawn(async { request.send().await.unwrap().text().await.unwrap() });
        eventually(|| slow() == 1).await;
        let text = within(asking).await.unwrap();
        assert!(text.contains("adaptor_cpu_limit"), "{text}");
        eventually(|| slow() == 0).await;
    }
    gateway.idle().await;
}

/// The client goes, and the guest with it, wherever it runs.
#[tokio::test]
async fn a_client_that_goes_ends_a_guest_in_the_slow_lane() {
    let gateway = TestGateway::builder()
        .endpoint("m", guest("spin"), json!({}))
        .settings(|s| s.sandbox.cpu_ms = 600_000)
        .start()
        .await;
    let asking = tokio::spawn(gateway.chat().send());
    eventually(|| gateway.gateway.sandbox().slow_calls() == 1).await;
    asking.abort();
    eventually(|| gateway.gateway.sandbox().slow_calls() == 0).await;
    gateway.idle().await;
}

/// Of eight slots six are taken by guests that spin: a seventh has to wait, and others are served.
#[tokio::test]
async fn slow_guests_leave_a_quarter_of_the_slots_to_others() {
    let gateway = TestGateway::builder()
        .endpoint("m", guest("spin"), json!({}))
        .endpoint("good", guest("echo"), json!({}))
        .settings(|s| s.sandbox.cpu_ms = 600_000)
        .start()
        .await;
    let slow = || gateway.gateway.sandbox().slow_calls();
    let mut spinning = Vec::new();
    for count in 1..=6 {
        spinning.push(tokio::spawn(gateway.chat().send()));
        eventually(|| slow() == count).await;
    }
    error(within(gateway.chat().send()).await.unwrap(), 503, "overloaded").await;
    let mut body = airlock_tests::chat_body(false);
    body["model"] = json!("good");
    for _ in 0..20 {
        let response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    for spins in spinning {
        spins.abort();
    }
    gateway.idle().await;
}
