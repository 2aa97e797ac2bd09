//! What the host offers to adaptors beside a way out: the log and the key-value store; and clusters' reports.

use std::sync::Arc;

use airlock_sandbox::{ConnectSettings, Connector, Egress, EgressLimits, Fault, User};
use airlock_tests::{TestGateway, guest, log_of, logs};
use serde_json::{Value, json};
use tracing::Level;

fn egress() -> Egress {
    let connector = Connector::new(&ConnectSettings::default()).unwrap();
    Egress::new(connector, EgressLimits::default())
}

#[tokio::test]
async fn a_static_cluster_reports_its_endpoints_as_its_configuration_says() {
    let gateway = TestGateway::builder()
        .cluster(json!({ "config": { "models": { "b": { "status": "stopped", "description": "Back on Monday" } } } }))
        .endpoint("b", guest("echo"), json!({}))
        .endpoint("a", guest("echo"), json!({}))
        .start()
        .await;
    let catalog = gateway.gateway.catalog("default");
    let cluster = &catalog.cluster("c").unwrap().adaptor;
    let user = User { id: "u".into(), name: None, groups: vec!["g".into()], domain: None };
    let id: Arc<str> = "jobs".into();
    for user in [None, Some(&user)] {
        let jobs = cluster.get_jobs(&egress(), &id, user).await.unwrap();
        let [running] = jobs.running.as_slice() else { panic!("{jobs:?}") };
        assert_eq!(
            (running.models.as_str(), running.framework.as_str(), running.cluster.as_str()),
            ("a", "api", "c")
        );
        let [stopped] = jobs.stopped.as_slice() else { panic!("{jobs:?}") };
        assert_eq!(stopped.models, "b");
        assert!(stopped.extra.contains("Back on Monday"), "{stopped:?}");
        let status: Value = serde_json::from_str(&jobs.cluster_status).unwrap();
        assert_eq!(status["total_models"], 2);
        assert_eq!(jobs.cache_ms, Some(5_000));
    }
    assert_eq!(gateway.live_instances(), 0);
}

#[tokio::test]
async fn a_clusters_wrong_configuration_is_reported() {
    let gateway = TestGateway::builder()
        .cluster(json!({ "config": { "models": { "a": { "status": "asleep" } } } }))
        .endpoint("a", guest("echo"), json!({}))
        .start()
        .await;
    let catalog = gateway.gateway.catalog("default");
    let cluster = &catalog.cluster("c").unwrap().adaptor;
    let fault = cluster.get_jobs(&egress(), &"jobs".into(), None).await.map(drop).unwrap_err();
    assert!(matches!(&fault, Fault::Reported(e) if e.message.contains("asleep")), "{fault}");
}

/// Runs a script in the key-value guest.
async fn run(gateway: &TestGateway, script: Value) -> Value {
    let mut body = airlock_tests::chat_body(false);
    body["script"] = script;
    let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.json::<Value>().await.unwrap()["results"].clone()
}

#[tokio::test]
async fn the_store_outlives_the_instance() {
    let gateway = TestGateway::with(guest("kv"), json!({})).await;
    let set = json!([
        { "op": "get", "key": "a" },
        { "op": "set", "key": "a", "value": "1" },
        { "op": "set-if-absent", "key": "a", "value": "2" },
        { "op": "set-if-absent", "key": "b", "value": "3" },
    ]);
    assert_eq!(run(&gateway, set).await, json!([null, true, false, true]));
    let get = json!([
        { "op": "get", "key": "a" },
        { "op": "get", "key": "b" },
        { "op": "delete", "key": "a" },
        { "op": "get", "key": "a" },
        { "op": "delete", "key": "a" },
        { "op": "set-if-absent", "key": "a", "value": "4" },
    ]);
    assert_eq!(run(&gateway, get).await, json!(["1", "3", null, null, null, true]));
}

