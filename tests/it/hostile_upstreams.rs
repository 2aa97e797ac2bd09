//! Backends that mean harm: each request to one ends in an error of its own, and the gateway serves on.

use airlock_tests::{RawUpstream, TestGateway, error, within};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Sends `head`, then `piece` again and again for as long as anybody listens.
async fn endless(head: &'static str, piece: String) -> RawUpstream {
    RawUpstream::start(move |mut stream| {
        let piece = piece.clone();
        async move {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(piece.as_bytes()).await.is_ok() {}
        }
    })
    .await
}

#[tokio::test]
async fn endless_heads_are_cut_off_and_the_worker_serves_on() {
    let cases = [
        ("one endless header", "HTTP/1.1 200 OK\r\nx-a: ", "y".repeat(1000)),
        ("endless headers", "HTTP/1.1 200 OK\r\n", "x-a: y\r\n".repeat(100)),
        ("endless status", "HTTP/1.1 200 ", "y".repeat(1000)),
        ("no head at all", "", "y".repeat(1000)),
        ("endless hints", "", "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned()),
        ("endless leave to go on", "", "HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
    ];
    for (what, head, piece) in cases {
        let upstream = endless(head, piece).await;
        let gateway = TestGateway::builder()
            .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
            .endpoint("wasi", "direct-api-wasi", json!({ "api_url": upstream.url() }))
            .settings(|s| s.egress.head_seconds = 1)
            .start()
            .await;
        for model in ["m", "wasi"] {
            let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
            let asking = tokio::spawn(gateway.post("/v1/chat/completions", &body).send());
            let health = within(gateway.request("GET", "/health").send()).await.unwrap();
            assert_eq!(health.status(), 200, "{what}");
            let response = within(asking).await.unwrap().unwrap();
            let (status, code) = if response.status() == 504 {
                (504, "upstream_timeout")
            } else {
                (502, "upstream_disconnected")
            };
            error(response, status, code).await;
            gateway.idle().await;
        }
        assert_eq!(gateway.gateway.open_calls(), 0, "{what}");
    }
}

/// A chunk's size may have an extension, which nobody reads and anybody can make long.
#[tokio::test]
async fn a_body_that_is_all_framing_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    for piece in [format!("1;{}\r\n:\r\n", "x".repeat(4000)), "0;x".repeat(1000)] {
        let upstream = endless(head, piece).await;
        let gateway = TestGateway::builder()
            .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
            .settings(|s| {
                s.max_answer_seconds = 1;
                s.egress.idle_seconds = 1;
            })
            .start()
            .await;
        let response = within(gateway.chat_stream().send()).await.unwrap();
        let text = within(response.text()).await.unwrap();
        assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
        gateway.idle().await;
        assert_eq!(gateway.gateway.open_calls(), 0);
    }
}

/// What stands behind a complete answer belongs to nobody: the next request does not get it.
#[tokio::test]
async fn an_answer_that_was_not_asked_for_is_given_to_nobody() {
    let upstream = RawUpstream::start(|mut stream| async move {
        let mut request = [0; 16384];
        while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
            let honest = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"own\":\"1\"}";
            let smuggled = "HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"others\":\"2\"}";
            let _ = stream.write_all(format!("{honest}{smuggled}").as_bytes()).await;
        }
    })
    .await;
    let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    for _ in 0..5 {
        let text = within(gateway.chat().send()).await.unwrap().text().await.unwrap();
        assert!(!text.contains("others"), "{text}");
    }
}
