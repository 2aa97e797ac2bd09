//! `/metrics`: gauges that follow what exists, where an operator wants them.

use std::collections::BTreeMap;

use airlock::ledger::Outcome;
use airlock_tests::{
    GatewayBuilder, TestGateway, Upstream, completion, error, eventually, guest, json, until, within,
};
use serde_json::json;
use tokio::net::TcpStream;

const NAMES: [&str; 5] = [
    "airlock_connections_open",
    "airlock_instances",
    "airlock_outbound_open",
    "airlock_requests_open",
    "airlock_slow_calls",
];

fn with_metrics() -> GatewayBuilder {
    TestGateway::builder().settings(|s| s.metrics = true)
}

/// What Prometheus reads.
async fn text(gateway: &TestGateway) -> String {
    let response = within(gateway.anonymous("GET", "/metrics").send()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4");
    response.text().await.unwrap()
}

/// The gauges that follow what exists, by name.
async fn gauges(gateway: &TestGateway) -> BTreeMap<String, u64> {
    let text = text(gateway).await;
    let samples = text.lines().filter_map(|line| line.split_once(' '));
    let ours = samples.filter(|(name, _)| NAMES.contains(name));
    ours.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

async fn gauge(gateway: &TestGateway, name: &str) -> u64 {
    gauges(gateway).await[name]
}

#[tokio::test]
async fn without_the_setting_the_path_is_unknown() {
    let gateway = TestGateway::with(guest("echo"), json!({})).await;
    error(gateway.request("GET", "/metrics").send().await.unwrap(), 404, "not_found").await;
    error(gateway.anonymous("GET", "/metrics").send().await.unwrap(), 404, "not_found").await;
}

#[tokio::test]
async fn at_rest_all_is_zero_but_the_connection_that_asks() {
    let gateway = with_metrics().endpoint("m", guest("echo"), json!({})).start().await;
    let found = gauges(&gateway).await;
    assert!(NAMES.iter().all(|name| found.contains_key(*name)), "{found:?}");
    for (name, value) in found {
        assert_eq!(value, u64::from(name == "airlock_connections_open"), "{name}");
    }
    error(gateway.request("POST", "/metrics").send().await.unwrap(), 405, "method_not_allowed").await;
    assert_eq!(gateway.request("HEAD", "/metrics").send().await.unwrap().status(), 200);
}

/// A forwarding adaptor is gone while its backend is waited for, one that calls out itself is not.
#[tokio::test]
async fn an_open_request_is_counted_with_its_instance_until_it_is_recorded() {
    for (adaptor, instances) in [("direct-api".into(), 0), (guest("rewrite"), 1)] {
        let (upstream, gate) = Upstream::gated(|_| json(200, &completion())).await;
        let gateway =
            with_metrics().endpoint("m", &adaptor, json!({ "api_url": upstream.url() })).start().await;
        let asking = [tokio::spawn(gateway.chat().send()), tokio::spawn(gateway.chat().send())];
        eventually(|| upstream.seen().len() == 2).await;
        let open = gauges(&gateway).await;
        assert_eq!((open["airlock_requests_open"], open["airlock_instances"]), (2, 2 * instances));
        assert_eq!(open["airlock_outbound_open"], 2);
        assert_eq!(open["airlock_connections_open"], 3);
        gate.open();
        for one in asking {
            within(within(one).await.unwrap().unwrap().bytes()).await.unwrap();
        }
        gateway.ledger.nth(2).await;
        until(async || gauge(&gateway, "airlock_requests_open").await == 0).await;
        assert_eq!(gauge(&gateway, "airlock_instances").await, 0);
    }
}

#[tokio::test]
async fn a_stream_is_open_until_its_client_goes() {
    let (upstream, feed) = Upstream::fed().await;
    let gateway =
        with_metrics().endpoint("m", "direct-api", json!({ "api_url": upstream.url() })).start().await;
    feed.send("data: {}\n\n");
    let mut response = within(gateway.chat_stream().send()).await.unwrap();
    within(response.chunk()).await.unwrap().unwrap();
    assert_eq!(gauge(&gateway, "airlock_requests_open").await, 1);
    drop(response);
    assert_eq!(gateway.ledger.one().await.outcome, Outcome::ClientGone);
    until(async || gauge(&gateway, "airlock_requests_open").await == 0).await;
}

#[tokio::test]
async fn a_refused_request_is_not_left_open() {
    let gateway = with_metrics().endpoint("m", guest("echo"), json!({})).start().await;
    let response = gateway.anonymous("POST", "/v1/chat/completions").send().await.unwrap();
    assert_eq!(response.status(), 401);
    response.bytes().await.unwrap();
    gateway.ledger.one().await;
    until(async || gauge(&gateway, "airlock_requests_open").await == 0).await;
}

/// Over all workers, idle ones too: whoever answers tells the same.
#[tokio::test]
async fn connections_are_counted_over_all_workers() {
    let gateway =
        with_metrics().endpoint("m", guest("echo"), json!({})).settings(|s| s.workers = 3).start().await;
    let mut open = Vec::new();
    for _ in 0..6 {
        open.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    until(async || gauge(&gateway, "airlock_connections_open").await == 7).await;
    assert_eq!(gateway.gateway.connections().get(), 7);
    open.truncate(2);
    until(async || gauge(&gateway, "airlock_connections_open").await == 3).await;
}

/// No global state: each gateway counts its own.
#[tokio::test]
async fn gateways_in_one_process_count_apart() {
    let (busy, idle) = (start().await, start().await);
    let _open = TcpStream::connect(busy.address).await.unwrap();
    until(async || gauge(&busy, "airlock_connections_open").await == 2).await;
    assert_eq!(gauge(&idle, "airlock_connections_open").await, 1);
}

async fn start() -> TestGateway {
    with_metrics().endpoint("m", guest("echo"), json!({})).start().await
}
