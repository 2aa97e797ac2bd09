//! What `/metrics` counts of requests, and what is made of it: the dashboard and the alert rules in `ops/`.

use std::{collections::BTreeSet, sync::Arc};

use airlock::{
    gauge::Gauge,
    ledger::{Entry, Ledger},
    observe::{MAX_SERIES, Metrics},
};
use airlock_sandbox::Operation;
use airlock_tests::{
    GatewayBuilder, TestGateway, Upstream, chat_body, chunks, completion, guest, json as answer, promtool,
    sse, within,
};
use serde_json::{Value, json};

use crate::tidy::root;

fn builder() -> GatewayBuilder {
    TestGateway::builder().settings(|s| s.metrics = true)
}

async fn text(gateway: &TestGateway) -> String {
    within(gateway.anonymous("GET", "/metrics").send()).await.unwrap().text().await.unwrap()
}

/// The value of a sample, as it is written.
async fn sample(gateway: &TestGateway, name: &str) -> f64 {
    let text = text(gateway).await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is missing:\n{text}")).parse().unwrap()
}

async fn settled(gateway: &TestGateway, request: reqwest::RequestBuilder, n: usize) {
    let response = within(request.send()).await.unwrap();
    within(response.bytes()).await.unwrap();
    gateway.ledger.nth(n).await;
}

fn chat(model: &str, text: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
}

/// A gateway whose backend does as the first message says, after one request of each kind.
async fn used() -> (TestGateway, Upstream) {
    let upstream = Upstream::start(|seen| async move {
        let asked = seen.json();
        let usage = json!({ "choices": [], "usage": completion()["usage"] });
        match asked["messages"][0]["content"].as_str() {
            Some("500") => answer(500, &json!({ "error": { "message": "no" } })),
            Some("400") => answer(400, &json!({ "error": { "message": "no" } })),
            _ if asked["stream"] == true => sse(chunks([
                "data: {\"choices\":[]}\n\n".to_owned(),
                format!("data: {usage}\n\n"),
                "data: [DONE]\n\n".into(),
            ])),
            _ => answer(200, &completion()),
        }
    })
    .await;
    let gateway = builder()
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .endpoint("broken", guest("trap"), json!({}))
        .start()
        .await;
    let path = "/v1/chat/completions";
    settled(&gateway, gateway.chat(), 1).await;
    settled(&gateway, gateway.chat_stream(), 2).await;
    settled(&gateway, gateway.post(path, &chat("m", "500")), 3).await;
    settled(&gateway, gateway.post(path, &chat("m", "400")), 4).await;
    settled(&gateway, gateway.post(path, &chat("broken", "x")), 5).await;
    settled(&gateway, gateway.anonymous("POST", path).json(&chat_body(false)), 6).await;
    (gateway, upstream)
}

#[tokio::test]
async fn requests_are_counted_by_outcome_and_cause() {
    let (gateway, upstream) = used().await;
    let of = |outcome: &str, cause: &str| {
        format!(
            "airlock_requests_total{{cause=\"{cause}\",operation=\"chat/completions\",outcome=\"{outcome}\"}}"
        )
    };
    assert_eq!(sample(&gateway, &of("completed", "none")).await, 2.0);
    assert_eq!(sample(&gateway, &of("failed", "upstream")).await, 1.0);
    assert_eq!(sample(&gateway, &of("failed", "adaptor")).await, 1.0);
    // A backend's 400, and no key.
    assert_eq!(sample(&gateway, &of("failed", "caller")).await, 2.0);
    let endpoint = "endpoint=\"c-api-m\"";
    let input =
        format!("airlock_tokens_total{{direction=\"input\",{endpoint},model=\"m\",tenant=\"default\"}}");
    assert_eq!(sample(&gateway, &input).await, 6.0);
    assert_eq!(
        sample(&gateway, "airlock_tenant_tokens_total{direction=\"output\",tenant=\"default\"}").await,
        8.0
    );
    let first = format!("airlock_time_to_first_token_seconds_count{{{endpoint},tenant=\"default\"}}");
    assert_eq!(sample(&gateway, &first).await, 1.0);
    let per_token = format!("airlock_time_per_output_token_seconds_count{{{endpoint},tenant=\"default\"}}");
    assert_eq!(sample(&gateway, &per_token).await, 1.0);
    let sent: usize = upstream.seen().iter().map(|seen| seen.body.len()).sum();
    let egress = format!("airlock_egress_bytes_total{{{endpoint},tenant=\"default\"}}");
    assert_eq!(sample(&gateway, &egress).await, f64::from(u32::try_from(sent).unwrap()));
    let adaptor = "{adaptor=\"direct-api\",tenant=\"default\"}";
    assert!(sample(&gateway, &format!("airlock_adaptor_cpu_seconds_total{adaptor}")).await > 0.0);
    assert_eq!(sample(&gateway, &format!("airlock_adaptor_memory_bytes_count{adaptor}")).await, 4.0);
    gateway.gateway.settle().await.unwrap();
    assert_eq!(sample(&gateway, "airlock_ledger_records_total{state=\"written\"}").await, 6.0);
}

