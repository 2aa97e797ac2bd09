//! What an upload has to pass: good components do, and each hostile one is refused by the check that is there for it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use airlock::auth::Role;
use airlock_tests::{Person, TestGateway, Upstream, adaptor, example, guest, until, within};
use serde_json::{Value, json};

/// A gateway whose tenants reach nothing.
async fn gateway() -> TestGateway {
    let gateway = TestGateway::builder()
        .settings(|s| {
            s.sandbox.slots = 64;
            s.sandbox.cpu_ms = 500;
            s.sandbox.memory_mib = 16;
        })
        .start()
        .await;
    gateway.tenant("t").await;
    gateway
}

/// Uploads a component with a configuration for the run; the status, and what came back.
async fn push(person: &Person<'_>, name: &str, file: &Path, config: &Value) -> (u16, Value) {
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("config", &config.to_string())
        .finish();
    let path = format!("/tenants/t/adaptors/{name}/versions?{query}");
    let pushed = person.push(&path, std::fs::read(file).unwrap()).await;
    (pushed.status().as_u16(), pushed.json().await.unwrap())
}

fn checks(report: &Value) -> Vec<&str> {
    report["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect()
}

fn warnings(report: &Value) -> Vec<&str> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter_map(|check| check["warnings"].as_array()).flatten().map(|w| w.as_str().unwrap()).collect()
}

const FIRST: [&str; 4] = ["signature", "component", "interfaces", "compilation"];
const ENDPOINT: [&str; 6] = ["configuration", "answers", "streams", "errors", "cancellation", "hanging"];

#[tokio::test]
async fn good_components_pass_every_check_and_say_what_they_cost() {
    let gateway = gateway().await;
    let developer = gateway.person("t", Role::Developer).await;
    let status_url = json!({ "status_url": "http://backend.invalid/status" });
    let cases = [
        ("direct", adaptor("direct-api"), json!({}), false),
        ("wasi", adaptor("direct-api-wasi"), json!({}), false),
        ("custom", example("custom-endpoint"), status_url, true),
        ("prompt", adaptor("system-prompt"), json!({ "system_prompt": "Be kind." }), false),
        ("relay", guest("brittle"), json!({}), false),
        ("events", guest("rewrite"), json!({}), false),
        ("front", guest("through"), json!({}), false),
    ];
    for (name, file, config, warns) in cases {
        let (status, pushed) = push(&developer, name, &file, &config).await;
        assert_eq!(status, 201, "{name}: {pushed}");
        let report = &pushed["report"];
        assert_eq!(checks(report), [&FIRST[..], &ENDPOINT].concat(), "{name}");
        assert_eq!(!warnings(report).is_empty(), warns, "{name}: {report}");
        let cost = &report["cost"];
        assert!(cost["request_cpu_us"].as_u64().is_some_and(|us| us > 0), "{name}: {cost}");
        assert!(cost["peak_memory_bytes"].as_u64().is_some_and(|bytes| bytes >= 64 << 10), "{name}: {cost}");
        assert!(cost["compile_ms"].is_u64(), "{name}: {cost}");
    }
    let status_url = json!({ "status_url": "http://backend.invalid/status" });
    for (name, file, config, warns) in [
        ("static", adaptor("static-cluster"), json!({}), false),
        ("cluster", example("custom-cluster"), json!({}), true),
        ("asks", guest("jobs"), status_url, false),
    ] {
        let (status, pushed) = push(&developer, name, &file, &config).await;
        assert_eq!(status, 201, "{name}: {pushed}");
        let report = &pushed["report"];
        assert_eq!(checks(report), [&FIRST[..], &["jobs"]].concat(), "{name}");
        assert_eq!(!warnings(report).is_empty(), warns, "{name}: {report}");
        assert!(report["cost"]["request_cpu_us"].as_u64().is_some_and(|us| us > 0), "{name}: {report}");
    }
    gateway.idle().await;
}

#[tokio::test]
async fn each_hostile_component_is_refused_by_the_check_for_it_with_a_remedy() {
    let gateway = gateway().await;
    let developer = gateway.person("t", Role::Developer).await;
    let cases = [
        ("trap", json!({ "at": "validate" }), "configuration", "trapped"),
        ("start-spin", json!({}), "configuration", "CPU budget"),
        ("trap", json!({}), "answers", "trapped"),
        ("spin", json!({}), "answers", "CPU budget"),
        ("grow", json!({}), "answers", "memory budget"),
        ("sleep", json!({}), "answers", "in time"),
        ("bad-output", json!({ "kind": "not-json" }), "answers", "not a JSON object"),
        ("bad-output", json!({ "kind": "array" }), "answers", "not a JSON object"),
        ("bad-output", json!({ "kind": "empty" }), "answers", "not a JSON object"),
        ("front", json!({ "front": "trap" }), "answers", "trapped"),
        ("front", json!({ "front": "spin" }), "answers", "CPU budget"),
        ("events", json!({ "bad_at": 1 }), "streams", "line break"),
        ("events", json!({ "trap_at": 1 }), "streams", "trapped"),
        ("brittle", json!({ "brittle": "endless" }), "streams", "does not end"),
        ("nth", json!({ "nth_traps_at": 2 }), "streams", "trapped"),
        ("brittle", json!({ "brittle": "status" }), "errors", "answers 400"),
        ("brittle", json!({ "brittle": "silence" }), "hanging", "never answers"),
        ("jobs-trap", json!({}), "jobs", "trapped"),
        ("jobs-trap", json!({ "nonsense": true }), "jobs", "cluster-status"),
    ];
    for (name, config, check, says) in cases {
        let (status, refused) = push(&developer, "mine", &guest(name), &config).await;
        assert_eq!(status, 422, "{name} {config}: {refused}");
        let error = &refused["error"];
        assert_eq!(error["code"], "adaptor_refused", "{refused}");
        let report = &error["details"]["report"];
        let last = report["checks"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["name"], &last["passed"]),
            (&json!(check), &json!(false)),
            "{name} {config}: {last}"
        );
        let message = last["message"].as_str().unwrap();
        assert!(message.contains(says), "{name} {config}: {message}");
        assert!(!message.contains('\n'), "{message}");
        assert!(last["remedy"].as_str().is_some_and(|remedy| remedy.len() > 20), "{last}");
        gateway.idle().await;
    }
    assert_eq!(developer.read("/tenants/t/adaptors").await["data"], json!([]), "nothing was stored");
}

