//! Streams that go well, and streams that do not.

use airlock_tests::{
    RawUpstream, TestGateway, Upstream, chunks, error, events, feed, guest, sse, stream_error, within,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const ONE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// The paths that a stream can take through the gateway.
fn paths() -> [std::path::PathBuf; 3] {
    ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite")]
}

fn streamed(gateway: &TestGateway, options: Value) -> reqwest::RequestBuilder {
    let mut body = airlock_tests::chat_body(true);
    if !options.is_null() {
        body["stream_options"] = options;
    }
    gateway.post("/v1/chat/completions", &body)
}

#[tokio::test]
async fn a_stream_is_relayed_byte_for_byte() {
    let bytes = [
        "data: {\"a\":1, \"ü\" : \"\\u00e9\"}\n\n",
        ": ping\n\n",
        "event: x\r\nid: 7\r\ndata: {}\r\n\r\n",
        "data:{\"usage\":null}\n\nda",
        "ta: {\"b\":2}\n\n",
        "data: [DONE]\n\n",
    ];
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let upstream = Upstream::start(move |_| async move { sse(chunks(bytes)) }).await;
        let gateway = TestGateway::with(adaptor, json!({ "api_url": upstream.url() })).await;
        let response = gateway.chat_stream().send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert_eq!(response.text().await.unwrap(), bytes.concat(), "{adaptor}");
        gateway.ledger.one().await;
    }
}

/// The backend says its second event only after the client has its first, so that nothing may be held back.
#[tokio::test]
async fn every_event_is_flushed_before_the_next_one_comes() {
    for adaptor in paths() {
        let (upstream, feed) = Upstream::fed().await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        let mut response = within(gateway.chat_stream().send()).await.unwrap();
        for _ in 0..5 {
            feed.send(ONE);
            let got = within(response.chunk()).await.unwrap().unwrap();
            assert_eq!(got.to_ascii_lowercase(), ONE.to_ascii_lowercase().as_bytes(), "{adaptor:?}");
        }
        feed.send(DONE);
        drop(feed);
        assert_eq!(within(response.text()).await.unwrap(), DONE);
    }
}

#[tokio::test]
async fn usage_is_counted_always_and_shown_to_who_asked() {
    for adaptor in paths() {
        let upstream = Upstream::start(|_| async { sse(chunks([ONE, USAGE, DONE])) }).await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        let cases = [
            (Value::Null, false),
            (json!({}), false),
            (json!({ "include_usage": false }), false),
            (json!({ "include_usage": true }), true),
        ];
        for (i, (options, shown)) in cases.into_iter().enumerate() {
            let text = streamed(&gateway, options.clone()).send().await.unwrap().text().await.unwrap();
            assert_eq!(text.contains("prompt_tokens"), shown, "{adaptor:?} {options}: {text}");
            assert_eq!(events(&text).len(), if shown { 3 } else { 2 }, "{text}");
            assert!(text.ends_with(DONE), "{text}");
            let usage = gateway.ledger.nth(i + 1).await.usage.expect("usage");
            assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (3, 4, 7));
            assert_eq!(upstream.seen()[i].json()["stream_options"]["include_usage"], true);
        }
    }
}

#[tokio::test]
async fn usage_of_a_guests_own_events_is_counted_and_hidden_too() {
    let gateway = TestGateway::with(guest("events"), json!({ "count": 2, "usage": true })).await;
    for (i, shown) in [false, true].into_iter().enumerate() {
        let options = json!({ "include_usage": shown });
        let text = streamed(&gateway, options).send().await.unwrap().text().await.unwrap();
        assert_eq!(text.contains("prompt_tokens"), shown, "{text}");
        assert!(text.ends_with(DONE), "{text}");
        assert_eq!(gateway.ledger.nth(i + 1).await.usage.unwrap().total_tokens, 8);
    }
}

