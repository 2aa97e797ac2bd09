//! What one call leaves behind, another must not find; what the host knows, a guest must not learn.

use std::{collections::BTreeSet, path::Path};

use airlock_tests::{Body, TestGateway, Upstream, completion, events, guest, json, log_of, logs, within};
use http::{HeaderValue, Response};
use serde_json::{Value, json};

/// Zero of everything.
fn clean() -> Value {
    json!({ "grown": 0, "still": 0, "marks": 0 })
}

/// The guest found nothing, and would have.
fn assert_fresh(report: &Value, what: &str) {
    assert_eq!(report["before"], clean(), "{what}: {report}");
    for found in ["grown", "still", "marks"] {
        assert!(report["after"][found].as_u64().unwrap() > 1 << 19, "{what}: {report}");
    }
}

async fn report(gateway: &TestGateway, model: &str, stream: bool) -> Value {
    let mut body = airlock_tests::chat_with(model);
    body["stream"] = json!(stream);
    let response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
    let text = response.text().await.unwrap();
    serde_json::from_str(if stream { events(&text)[0] } else { &text }).unwrap()
}

#[tokio::test]
async fn a_call_finds_nothing_of_the_calls_before() {
    for slots in [1, 4] {
        let gateway = TestGateway::builder()
            .beside_a_good_one()
            .endpoint("m", guest("dirty"), json!({}))
            .endpoint("more", guest("dirty"), json!({ "mib": 40 }))
            .settings(|s| (s.sandbox.slots, s.sandbox.cpu_ms) = (slots, 20_000))
            .start()
            .await;
        for round in 0..50 {
            let (model, stream) = (if round % 5 == 4 { "more" } else { "m" }, round % 2 == 1);
            let report = report(&gateway, model, stream).await;
            assert_fresh(&report, &format!("{slots} slots, round {round}, {model}, stream {stream}"));
        }
        gateway.is_well().await;
    }
}

/// Four at a time, in five slots: slow calls leave one to others.
#[tokio::test]
async fn calls_at_the_same_time_find_nothing_of_each_other() {
    let gateway = TestGateway::builder()
        .beside_a_good_one()
        .endpoint("m", guest("dirty"), json!({}))
        .settings(|s| (s.sandbox.slots, s.sandbox.cpu_ms) = (5, 20_000))
        .start()
        .await;
    for round in 0..15 {
        let four = (0..4).map(|at| report(&gateway, "m", at % 2 == 0));
        for report in futures_util::future::join_all(four).await {
            assert_fresh(&report, &format!("round {round}"));
        }
        gateway.idle().await;
    }
    gateway.is_well().await;
}

