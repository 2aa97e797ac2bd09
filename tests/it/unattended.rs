//! Clients that go away from clusters that want answers read to their end all the same.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use airlock::{config::Settings, ledger::Outcome};
use airlock_tests::{Feed, TestGateway, Upstream, completion, eventually, feed, guest, json, sse, within};
use serde_json::json;

const ONE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"ONE\"}}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn paths() -> [PathBuf; 3] {
    ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite")]
}

async fn gateway(adaptor: &Path, upstream: &Upstream, settings: impl FnOnce(&mut Settings)) -> TestGateway {
    TestGateway::builder()
        .cluster(json!({ "on_disconnect": "finish" }))
        .endpoint("m", adaptor, json!({ "api_url": upstream.url() }))
        .settings(settings)
        .start()
        .await
}

/// A backend with a stream for each request, and the feeds of those so far. Each stream begins with one event.
async fn fed() -> (Upstream, Arc<Mutex<Vec<Feed>>>) {
    let feeds = Arc::new(Mutex::new(Vec::new()));
    let made = Arc::clone(&feeds);
    let upstream = Upstream::start(move |_| {
        let (feed, stream) = feed();
        feed.send(ONE);
        made.lock().unwrap().push(feed);
        async move { sse(stream) }
    })
    .await;
    (upstream, feeds)
}

/// A client that takes the first event and goes.
async fn come_and_go(gateway: &TestGateway) {
    let mut response = within(gateway.chat_stream().send()).await.unwrap();
    assert_eq!(within(response.chunk()).await.unwrap().unwrap(), ONE);
}

#[tokio::test]
async fn the_rest_of_a_stream_is_read_and_its_usage_counted() {
    for adaptor in paths() {
        let (upstream, feeds) = fed().await;
        let gateway = gateway(&adaptor, &upstream, |_| {}).await;
        come_and_go(&gateway).await;
        eventually(|| gateway.gateway.connections().get() == 0).await;
        let feed = feeds.lock().unwrap().remove(0);
        feed.send(ONE);
        feed.send([USAGE, DONE].concat());
        drop(feed);
        let record = gateway.ledger.one().await;
        assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 200), "{adaptor:?}");
        assert_eq!(record.usage.expect("usage").total_tokens, 7, "{adaptor:?}");
        gateway.idle().await;
    }
}

#[tokio::test]
async fn an_answer_that_nobody_waited_for_is_read_and_counted() {
    for adaptor in [PathBuf::from("direct-api"), "direct-api-wasi".into(), guest("body-upstream")] {
        let (upstream, gate) = Upstream::gated(|_| json(200, &completion())).await;
        let gateway = gateway(&adaptor, &upstream, |_| {}).await;
        let asking = tokio::spawn(gateway.chat().send());
        eventually(|| upstream.seen().len() == 1).await;
        asking.abort();
        eventually(|| gateway.gateway.connections().get() == 0).await;
        gate.open();
        let record = gateway.ledger.one().await;
        assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 499), "{adaptor:?}");
        assert_eq!(record.usage.expect("usage").total_tokens, 7, "{adaptor:?}");
        assert_eq!(record.first_byte, None);
        // The connection was read to its end, and is kept.
        assert_eq!((upstream.open_connections(), upstream.accepted_connections()), (1, 1));
        gateway.idle().await;
    }
}

#[tokio::test]
async fn a_stream_that_nobody_waited_for_is_read_and_counted() {
    for adaptor in paths() {
        let whole = [ONE, USAGE, DONE].concat();
        let (upstream, gate) = Upstream::gated(move |_| sse(airlock_tests::chunks([whole.clone()]))).await;
        let gateway = gateway(&adaptor, &upstream, |_| {}).await;
        let asking = tokio::spawn(gateway.chat_stream().send());
        eventually(|| upstream.seen().len() == 1).await;
        asking.abort();
        eventually(|| gateway.gateway.connections().get() == 0).await;
        gate.open();
        let record = gateway.ledger.one().await;
        assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 499), "{adaptor:?}");
        assert_eq!((record.usage.expect("usage").total_tokens, record.first_byte), (7, None), "{adaptor:?}");
        gateway.idle().await;
    }
}

/// Without the field, what is known when the client goes is what is counted.
#[tokio::test]
async fn elsewhere_the_answer_ends_with_what_is_known_of_it() {
    const SO_FAR: &str = "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4}}\n\n";
    for fields in [json!({}), json!({ "on_disconnect": "cancel" })] {
        for adaptor in paths() {
            let (upstream, feed) = Upstream::fed().await;
            let gateway = TestGateway::builder()
                .cluster(fields.clone())
                .endpoint("m", &adaptor, json!({ "api_url": upstream.url() }))
                .start()
                .await;
            let mut response = within(gateway.chat_stream().send()).await.unwrap();
            feed.send(SO_FAR);
            within(response.chunk()).await.unwrap().unwrap();
            drop(response);
            within(feed.closed()).await;
            let record = gateway.ledger.one().await;
            assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 200), "{adaptor:?}");
            assert_eq!(record.usage.expect("usage").total_tokens, 4, "{adaptor:?}");
        }
    }
}