#[tokio::test]
async fn two_endpoints_of_one_tenant_share_the_store_and_two_gateways_do_not() {
    let gateway = TestGateway::builder()
        .endpoint("m", guest("kv"), json!({ "script": [{ "op": "set", "key": "a", "value": "1" }] }))
        .endpoint("n", guest("kv"), json!({ "script": [{ "op": "get", "key": "a" }] }))
        .start()
        .await;
    let ask = async |model: &str| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
        let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
        response.json::<Value>().await.unwrap()["results"].clone()
    };
    assert_eq!(ask("n").await, json!([null]));
    assert_eq!(ask("m").await, json!([true]));
    assert_eq!(ask("n").await, json!(["1"]));
    let other = TestGateway::with(guest("kv"), json!({})).await;
    assert_eq!(run(&other, json!([{ "op": "get", "key": "a" }])).await, json!([null]));
}

#[tokio::test]
async fn the_store_has_limits_and_values_expire() {
    let gateway = TestGateway::with(guest("kv"), json!({})).await;
    let limits = json!([
        { "op": "set", "key": "", "value": "1" },
        { "op": "set", "key_length": 257, "value": "1" },
        { "op": "set", "key_length": 256, "value": "1" },
        { "op": "set", "key": "v", "value_length": 65537 },
        { "op": "set", "key": "v", "value_length": 65536 },
        { "op": "set", "key": "short", "value": "1", "ttl_ms": 0 },
        { "op": "get", "key": "short" },
        { "op": "set-if-absent", "key": "short", "value": "2", "ttl_ms": 3_600_000 },
        { "op": "get", "key": "short" },
    ]);
    let expected = json!(["too-large", "too-large", true, "too-large", true, true, null, true, "2"]);
    assert_eq!(run(&gateway, limits).await, expected);

    // 16 MiB, in pieces of 64 KiB: the quota ends it, and deleting helps.
    let fill: Vec<Value> =
        (0..260).map(|i| json!({ "op": "set", "key": format!("fill{i}"), "value_length": 65536 })).collect();
    let results = run(&gateway, Value::Array(fill)).await;
    let refused = results.as_array().unwrap().iter().position(|r| r == "quota-exceeded");
    assert!(refused.is_some_and(|at| (250..256).contains(&at)), "{refused:?}");
    let again = json!([
        { "op": "set", "key": "new", "value_length": 65536 },
        { "op": "delete", "key": "fill0" },
        { "op": "set", "key": "new", "value_length": 65000 },
    ]);
    assert_eq!(run(&gateway, again).await, json!(["quota-exceeded", null, true]));
}

#[tokio::test]
async fn a_guests_lines_reach_the_log_tagged_and_escaped() {
    logs();
    let gateway = TestGateway::with(guest("logs"), json!({})).await;
    let response = gateway.chat().header("x-request-id", "log-levels").send().await.unwrap();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "logged");
    let lines = log_of("log-levels");
    let own: Vec<_> = lines.iter().filter(|l| l.target == "adaptor").collect();
    for (level, text) in [
        (Level::TRACE, "a trace line"),
        (Level::DEBUG, "a debug line"),
        (Level::INFO, "an info line of task log-levels"),
        (Level::WARN, "a warn line"),
        (Level::ERROR, "an error line"),
        (Level::INFO, "a line to standard output"),
        (Level::INFO, "a line to standard error"),
    ] {
        assert!(own.iter().any(|l| l.level == level && l.message() == text), "{text}: {own:?}");
    }
    let escaped = own.iter().find(|l| l.message().starts_with("control")).unwrap();
    assert_eq!(escaped.message(), r"control\r\ncharacters \u{1b}[31mred\u{7}\u{0} end");
    let long = own.iter().find(|l| l.message().starts_with("lll")).unwrap();
    assert_eq!(long.message().len(), 4096);
    assert!(own.iter().all(|l| l.fields["endpoint"] == "c-api-m" && l.fields["tenant"] == "default"));
}

#[tokio::test]
async fn a_guest_that_logs_without_end_is_cut_short_and_counted() {
    logs();
    let gateway = TestGateway::with(guest("logs"), json!({ "lines": 500 })).await;
    let response = gateway.chat().header("x-request-id", "log-flood").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let lines = log_of("log-flood");
    let own: Vec<_> = lines.iter().filter(|l| l.target == "adaptor").collect();
    let bytes: usize = own.iter().map(|l| l.message().len()).sum();
    assert!((60_000..70_000).contains(&bytes), "{bytes}");
    let last = own.last().unwrap();
    assert!(last.level == Level::WARN && last.message().contains("bytes of log were dropped"), "{last:?}");
}