/// The same guest as another component: a custom section more.
fn twin(folder: &Path) -> std::path::PathBuf {
    let mut bytes = std::fs::read(guest("dirty")).unwrap();
    bytes.extend(b"\0\x05\x04twin");
    let path = folder.join("twin.wasm");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A slot that changes its component keeps nothing of the last one, whatever that one's own memory looked like.
#[tokio::test]
async fn a_component_finds_nothing_of_another() {
    let folder = tempfile::tempdir().unwrap();
    for slots in [1, 4] {
        let gateway = TestGateway::builder()
            .beside_a_good_one()
            .endpoint("m", guest("dirty"), json!({}))
            .endpoint("twin", twin(folder.path()), json!({}))
            .endpoint("grow", guest("grow"), json!({}))
            .settings(|s| {
                (s.sandbox.slots, s.sandbox.cpu_ms) = (slots, 20_000);
                s.sandbox.memory_mib = 24;
            })
            .start()
            .await;
        for round in 0..25 {
            for model in ["m", "twin"] {
                let report = report(&gateway, model, round % 2 == 1).await;
                assert_fresh(&report, &format!("{slots} slots, round {round}, {model}"));
            }
            if round % 3 == 0 {
                gateway.ask("grow").send().await.unwrap();
            }
            gateway.is_well().await;
        }
    }
}

/// Finer clocks let a guest measure its neighbours. This one has steps of a millisecond.
#[tokio::test]
async fn a_guests_clocks_are_coarse() {
    let gateway = TestGateway::with(guest("clock"), json!({ "count": 20_000 })).await;
    let told = gateway.answer("m").await;
    for clock in ["monotonic", "wall"] {
        let readings: Vec<u64> =
            told[clock].as_array().unwrap().iter().map(|reading| reading.as_u64().unwrap()).collect();
        let steps: BTreeSet<u64> =
            readings.windows(2).map(|two| two[1] - two[0]).filter(|step| *step > 0).collect();
        eprintln!("{clock}: {} different steps, the smallest {:?} ns", steps.len(), steps.first());
        let fine = readings.iter().filter(|reading| *reading % 1_000_000 != 0).count();
        assert_eq!(fine, 0, "{clock}: of {} readings so many are finer than 1 ms", readings.len());
    }
    assert_eq!(told["resolution"], 1_000_000);
}

const KEY: &str = "sk-provider-0123456789";

/// A backend that gives back, in headers, what it got in headers.
async fn mirror() -> Upstream {
    Upstream::start(|seen| async move {
        let mut response: Response<Body> = json(200, &completion());
        let key = seen.headers.get("authorization").cloned().unwrap_or(HeaderValue::from_static("none"));
        for name in ["authorization", "x-api-key", "set-cookie", "www-authenticate", "proxy-authenticate"] {
            response.headers_mut().insert(name, key.clone());
        }
        response
    })
    .await
}

/// A guest that tells all it knows to everybody it knows; `other` is another endpoint, with its own secrets.
async fn telling(granted: &Upstream, hook: &Upstream, panic: bool) -> TestGateway {
    let config = json!({
        "api_url": granted.url(), "api_key_env_name": "PROVIDER_KEY", "panic": panic,
        "hook": format!("http://{}/hook", hook.address), "allowed_hosts": [format!("http://{}", hook.address)],
    });
    let other = json!({
        "api_url": granted.url(), "api_key_env_name": "OTHER_KEY", "extra_headers": { "x-other": "other-endpoints-header" },
    });
    TestGateway::builder()
        .beside_a_good_one()
        .endpoint("m", guest("tell"), config)
        .endpoint("other", "direct-api", other)
        .endpoint("kv", guest("kv"), json!({ "script": [{ "op": "get", "key": "told" }] }))
        .env("PROVIDER_KEY", KEY)
        .env("OTHER_KEY", "sk-other-9876543210")
        .env("UNUSED", "nobodys-business")
        .start()
        .await
}

#[tokio::test]
async fn a_guest_that_tells_all_it_knows_tells_no_secret() {
    logs();
    for panic in [false, true] {
        let (granted, hook) = (mirror().await, Upstream::json(completion()).await);
        let gateway = telling(&granted, &hook, panic).await;
        gateway.answer("other").await; // leaves its key on the connection that comes next
        let id = format!("tell-{panic}");
        let request = gateway.chat().header("x-request-id", &id).header("cookie", "clients-cookie");
        let response = within(request.send()).await.unwrap();
        assert_eq!(response.status(), if panic { 502 } else { 200 });
        let answer = format!("{:?}{}", response.headers().clone(), response.text().await.unwrap());
        gateway.is_well().await;

        let surfaces = [
            ("the hook", format!("{:?}", hook.seen())),
            ("the answer", answer),
            ("the log", format!("{:?}", log_of(&id))),
            ("the ledger", format!("{:?}", gateway.ledger.nth(2).await)),
            ("the store", gateway.answer("kv").await.to_string()),
        ];
        let secrets = [
            KEY,
            &gateway.key,
            "sk-other-9876543210",
            "other-endpoints-header",
            "nobodys-business",
            "clients-cookie",
        ];
        for (place, text) in &surfaces {
            for secret in secrets {
                let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
                assert!(
                    !text.contains(secret) && !text.contains(&hexadecimal),
                    "{secret} in {place}: {text}"
                );
            }
        }
        // It did tell: its own endpoint's configuration is everywhere.
        for place in [0, 2, 4] {
            assert!(surfaces[place].1.contains("PROVIDER_KEY"), "{}", surfaces[place].0);
        }
        assert_eq!(hook.seen().len(), 2, "by both ways out");
        assert!(
            granted.seen()[1..].iter().all(|seen| seen.headers["authorization"] == format!("Bearer {KEY}"))
        );
        assert!(hook.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
    }
}
