//! Instances that are made before their requests: each serves one, on that one's bill, and none is in another's way.

use airlock_tests::{
    TestGateway, Upstream, completion, error, guest, heavy, json as answer, log_has, logs, until, within,
};
use futures_util::future::{join, join_all};
use serde_json::json;

async fn one_is_ready(gateway: &TestGateway) {
    until(async || gateway.gateway.sandbox().instances_ahead() > 0).await;
}

#[tokio::test]
async fn each_serves_one_request_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = TestGateway::with(heavy(&guest("counter"), folder.path()), json!({})).await;
    for _ in 0..3 {
        assert_eq!(gateway.answer("m").await, json!({ "count": 1 }));
        one_is_ready(&gateway).await;
    }
    assert!(gateway.gateway.sandbox().calls_ahead() >= 2);
    let stream = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
    assert!(stream.contains(r#"{"count":2}"#) && stream.contains(r#"{"count":4}"#), "{stream}");
    gateway.idle().await;
}

#[tokio::test]
async fn those_that_are_quick_to_make_are_made_when_they_are_called() {
    let gateway = TestGateway::with(guest("counter"), json!({})).await;
    for _ in 0..3 {
        assert_eq!(gateway.answer("m").await, json!({ "count": 1 }));
    }
    assert_eq!(gateway.gateway.sandbox().instances_ahead(), 0);
    assert_eq!(gateway.gateway.sandbox().calls_ahead(), 0);
}

/// What a component does while it is made is of the request that it is made for.
#[tokio::test]
async fn a_component_that_calls_the_host_at_its_start_is_not_made_ahead() {
    logs();
    let folder = tempfile::tempdir().unwrap();
    let script = json!({ "script": [{ "op": "set", "key": "start", "value": "trap" }] });
    let gateway = TestGateway::builder()
        .endpoint("m", heavy(&guest("start"), folder.path()), json!({}))
        .endpoint("trap", guest("kv"), script)
        .start()
        .await;
    for _ in 0..5 {
        assert_eq!(gateway.answer("m").await["choices"][0]["message"]["content"], "started");
    }
    assert_eq!(gateway.answer("trap").await["results"], json!([true]));
    error(within(gateway.chat().send()).await.unwrap(), 502, "adaptor_trap").await;
    let sandbox = gateway.gateway.sandbox();
    assert_eq!((sandbox.instances_ahead(), sandbox.calls_ahead()), (0, 0));
    assert!(!log_has("called before there was a request"), "nobody was told of it");
}

#[tokio::test]
async fn they_make_way_for_requests_when_slots_are_rare() {
    let folder = tempfile::tempdir().unwrap();
    let (upstream, gate) = Upstream::gated(|_| answer(200, &completion())).await;
    let gateway = TestGateway::builder()
        .endpoint("m", heavy(&guest("counter"), folder.path()), json!({}))
        .endpoint("held", guest("rewrite"), json!({ "api_url": upstream.url() }))
        .settings(|s| s.sandbox.slots = 8)
        .start()
        .await;
    gateway.answer("m").await;
    one_is_ready(&gateway).await;
    // As many as there are slots, each in an instance that waits for its backend.
    let held = join_all((0..8).map(|_| gateway.answer("held")));
    let open = async {
        until(async || upstream.seen().len() == 8).await;
        assert_eq!(gateway.gateway.sandbox().instances_ahead(), 0);
        gate.open();
    };
    let (answers, ()) = join(held, open).await;
    assert_eq!(answers.len(), 8);
    gateway.answer("m").await;
    gateway.idle().await;
}

/// Whoever asks pays for the instance, whenever it was made: most of what this call costs.
#[tokio::test]
async fn the_request_that_takes_one_is_charged_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = TestGateway::with(heavy(&guest("counter"), folder.path()), json!({})).await;
    gateway.answer("m").await;
    let fresh = gateway.ledger.nth(1).await.costs;
    one_is_ready(&gateway).await;
    gateway.answer("m").await;
    assert_eq!(gateway.gateway.sandbox().calls_ahead(), 1);
    let ahead = gateway.ledger.nth(2).await.costs;
    assert_eq!(ahead.peak_memory, fresh.peak_memory);
    // The call alone takes a thirtieth. What is made on a worker is measured by a clock that others may hold up.
    assert!(ahead.cpu * 4 > fresh.cpu, "{ahead:?} and {fresh:?}");
}