/// The limits that an answer has hold without a client too.
#[tokio::test]
async fn the_rest_has_the_answers_limits() {
    for adaptor in paths() {
        let (upstream, feeds) = fed().await;
        let gateway = gateway(&adaptor, &upstream, |s| {
            s.max_answer_seconds = 2;
            s.max_stream_bytes = 100_000;
        })
        .await;
        come_and_go(&gateway).await;
        eventually(|| gateway.gateway.connections().get() == 0).await;
        let feed = feeds.lock().unwrap().remove(0);
        for _ in 0..101 {
            feed.send(format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(1000)));
        }
        within(feed.closed()).await;
        let record = gateway.ledger.one().await;
        assert_eq!(record.outcome, Outcome::ClientGone, "{adaptor:?}");
        assert_eq!(record.error.as_deref(), Some("response_too_large"), "{adaptor:?}");

        come_and_go(&gateway).await;
        let feed = feeds.lock().unwrap().remove(0);
        within(feed.closed()).await;
        let record = gateway.ledger.nth(2).await;
        assert_eq!(record.outcome, Outcome::ClientGone);
        assert_eq!(record.error.as_deref(), Some("answer_timeout"), "{adaptor:?}");
        gateway.idle().await;
    }
}

/// Clients that come and go cannot hold all that a tenant has.
#[tokio::test]
async fn a_tenant_has_few_of_them_at_a_time() {
    let (upstream, feeds) = fed().await;
    let gateway = gateway(Path::new("direct-api"), &upstream, |_| {}).await;
    for number in 1..=40 {
        come_and_go(&gateway).await;
        // Those above the limit end at once.
        eventually(|| gateway.gateway.connections().get() == 0 && gateway.gateway.requests().get() <= 32)
            .await;
        assert_eq!(gateway.gateway.requests().get(), number.min(32));
    }
    for number in 1..=8 {
        let record = gateway.ledger.nth(number).await;
        assert_eq!((record.outcome, record.usage), (Outcome::ClientGone, None));
    }
    for feed in feeds.lock().unwrap().drain(..32) {
        feed.send([USAGE, DONE].concat());
    }
    let record = gateway.ledger.nth(40).await;
    assert_eq!(record.usage.expect("usage").total_tokens, 7);
}

#[tokio::test]
async fn a_gateway_that_stops_waits_for_them_and_not_for_long() {
    for adaptor in paths() {
        for seconds in [5, 1] {
            let (upstream, feeds) = fed().await;
            let mut gateway = gateway(&adaptor, &upstream, |s| s.drain_seconds = seconds).await;
            come_and_go(&gateway).await;
            eventually(|| gateway.gateway.connections().get() == 0).await;
            gateway.stop();
            eventually(|| gateway.gateway.is_draining()).await;
            let feed = feeds.lock().unwrap().remove(0);
            let is_finished = seconds == 5;
            if is_finished {
                feed.send([USAGE, DONE].concat());
            }
            gateway.stopped().await;
            let record = gateway.ledger.one().await;
            assert_eq!(record.outcome, Outcome::ClientGone);
            assert_eq!(record.usage.is_some(), is_finished, "{adaptor:?}");
            drop(feed);
        }
    }
}

/// A client that stays and stops reading counts as one that is gone.
#[tokio::test]
async fn a_client_that_stops_reading_is_not_waited_for_either() {
    use tokio::io::AsyncWriteExt as _;
    let whole = vec![format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(60_000)); 400].concat();
    let whole = bytes::Bytes::from(whole + USAGE + DONE);
    let upstream = Upstream::start(move |_| {
        let answer = sse(airlock_tests::chunks([whole.clone()]));
        async move { answer }
    })
    .await;
    let gateway = gateway(Path::new("direct-api"), &upstream, |s| s.client_stall_seconds = 1).await;
    let mut client = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let body = airlock_tests::chat_body(true).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        gateway.key,
        body.len()
    );
    client.write_all((head + &body).as_bytes()).await.unwrap();
    let record = gateway.ledger.one().await;
    assert_eq!(record.outcome, Outcome::ClientGone);
    assert_eq!(record.usage.expect("usage").total_tokens, 7);
    drop(client); // it was open all the time
}
