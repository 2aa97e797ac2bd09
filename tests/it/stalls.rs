//! Answers without end, answers that drip, and clients that stop reading without going away.

use std::time::Duration;

use airlock::ledger::Outcome;
use airlock_tests::{Feed, TestGateway, Upstream, chat_body, error, events, guest, stream_error, within};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

#[tokio::test]
async fn a_stream_without_end_is_cut_at_the_limit() {
    let (upstream, feed) = Upstream::fed().await;
    let gateway = TestGateway::builder()
        .endpoint("m", guest("events"), json!({ "count": u64::MAX }))
        .endpoint("fed", "direct-api", json!({ "api_url": upstream.url() }))
        .settings(|s| {
            s.max_stream_bytes = 100_000;
            s.sandbox.cpu_ms = 600_000;
        })
        .start()
        .await;
    let answer = within(gateway.chat_stream().send()).await.unwrap();
    let text = within(answer.text()).await.unwrap();
    assert!((80_000..140_000).contains(&text.len()), "{}", text.len());
    stream_error(&text, "response_too_large");
    gateway.idle().await;

    let mut body = chat_body(true);
    body["model"] = json!("fed");
    let asking = tokio::spawn(gateway.post("/v1/chat/completions", &body).send());
    for _ in 0..101 {
        feed.send(format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(1000)));
    }
    let answer = within(asking).await.unwrap().unwrap();
    let text = within(answer.text()).await.unwrap();
    assert!(events(&text).len() > 90, "{}", events(&text).len());
    stream_error(&text, "response_too_large");
    within(feed.closed()).await;
}

/// Sends a little again and again, until nobody listens.
async fn drip(feed: &Feed, piece: &'static str) {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    tokio::select! {
        () = feed.closed() => {}
        () = async { loop { ticks.tick().await; feed.send(piece) } } => {}
    }
}

#[tokio::test]
async fn a_stream_that_drips_ends_when_its_time_is_over() {
    let (upstream, feed) = Upstream::fed().await;
    let gateway = TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .settings(|s| s.max_answer_seconds = 1)
        .start()
        .await;
    let asking = tokio::spawn(gateway.chat_stream().send());
    within(drip(&feed, ": still here\n\n")).await;
    let text = within(asking).await.unwrap().unwrap().text().await.unwrap();
    stream_error(&text, "answer_timeout");
}

#[tokio::test]
async fn a_complete_answer_that_drips_is_not_waited_for() {
    let (feed, stream) = airlock_tests::feed();
    let stream = std::sync::Mutex::new(Some(stream));
    let upstream = Upstream::start(move |_| {
        let mut response = airlock_tests::sse(stream.lock().unwrap().take().expect("one request"));
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        async move { response }
    })
    .await;
    let gateway = TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .settings(|s| s.max_answer_seconds = 1)
        .start()
        .await;
    let asking = tokio::spawn(gateway.chat().send());
    within(drip(&feed, " ")).await;
    error(within(asking).await.unwrap().unwrap(), 504, "answer_timeout").await;
}

async fn endless() -> TestGateway {
    TestGateway::builder()
        .endpoint("m", guest("events"), json!({ "count": u64::MAX }))
        .settings(|s| {
            s.client_stall_seconds = 1;
            s.sandbox.cpu_ms = 600_000;
        })
        .start()
        .await
}

#[tokio::test]
async fn a_client_that_stops_reading_counts_as_gone() {
    let gateway = endless().await;
    let mut client = TcpStream::connect(gateway.address).await.unwrap();
    let body = chat_body(true).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        gateway.key,
        body.len()
    );
    client.write_all((head + &body).as_bytes()).await.unwrap();
    let record = gateway.ledger.one().await;
    assert_eq!(record.outcome, Outcome::ClientGone);
    gateway.idle().await;
    drop(client); // it was open all the time
}

/// Its connection is busy and well; only this stream's window stays closed.
#[tokio::test]
async fn a_client_that_stops_reading_one_stream_of_a_connection_counts_as_gone() {
    let gateway = endless().await;
    let stream = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(4096);
    let (mut sender, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = |method: &str, path: &str, body: String| {
        http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", gateway.address))
            .header("authorization", format!("Bearer {}", gateway.key))
            .body(Full::new(Bytes::from(body)))
            .unwrap()
    };
    let stalled = sender.send_request(request("POST", "/v1/chat/completions", chat_body(true).to_string()));
    let stalled = within(stalled).await.unwrap();
    assert_eq!(stalled.status(), 200);
    let record = gateway.ledger.one().await;
    assert_eq!(record.outcome, Outcome::ClientGone);
    gateway.idle().await;
    let health = within(sender.send_request(request("GET", "/health", String::new()))).await.unwrap();
    assert_eq!(health.into_body().collect().await.unwrap().to_bytes(), r#"{"status":"ok"}"#);
    drop(stalled);
}
