//! The signal to stop: what is open may finish, nothing new begins.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use airlock::{gateway::Worker, ledger::Outcome};
use airlock_tests::{Gate, TestGateway, Upstream, completion, eventually, guest, json, stream_error, within};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

async fn refuses_connections(gateway: &TestGateway) {
    airlock_tests::until(async || TcpStream::connect(gateway.address).await.is_err()).await;
}

#[tokio::test]
async fn an_open_stream_is_finished_and_new_connections_are_refused() {
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite")] {
        let (upstream, feed) = Upstream::fed().await;
        let mut gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        let mut response = within(gateway.chat_stream().send()).await.unwrap();
        feed.send("data: {}\n\n");
        within(response.chunk()).await.unwrap().unwrap();
        gateway.stop();
        refuses_connections(&gateway).await;
        assert!(gateway.gateway.is_draining());
        feed.send("data: {\"x\":1}\n\n");
        assert_eq!(within(response.chunk()).await.unwrap().unwrap(), "data: {\"x\":1}\n\n");
        feed.send("data: [DONE]\n\n");
        drop(feed);
        assert_eq!(within(response.text()).await.unwrap(), "data: [DONE]\n\n");
        gateway.stopped().await;
        assert_eq!(gateway.ledger.one().await.outcome, Outcome::Completed);
        assert_eq!(gateway.live_instances(), 0);
    }
}

#[tokio::test]
async fn a_request_that_waits_for_its_answer_gets_it() {
    let (asked, gate) = (Gate::new(), Gate::new());
    let (arrived, held) = (asked.clone(), gate.clone());
    let upstream = Upstream::start(move |_| {
        let (arrived, held) = (arrived.clone(), held.clone());
        async move {
            arrived.open();
            held.pass().await;
            json(200, &completion())
        }
    })
    .await;
    let mut gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    let asking = tokio::spawn(gateway.chat().send());
    within(asked.pass()).await;
    gateway.stop();
    refuses_connections(&gateway).await;
    gate.open();
    let response = within(asking).await.unwrap().unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), completion());
    gateway.stopped().await;
}

#[tokio::test]
async fn a_body_that_is_still_coming_is_read_and_answered() {
    let mut gateway = TestGateway::with(guest("echo"), json!({})).await;
    let (feed, stream) = airlock_tests::feed();
    let stream = futures_util::StreamExt::map(stream, Ok::<_, std::io::Error>);
    let request = gateway.request("POST", "/v1/chat/completions").body(reqwest::Body::wrap_stream(stream));
    let text = airlock_tests::chat_body(false).to_string();
    let (first, second) = text.split_at(10);
    feed.send(first.to_owned());
    let asking = tokio::spawn(request.send());
    // `/health` on a connection of its own says that the worker has taken this one before.
    within(gateway.request("GET", "/health").send()).await.unwrap();
    gateway.stop();
    refuses_connections(&gateway).await;
    feed.send(second.to_owned());
    drop(feed);
    assert_eq!(within(asking).await.unwrap().unwrap().status(), 200);
    gateway.stopped().await;
}

#[tokio::test]
async fn with_nothing_open_it_stops_at_once_idle_connections_or_not() {
    let mut gateway = TestGateway::with(guest("echo"), json!({})).await;
    gateway.chat().send().await.unwrap().text().await.unwrap();
    let _silent = TcpStream::connect(gateway.address).await.unwrap();
    let start = Instant::now();
    gateway.stop();
    gateway.stopped().await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}, and the limit is 5 s", start.elapsed());
}

#[tokio::test]
async fn a_stream_that_never_ends_is_cut_at_the_limit() {
    for adaptor in ["direct-api".into(), guest("rewrite")] {
        let (upstream, feed) = Upstream::fed().await;
        let mut gateway = TestGateway::builder()
            .endpoint("m", &adaptor, json!({ "api_url": upstream.url() }))
            .settings(|s| s.drain_seconds = 1)
            .start()
            .await;
        let mut response = within(gateway.chat_stream().send()).await.unwrap();
        feed.send("data: {}\n\n");
        within(response.chunk()).await.unwrap().unwrap();
        let start = Instant::now();
        gateway.stop();
        gateway.stopped().await;
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
        // Either it is told within the stream, or the connection breaks: it never looks complete.
        match within(response.text()).await {
            Ok(text) => drop(stream_error(&text, "shutting_down")),
            Err(error) => assert!(error.is_body() || error.is_decode(), "{error:?}"),
        }
        gateway.idle().await;
        eventually(|| upstream.open_connections() == 0).await;
        gateway.ledger.one().await;
    }
}

#[tokio::test]
async fn readiness_ends_with_the_signal() {
    let mut gateway = TestGateway::with(guest("echo"), json!({})).await;
    let router = airlock::api::Surface::new(true).router(Worker::new(Arc::clone(&gateway.gateway)));
    let ready = async || {
        let request = http::Request::get("/ready").body(axum::body::Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(ready().await, 200);
    gateway.stop();
    gateway.stopped().await;
    assert_eq!(ready().await, 503);
}

/// Whoever spreads requests over gateways is told first, and loses nothing meanwhile.
#[tokio::test]
async fn ready_says_no_before_connections_are_refused() {
    let upstream = Upstream::json(completion()).await;
    let gateway = TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .settings(|s| s.unready_seconds = 1)
        .start()
        .await;
    let fresh = |method, path| {
        let client = reqwest::Client::new().request(method, gateway.url(path));
        client.bearer_auth(&gateway.key).json(&airlock_tests::chat_body(false)).send()
    };
    assert_eq!(fresh(http::Method::GET, "/ready").await.unwrap().status(), 200);
    gateway.stop();
    airlock_tests::until(async || fresh(http::Method::GET, "/ready").await.unwrap().status() == 503).await;
    assert_eq!(fresh(http::Method::GET, "/health").await.unwrap().status(), 200);
    assert_eq!(fresh(http::Method::POST, "/v1/chat/completions").await.unwrap().status(), 200);
    refuses_connections(&gateway).await;
}
