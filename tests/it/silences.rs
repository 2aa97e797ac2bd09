//! Streams that fall silent for longer than proxies wait.

use std::time::Duration;

use airlock_tests::{TestGateway, Upstream, chat_body, guest, stream_error, within};
use serde_json::json;

const ONE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"ONE\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const COMMENT: &str = ": keep-alive\n\n";

/// A comment comes where nothing has come for a while, never within an event, and never as the first byte.
#[tokio::test]
async fn a_silent_stream_gets_comments_between_its_events() {
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite")] {
        let (upstream, feed) = Upstream::fed().await;
        let gateway = TestGateway::builder()
            .endpoint("m", &adaptor, json!({ "api_url": upstream.url() }))
            .settings(|s| s.keep_alive_seconds = 1)
            .start()
            .await;
        let mut response = within(gateway.chat_stream().send()).await.unwrap();
        assert_eq!(within(response.chunk()).await.unwrap().unwrap(), COMMENT, "{adaptor:?}");
        let (half, rest) = ONE.split_at(20);
        feed.send(half);
        assert_eq!(within(response.chunk()).await.unwrap().unwrap(), COMMENT, "{adaptor:?}");
        feed.send(rest);
        assert_eq!(within(response.chunk()).await.unwrap().unwrap(), ONE, "{adaptor:?}");
        assert_eq!(within(response.chunk()).await.unwrap().unwrap(), COMMENT, "{adaptor:?}");
        feed.send(DONE);
        drop(feed);
        assert_eq!(within(response.text()).await.unwrap(), DONE);
        let record = gateway.ledger.one().await;
        assert!(record.first_byte.unwrap() > Duration::from_secs(2), "a comment is no answer: {record:?}");
    }
}

#[tokio::test]
async fn named_events_get_comments_too() {
    let (upstream, feed) = Upstream::fed().await;
    let gateway = TestGateway::builder()
        .operations(&["messages"])
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .settings(|s| s.keep_alive_seconds = 1)
        .start()
        .await;
    let mut body = chat_body(true);
    body["max_tokens"] = json!(5);
    let mut response = within(gateway.post("/v1/messages", &body).send()).await.unwrap();
    assert_eq!(within(response.chunk()).await.unwrap().unwrap(), COMMENT);
    feed.send("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    drop(feed);
    assert!(within(response.text()).await.unwrap().contains("message_stop"));
}

/// The backend's silence is the backend's: comments do not count, and without the setting there are none.
#[tokio::test]
async fn comments_keep_no_backend_alive() {
    for (seconds, has_comments) in [(1, true), (0, false)] {
        for adaptor in ["direct-api".into(), guest("rewrite")] {
            let (upstream, feed) = Upstream::fed().await;
            let gateway = TestGateway::builder()
                .endpoint("m", &adaptor, json!({ "api_url": upstream.url() }))
                .settings(|s| {
                    s.keep_alive_seconds = seconds;
                    s.egress.idle_seconds = 3;
                })
                .start()
                .await;
            let response = within(gateway.chat_stream().send()).await.unwrap();
            let text = within(response.text()).await.unwrap();
            assert_eq!(text.contains(COMMENT), has_comments, "{adaptor:?}: {text}");
            stream_error(&text, "upstream_timeout");
            drop(feed);
        }
    }
}