#[tokio::test]
async fn an_adaptor_that_needs_more_configuration_is_not_refused_and_told_how_to_give_it() {
    let gateway = gateway().await;
    let developer = gateway.person("t", Role::Developer).await;
    let (status, pushed) = push(&developer, "prompt", &adaptor("system-prompt"), &json!({})).await;
    assert_eq!(status, 201, "{pushed}");
    let last = pushed["report"]["checks"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["name"], &last["skipped"]), (&json!("configuration"), &json!(true)), "{last}");
    assert!(last["message"].as_str().unwrap().contains("system_prompt"), "{last}");
    assert!(last["remedy"].as_str().unwrap().contains("?config="), "{last}");
    let bytes = std::fs::read(adaptor("direct-api")).unwrap();
    let malformed = developer.push("/tenants/t/adaptors/mine/versions?config=[]", bytes).await;
    assert_eq!(malformed.status(), 400);
}

#[tokio::test]
async fn a_backends_error_that_is_told_as_a_success_is_a_warning() {
    let gateway = gateway().await;
    let developer = gateway.person("t", Role::Developer).await;
    let config = json!({ "brittle": "hide" });
    let (status, pushed) = push(&developer, "mine", &guest("brittle"), &config).await;
    assert_eq!(status, 201, "{pushed}");
    let found = warnings(&pushed["report"]);
    for code in ["400", "429", "500"] {
        assert!(found.iter().any(|w| w.contains(code) && w.contains("is a success")), "{code}: {found:?}");
    }
}

/// Whatever its configuration says, what is examined reaches the scripted backend and nothing else.
#[tokio::test]
async fn what_is_examined_reaches_no_network() {
    let loopback = "127.0.0.0/8".parse().unwrap();
    let gateway =
        TestGateway::builder().settings(move |s| s.egress.allow_networks = vec![loopback]).start().await;
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    let upstream = Upstream::json(json!({ "not": "for the gate" })).await;
    for name in ["direct-api", "direct-api-wasi"] {
        let config = json!({ "api_url": upstream.url() });
        let (status, pushed) = push(&developer, "mine", &adaptor(name), &config).await;
        assert_eq!(status, 201, "{pushed}");
        assert!(warnings(&pushed["report"]).is_empty(), "the script was played: {pushed}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn more_uploads_than_may_wait_are_refused_for_now_and_requests_go_on() {
    let gateway = gateway().await;
    let developer = gateway.person("t", Role::Developer).await;
    let bytes = std::fs::read(guest("sleep")).unwrap();
    let mut people = vec![("t", developer.clone())];
    for tenant in ["u", "v", "w"] {
        gateway.tenant(tenant).await;
        people.push((tenant, gateway.person(tenant, Role::Developer).await));
    }
    let pushes: Vec<_> = (0..14)
        .map(|at| {
            let (tenant, person) = &people[at % people.len()];
            let path = format!("/tenants/{tenant}/adaptors/a{at}/versions");
            let push = person.request("POST", &path).body(bytes.clone()).send();
            tokio::spawn(async move { push.await.unwrap() })
        })
        .collect();
    // The sleepers are at work, two at a time: others are told at once.
    until(async || pushes.iter().filter(|push| push.is_finished()).count() == 4).await;
    assert!(gateway.live_instances() <= 2);
    let started = Instant::now();
    let health = within(gateway.request("GET", "/health").send()).await.unwrap();
    assert_eq!(health.status(), 200);
    assert!(started.elapsed() < Duration::from_secs(2));
    let mut busy = 0;
    for push in pushes {
        if push.is_finished() {
            let response = push.await.unwrap();
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key("retry-after"));
            let told: Value = response.json().await.unwrap();
            assert_eq!(told["error"]["code"], "overloaded", "{told}");
            busy += 1;
        } else {
            push.abort(); // who leaves makes room
        }
    }
    assert_eq!(busy, 4);
    until(async || gateway.gateway.intake().under_way() == 0).await;
    gateway.idle().await;
    let (status, pushed) = push(&developer, "mine", &adaptor("direct-api"), &json!({})).await;
    assert_eq!(status, 201, "{pushed}");
}

/// The run counts against the tenant's own limits.
#[tokio::test]
async fn a_tenant_whose_sandboxes_are_in_use_is_told_to_wait() {
    let gateway = gateway().await;
    let operator = gateway.person("default", Role::Operator).await;
    let small = json!({ "name": "s", "quota": { "instances": 0 } });
    let made = operator.post("/tenants", &small).await;
    let status = made.status();
    assert_eq!(status, 201, "{}", made.text().await.unwrap());
    let developer = gateway.person("s", Role::Developer).await;
    let bytes = std::fs::read(adaptor("direct-api")).unwrap();
    let pushed = developer.push("/tenants/s/adaptors/mine/versions", bytes).await;
    assert_eq!(pushed.status(), 503, "{}", pushed.text().await.unwrap());
}