#[tokio::test]
async fn nothing_that_a_client_writes_becomes_a_label() {
    let gateway = builder().endpoint("m", guest("echo"), json!({})).start().await;
    let odd = "mallory\"} 1\nforged 2";
    for (n, model) in [odd.to_owned(), "mallory".into()].iter().enumerate() {
        let request = gateway.post("/v1/chat/completions", &chat(model, "mallory"));
        settled(&gateway, request.header("x-request-id", "mallory").header("user-agent", "mallory"), n + 1)
            .await;
    }
    let request = gateway.post("/mallory/mallory/v1/chat/completions", &chat("mallory", "x"));
    settled(&gateway, request, 3).await;
    let text = text(&gateway).await;
    assert!(!text.contains("mallory") && !text.contains("forged"), "{text}");
}

#[test]
fn many_endpoints_share_what_is_left() {
    let metrics = Arc::new(Metrics::new().unwrap());
    for n in 0..MAX_SERIES + 50 {
        let (ledger, open) = (Arc::clone(&metrics) as Arc<dyn Ledger>, Gauge::default().count());
        let mut entry = Entry::open(ledger, open, "x".into(), Operation::Embeddings);
        entry.note(|r| {
            r.tenant = Some(format!("tenant-{n}").into());
            r.endpoint = Some(format!("endpoint-{n}").into());
        });
    }
    let text = metrics.text().unwrap();
    let of = |name: &str| text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
    assert_eq!(of("airlock_endpoint_requests_total"), MAX_SERIES + 1);
    assert_eq!(of("airlock_tenant_requests_total"), MAX_SERIES + 1);
    assert!(text.contains("airlock_tenant_requests_total{cause=\"caller\",tenant=\"other\"} 50"));
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_the_metrics() {
    let (gateway, _upstream) = used().await;
    let text = text(&gateway).await;
    if let Some(checked) = promtool(root(), &["check", "metrics"], &text) {
        assert_eq!(checked, Ok(String::new()), "{text}");
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_the_alert_rules() {
    let folder = root().join("ops/prometheus");
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        if let Some(Err(mistakes)) = promtool(&folder, &arguments, "") {
            panic!("{arguments:?}: {mistakes}");
        }
    }
}

/// Names that begin with `airlock_` in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    words.filter(|word| word.starts_with("airlock_")).map(str::to_owned).collect()
}

/// A histogram has samples of these names beside its own.
fn is_known(known: &BTreeSet<String>, name: &str) -> bool {
    let parts = ["_bucket", "_sum", "_count"];
    known.contains(name)
        || parts.iter().any(|part| name.strip_suffix(part).is_some_and(|name| known.contains(name)))
}

#[tokio::test]
async fn the_dashboard_the_alerts_and_the_guide_name_metrics_that_there_are_and_all_are_explained() {
    let (gateway, _upstream) = used().await;
    let text = text(&gateway).await;
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let known: BTreeSet<String> = kinds.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    for file in [
        "ops/grafana/airlock.json",
        "ops/prometheus/alerts.yml",
        "ops/prometheus/alerts_test.yml",
        "docs/operations.md",
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        for name in names(&text) {
            assert!(is_known(&known, &name), "{file} names {name}, which /metrics does not have");
        }
    }
    let guide = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    for name in &known {
        assert!(guide.contains(&format!("`{name}`")), "docs/operations.md does not explain {name}");
    }
}

#[test]
fn the_dashboard_is_whole() {
    let text = std::fs::read_to_string(root().join("ops/grafana/airlock.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && panel["description"].is_string(), "{panel}");
        for target in targets {
            let expr = target["expr"].as_str().unwrap();
            // What the dashboard fills in, so that Prometheus' own parser can read it.
            let expr =
                expr.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$tenant", ".*");
            let rule = json!({ "groups": [{ "name": "g", "rules": [{ "record": "r", "expr": expr }] }] });
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("rule.yml"), rule.to_string()).unwrap();
            if let Some(Err(mistakes)) = promtool(folder.path(), &["check", "rules", "rule.yml"], "") {
                panic!("{}: {mistakes}", panel["title"]);
            }
        }
    }
}
