//! The client goes away: the backend's connection closes, the guest ends, and the ledger says so.

use std::time::{Duration, Instant};

use airlock::ledger::Outcome;
use airlock_tests::{TestGateway, Upstream, eventually, feed, guest, sse, within};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

/// Far above the promised 100 ms: builds without optimisation, on machines that do other work too.
const BOUND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 15;

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], *times.last().unwrap());
    eprintln!("{what}: p50 {median:?}, max {longest:?}");
    assert!(longest < BOUND, "{what}: {times:?}");
}

/// From now until nothing is left of the request.
async fn gone(gateway: &TestGateway, upstream: &Upstream) -> Duration {
    let start = Instant::now();
    eventually(|| upstream.open_connections() == 0 && gateway.live_instances() == 0).await;
    start.elapsed()
}

#[tokio::test]
async fn a_client_that_goes_before_the_head_ends_everything() {
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite"), guest("body-upstream")] {
        let (upstream, _gate) = Upstream::gated(|_| sse(feed().1)).await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        let mut times = Vec::new();
        for round in 1..=ROUNDS {
            let asking = tokio::spawn(gateway.chat().send());
            eventually(|| upstream.seen().len() == round).await;
            asking.abort();
            times.push(gone(&gateway, &upstream).await);
            let record = gateway.ledger.nth(round).await;
            assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 499), "{adaptor:?}");
            assert_eq!(record.model.as_deref(), Some("m"));
        }
        report(&format!("before the head, {}", adaptor.display()), times);
    }
}

#[tokio::test]
async fn a_client_that_goes_within_a_stream_ends_everything() {
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite")] {
        let mut times = Vec::new();
        let feeds = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let made = std::sync::Arc::clone(&feeds);
        let upstream = Upstream::start(move |_| {
            let (feed, stream) = feed();
            feed.send("data: {}\n\n");
            made.lock().unwrap().push(feed); // it stays open, and silent
            async move { sse(stream) }
        })
        .await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        for round in 1..=ROUNDS {
            let mut response = within(gateway.chat_stream().send()).await.unwrap();
            assert_eq!(within(response.chunk()).await.unwrap().unwrap(), "data: {}\n\n");
            assert_eq!(upstream.open_connections(), 1);
            drop(response);
            times.push(gone(&gateway, &upstream).await);
            let record = gateway.ledger.nth(round).await;
            assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 200), "{adaptor:?}");
        }
        report(&format!("within a stream, {}", adaptor.display()), times);
    }
}

#[tokio::test]
async fn a_client_that_goes_ends_a_guest_that_would_make_events_for_ever() {
    let gateway = TestGateway::builder()
        .endpoint("m", guest("events"), json!({ "count": u64::MAX }))
        .settings(|s| s.sandbox.cpu_ms = 600_000)
        .start()
        .await;
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let mut response = within(gateway.chat_stream().send()).await.unwrap();
        within(response.chunk()).await.unwrap().unwrap();
        assert_eq!(gateway.live_instances(), 1);
        drop(response);
        let start = Instant::now();
        gateway.idle().await;
        times.push(start.elapsed());
        let record = gateway.ledger.nth(round).await;
        assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 200));
    }
    report("within a guest's events", times);
}

#[tokio::test]
async fn a_client_that_goes_while_a_guest_spins_ends_it() {
    let gateway = TestGateway::builder()
        .endpoint("m", guest("spin"), json!({}))
        .settings(|s| s.sandbox.cpu_ms = 600_000)
        .start()
        .await;
    let asking = tokio::spawn(gateway.chat().send());
    eventually(|| gateway.live_instances() == 1).await;
    asking.abort();
    let took = gateway.idle().await;
    report("while a guest spins", vec![took]);
    assert_eq!(gateway.ledger.one().await.outcome, Outcome::ClientGone);
}

/// A request that announces more than it sends.
#[tokio::test]
async fn a_client_that_goes_within_its_own_body_asks_nobody() {
    let upstream = Upstream::json(json!({})).await;
    let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    for round in 1..=3 {
        let mut client = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n",
            gateway.key
        );
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(br#"{"model":"m","messages":"#).await.unwrap();
        within(gateway.request("GET", "/health").send()).await.unwrap();
        drop(client);
        let record = gateway.ledger.nth(round).await;
        assert_ne!(record.outcome, Outcome::Completed);
        assert!(matches!(record.status, 400 | 499), "{record:?}");
    }
    assert_eq!(upstream.accepted_connections(), 0);
}