#[tokio::test]
async fn a_backend_that_falls_silent_in_a_stream_is_an_error_and_not_the_end() {
    for adaptor in paths() {
        let (upstream, feed) = Upstream::fed().await;
        let gateway = TestGateway::builder()
            .endpoint("m", &adaptor, json!({ "api_url": upstream.url() }))
            .settings(|s| s.egress.idle_seconds = 1)
            .start()
            .await;
        let mut response = within(gateway.chat_stream().send()).await.unwrap();
        feed.send(ONE);
        within(response.chunk()).await.unwrap().unwrap();
        let text = within(response.text()).await.unwrap();
        let told = stream_error(&text, "upstream_timeout");
        assert_eq!(told["type"], "server_error", "{adaptor:?}");
        assert_eq!(gateway.ledger.one().await.error.as_deref(), Some("upstream_timeout"));
        gateway.idle().await;
        airlock_tests::eventually(|| upstream.open_connections() == 0).await;
    }
}

/// A head that promises chunks, one event, and then the end of the connection.
async fn cutting() -> RawUpstream {
    RawUpstream::start(|mut stream| async move {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = format!("{head}{:x}\r\n{ONE}\r\n", ONE.len());
        stream.write_all(chunk.as_bytes()).await.unwrap();
    })
    .await
}

#[tokio::test]
async fn a_backend_that_cuts_a_stream_is_an_error_and_not_the_end() {
    for adaptor in paths() {
        let upstream = cutting().await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
        assert!(events(&text)[0].to_lowercase().contains("one"), "{adaptor:?}: {text}");
        stream_error(&text, "upstream_disconnected");
        gateway.idle().await;
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_done_is_an_error() {
    for (adaptor, code) in paths().into_iter().zip(["upstream_bad_response"; 3]) {
        let upstream = Upstream::start(|_| async { sse(chunks([ONE])) }).await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
        stream_error(&text, code);
    }
}

#[tokio::test]
async fn an_untidy_end_after_done_is_no_error() {
    for adaptor in paths() {
        let upstream = RawUpstream::start(|mut stream| async move {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let body = format!("{ONE}{DONE}");
            let text = format!("{head}{:x}\r\n{body}\r\n", body.len());
            stream.write_all(text.as_bytes()).await.unwrap();
        })
        .await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
        assert_eq!(events(&text).len(), 2, "{adaptor:?}: {text}");
        assert!(text.ends_with(DONE), "{text}");
        assert_eq!(gateway.ledger.one().await.outcome, airlock::ledger::Outcome::Completed);
    }
}

/// A backend whose head does not come: whoever waits is told, after the shorter of the two limits.
#[tokio::test]
async fn a_backend_that_hangs_before_its_head_is_a_timeout() {
    let (upstream, _gate) = Upstream::gated(|_| sse(feed().1)).await;
    for adaptor in paths() {
        for (config, head_seconds) in
            [(json!({ "api_request_timeout": 0.2 }), 600), (json!({ "api_request_timeout": 60 }), 1)]
        {
            let mut config = config;
            config["api_url"] = json!(upstream.url());
            let gateway = TestGateway::builder()
                .endpoint("m", &adaptor, config)
                .settings(|s| s.egress.head_seconds = head_seconds)
                .start()
                .await;
            for request in [gateway.chat(), gateway.chat_stream()] {
                error(within(request.send()).await.unwrap(), 504, "upstream_timeout").await;
            }
            gateway.idle().await;
        }
    }
    airlock_tests::eventually(|| upstream.open_connections() == 0).await;
}

#[tokio::test]
async fn a_slow_client_slows_the_backend_down() {
    let upstream = Upstream::start(|_| async {
        let event = format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(60_000));
        sse(futures_util::stream::repeat(bytes::Bytes::from(event)))
    })
    .await;
    let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    let mut response = within(gateway.chat_stream().send()).await.unwrap();
    // An endless stream of which nobody reads: were it buffered, memory would run out, and health with it.
    within(response.chunk()).await.unwrap().unwrap();
    assert_eq!(within(gateway.request("GET", "/health").send()).await.unwrap().status(), 200);
    drop(response);
    airlock_tests::eventually(|| upstream.open_connections() == 0).await;
}
