//! Chains: middlewares in front of an adaptor, through the real gateway. What they may do, in which order, and that
//! neither limits nor grants grow with them.

use std::path::{Path, PathBuf};

use airlock_tests::{
    Feed, GatewayBuilder, TestGateway, Upstream, chat_body, completion, error, events, guest, log_of, logs,
    stream_error, within,
};
use serde_json::{Value, json};

const SECRET: &str = "sk-provider-0123456789";

/// A gateway with an endpoint `m` whose adaptors are `parts`.
pub fn chain(parts: &[PathBuf], config: Value) -> GatewayBuilder {
    let list = json!({ "endpoint_adapter": parts });
    TestGateway::builder().endpoint("m", "direct-api", config).fields(list)
}

/// A chain of these: the names of test guests have no place in the list of bundled ones, so they are found first.
fn parts(names: &[&str]) -> Vec<PathBuf> {
    let bundled: Vec<&str> = airlock::fixtures::bundled_adaptors().collect();
    let part = |name: &&str| if bundled.contains(name) { name.into() } else { guest(name) };
    names.iter().map(part).collect()
}

async fn started(names: &[&str], config: Value) -> TestGateway {
    chain(&parts(names), config).start().await
}

async fn answer(gateway: &TestGateway) -> Value {
    let response = within(gateway.chat().send()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

#[tokio::test]
async fn a_middleware_that_does_nothing_changes_nothing() {
    let upstream = Upstream::json(completion()).await;
    for names in [&["front", "direct-api"][..], &["front", "front", "direct-api-wasi"], &["front", "rewrite"]]
    {
        let gateway = started(names, json!({ "api_url": upstream.url() })).await;
        let before = upstream.seen().len();
        assert_eq!(answer(&gateway).await, completion(), "{names:?}");
        let seen = &upstream.seen()[before..];
        assert_eq!(seen.len(), 1, "{names:?}");
        assert_eq!(seen[0].json(), chat_body(false), "{names:?}");
        assert_eq!(gateway.ledger.one().await.usage.unwrap().total_tokens, 7);
        gateway.idle().await;
    }
}

/// Wherever the request is made: by the host afterwards, by the adaptor over either way out.
#[tokio::test]
async fn a_changed_body_goes_out_and_not_the_clients_own() {
    let upstream = Upstream::json(completion()).await;
    let url = upstream.url();
    let cases = [
        (&["front", "direct-api"][..], "body", Some(1)),
        (&["front", "direct-api-wasi"], "body", Some(1)),
        (&["front", "rewrite"], "body", Some(1)),
        (&["front", "front", "direct-api"], "body", Some(1)),
        (&["front", "direct-api"], "twice", Some(1)),
        (&["front", "direct-api"], "first", None),
        (&["front", "rewrite"], "first", None),
    ];
    for (names, what, expected) in cases {
        let gateway = started(names, json!({ "api_url": url, "front": what })).await;
        // Each instance is a fresh one: it counts from 1 again.
        for _ in 0..2 {
            answer(&gateway).await;
            let mut body = upstream.seen().last().unwrap().json();
            let front = body.as_object_mut().unwrap().remove("front");
            assert_eq!(front, expected.map(|count| json!(count)), "{names:?} {what}");
            assert_eq!(body, chat_body(false), "{names:?} {what}");
        }
    }
}

#[tokio::test]
async fn the_first_of_the_list_sees_the_task_first() {
    let upstream = Upstream::json(completion()).await;
    let config = json!({
        "api_url": upstream.url(), "system_prompt": "Never say rhubarb.", "prompt_block": ["rhubarb"],
    });
    let policy_first = started(&["prompt-policy", "system-prompt", "direct-api"], config.clone()).await;
    answer(&policy_first).await;
    assert_eq!(upstream.only().json()["messages"][0]["content"], "Never say rhubarb.");
    let prompt_first = started(&["system-prompt", "prompt-policy", "direct-api"], config).await;
    error(prompt_first.chat().send().await.unwrap(), 400, "prompt_blocked").await;
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_changed_url_stays_within_the_fixtures_grant() {
    let (own, other) = (Upstream::json(completion()).await, Upstream::json(completion()).await);
    let config = |allowed: Value| {
        json!({
            "api_url": own.url(), "front": "url", "other": other.url(), "allowed_hosts": allowed,
            "api_key_env_name": "PROVIDER_KEY",
        })
    };
    for inner in ["direct-api", "direct-api-wasi", "rewrite"] {
        let names = parts(&["front", inner]);
        let denied = chain(&names, config(json!([]))).env("PROVIDER_KEY", SECRET).start().await;
        error(denied.chat().send().await.unwrap(), 502, "egress_denied").await;
        assert!(other.seen().is_empty() && own.seen().is_empty(), "{inner}");
    }
    let origin = json!([format!("http://{}", other.address)]);
    let allowed =
        chain(&parts(&["front", "direct-api"]), config(origin)).env("PROVIDER_KEY", SECRET).start().await;
    answer(&allowed).await;
    let seen = other.only();
    assert_eq!(seen.uri.path(), "/v1/chat/completions");
    // The key is bound to the fixture's own origin.
    assert!(!seen.headers.contains_key("authorization"), "{:?}", seen.headers);
    assert!(own.seen().is_empty());
}

#[tokio::test]
async fn a_middleware_never_sees_the_credential() {
    logs();
    let upstream = Upstream::json(completion()).await;
    let config = json!({ "api_url": upstream.url(), "api_key_env_name": "PROVIDER_KEY", "front": "report" });
    let gateway = chain(&parts(&["front", "direct-api"]), config).env("PROVIDER_KEY", SECRET).start().await;
    let response = gateway.chat().header("x-request-id", "front-looks").send().await.unwrap();
    let report: Value = response.json().await.unwrap();
    assert_eq!(report["env"], json!([]));
    assert_eq!(report["endpoint"]["config"]["api_key_env_name"], "PROVIDER_KEY");
    assert_eq!(report["sent"]["url"], format!("{}/chat/completions", upstream.url()));
    assert_eq!(report["sent"]["headers"], json!([["content-type", "application/json"]]));
    for secret in [SECRET, &gateway.key] {
        assert!(!report.to_string().contains(secret), "{report}");
        assert!(!format!("{:?}", log_of("front-looks")).contains(secret));
    }
}

#[tokio::test]
async fn events_are_wrapped_of_whatever_kind_the_stream_is() {
    let text = "data: {\"a\":1}\n\ndata: {\"a\":2}\n\ndata: [DONE]\n\n";
    let upstream =
        Upstream::start(move |_| async move { airlock_tests::sse(airlock_tests::chunks([text])) }).await;
    let cases = [
        (&["nth", "direct-api"][..], 1),  // forwarded
        (&["nth", "direct-api-wasi"], 1), // relayed
        (&["nth", "rewrite"], 1),         // events already
        (&["nth", "nth", "direct-api"], 2),
        (&["through", "nth", "direct-api"], 1),
        (&["front", "nth", "direct-api"], 1),
        (&["nth", "through", "rewrite"], 1),
        (&["nth", "through", "through", "nth", "direct-api"], 2),
        (&["through", "rewrite"], 0),
        (&["front", "rewrite"], 0),
    ];
    for (names, through) in cases {
        let gateway = started(names, json!({ "api_url": upstream.url() })).await;
        let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
        let payloads = events(&text);
        assert_eq!(payloads.last(), Some(&"[DONE]"), "{names:?}: {text}");
        let payloads: Vec<Value> =
            payloads[..payloads.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        let expected: Vec<Value> = [1, 2].iter().map(|n| expected_event(*n, through)).collect();
        assert_eq!(payloads, expected, "{names:?}");
        gateway.idle().await;
    }
}

/// The backend's event numbered `n`, seen by `through` parts that number events.
fn expected_event(n: u64, through: u64) -> Value {
    if through == 0 { json!({ "a": n }) } else { json!({ "a": n, "nth": n, "through": through }) }
}

async fn fed(names: &[&str]) -> (Upstream, Feed, TestGateway) {
    let (upstream, feed) = Upstream::fed().await;
    let gateway = started(names, json!({ "api_url": upstream.url() })).await;
    (upstream, feed, gateway)
}

/// As they come, not at the end; and when the client goes, the whole chain goes.
#[tokio::test]
async fn wrapped_events_are_handed_on_one_by_one_and_end_with_the_client() {
    let (upstream, feed, gateway) = fed(&["nth", "through", "direct-api"]).await;
    let mut response = within(gateway.chat_stream().send()).await.unwrap();
    feed.send("data: {}\n\n");
    let first = within(response.chunk()).await.unwrap().unwrap();
    assert_eq!(first, "data: {\"nth\":1,\"through\":1}\n\n");
    assert_eq!(gateway.live_instances(), 1);
    drop(response);
    within(feed.closed()).await;
    gateway.idle().await;
    airlock_tests::eventually(|| upstream.open_connections() == 0).await;
}

/// Without a wrapping part a forwarded stream holds no instance, whatever stands in front.
#[tokio::test]
async fn a_chain_that_hands_replies_through_is_gone_before_the_backend_answers() {
    let (_upstream, feed, gateway) = fed(&["front", "through", "direct-api"]).await;
    let mut response = within(gateway.chat_stream().send()).await.unwrap();
    gateway.idle().await;
    feed.send("data: {\"a\":1}\n\n");
    assert_eq!(within(response.chunk()).await.unwrap().unwrap(), "data: {\"a\":1}\n\n");
    feed.send("data: [DONE]\n\n");
    drop(feed);
    within(response.text()).await.unwrap();
}

#[tokio::test]
async fn a_trap_in_a_middleware_is_a_fault_like_any_and_the_next_one_is_not_reached() {
    logs();
    let upstream = Upstream::json(completion()).await;
    let gateway =
        started(&["front", "direct-api"], json!({ "api_url": upstream.url(), "front": "trap" })).await;
    for request in [gateway.chat().header("x-request-id", "front-traps"), gateway.chat_stream()] {
        let told = error(within(request.send()).await.unwrap(), 502, "adaptor_trap").await.to_string();
        assert!(!told.contains("told to trap") && !told.contains("wasm"), "{told}");
        gateway.idle().await;
    }
    let lines = log_of("front-traps");
    assert!(lines.iter().any(|line| line.message().contains("told to trap")), "{lines:?}");
    assert!(upstream.seen().is_empty());

    let behind = started(&["front", "trap"], json!({})).await;
    error(within(behind.chat().send()).await.unwrap(), 502, "adaptor_trap").await;
    behind.idle().await;

    let text = "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n";
    let upstream =
        Upstream::start(move |_| async move { airlock_tests::sse(airlock_tests::chunks([text])) }).await;
    let config = json!({ "api_url": upstream.url(), "nth_traps_at": 2 });
    let between = started(&["nth", "direct-api"], config).await;
    let text = within(between.chat_stream().send()).await.unwrap().text().await.unwrap();
    assert_eq!(events(&text).len(), 2, "{text}");
    stream_error(&text, "adaptor_trap");
    between.idle().await;
}

/// Memory is summed over all parts, and there is one clock.
#[tokio::test]
async fn limits_hold_for_the_chain_as_a_whole() {
    let sixteen = |names: &[&str], config: Value| {
        chain(&parts(names), config).settings(|s| {
            s.sandbox.memory_mib = 16;
            s.sandbox.cpu_ms = 300;
        })
    };
    let alone = sixteen(&["dirty"], json!({ "mib": 8 })).start().await;
    answer(&alone).await;
    let held = sixteen(&["front", "echo"], json!({ "front": "hold", "hold_mib": 8 })).start().await;
    answer(&held).await;
    let both =
        sixteen(&["front", "dirty"], json!({ "front": "hold", "hold_mib": 8, "mib": 8 })).start().await;
    error(within(both.chat().send()).await.unwrap(), 502, "adaptor_memory_limit").await;
    both.idle().await;

    let behind = sixteen(&["front", "spin"], json!({})).start().await;
    error(within(behind.chat().send()).await.unwrap(), 504, "adaptor_cpu_limit").await;
    let before = sixteen(&["front", "echo"], json!({ "front": "spin" })).start().await;
    error(within(before.chat().send()).await.unwrap(), 504, "adaptor_cpu_limit").await;
    before.idle().await;
}

#[tokio::test]
async fn every_part_checks_the_configuration() {
    let refused = |config: Value| async {
        chain(&parts(&["front", "direct-api"]), config).try_start().await.map(drop).unwrap_err()
    };
    let text = refused(json!({ "api_url": "http://127.0.0.1:1/v1", "front": "unhappy" })).await;
    assert!(text.contains("config key `front`: makes it unhappy"), "{text}");
    let text = refused(json!({ "api_url": "http://127.0.0.1:1/v1", "api_request_timeout": -1 })).await;
    assert!(text.contains("config key `api_request_timeout`"), "{text}");
    // Of what the next one will see.
    let text =
        refused(json!({ "api_url": "http://127.0.0.1:1/v1", "front": "url", "other": "http://x#y" })).await;
    assert!(text.contains("config key `api_url`: must not hold a fragment"), "{text}");
}

#[tokio::test]
async fn the_longest_chain_fits_and_one_more_is_told_which_is_too_many() {
    let upstream = Upstream::json(completion()).await;
    let mut names = vec!["front"; 7];
    names.push("direct-api");
    let config = json!({ "api_url": upstream.url(), "front": "body" });
    let gateway = started(&names, config.clone()).await;
    answer(&gateway).await;
    assert_eq!(upstream.only().json()["front"], 1);

    names.insert(0, "front");
    let parts = parts(&names);
    let text = chain(&parts, config.clone()).try_start().await.map(drop).unwrap_err();
    assert!(text.contains("a chain has 1 to 8 parts, and this one has 9"), "{text}");
    assert!(text.contains(&format!("endpoints.json:{}:", line_of(&parts, &config, 8))), "{text}");
}

#[tokio::test]
async fn bad_chains_are_told_with_the_line_of_the_part() {
    let folder = tempfile::tempdir().unwrap();
    for (parts, at, says) in misplaced().into_iter().chain(misfits(folder.path())) {
        let told = chain(&parts, json!({})).try_start().await.map(drop).unwrap_err();
        let line = told.lines().find(|line| line.contains(says)).unwrap_or_else(|| panic!("{says}: {told}"));
        assert!(line.contains(&parts[at].display().to_string()), "{told}");
        let nth = line_of(&parts, &json!({}), at);
        assert!(line.contains(&format!("endpoints.json:{nth}:")), "line {nth}: {told}");
    }
}

/// A chain, the part that is wrong, and what is said of it.
type Bad = (Vec<PathBuf>, usize, &'static str);

/// Good components in the wrong place.
fn misplaced() -> Vec<Bad> {
    let (front, echo) = (guest("front"), guest("echo"));
    let cluster = airlock_tests::adaptor("static-cluster");
    vec![
        (vec![front.clone()], 0, "needs another adaptor behind it"),
        (vec![front.clone(), guest("through")], 1, "needs another adaptor behind it"),
        (vec![echo.clone(), echo.clone()], 0, "nothing would reach what stands behind it"),
        (vec![front.clone(), echo.clone(), echo], 1, "nothing would reach what stands behind it"),
        (vec![front, cluster], 1, "exports no `airlock:adaptor/endpoint`"),
    ]
}

/// What can stand in no chain.
fn misfits(folder: &Path) -> Vec<Bad> {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let wat = |name: &str, text: &str| write(name, &wat::parse_str(text).unwrap());
    let front = |name: &str, inside: &str, version: &str| {
        wat(
            name,
            &format!(
                r#"(component (import "airlock:adaptor/endpoint@{version}" (instance)) {inside}
                (instance $i) (export "airlock:adaptor/endpoint@{version}" (instance $i)))"#
            ),
        )
    };
    let odd = r#"(component (import "airlock:adaptor/endpoint@0.1.0" (instance (export "odd" (func))))
        (instance $i) (export "airlock:adaptor/endpoint@0.1.0" (instance $i)))"#;
    let files = r#"(import "wasi:filesystem/types@0.3.0" (instance))"#;
    let exports_nothing = r#"(component (import "airlock:adaptor/endpoint@0.1.0" (instance)))"#;
    let echo = std::fs::read(guest("echo")).unwrap();
    let in_front = [
        (front("files.wasm", files, "0.1.0"), "adaptors have no files"),
        (front("new.wasm", "", "0.9.0"), "built for airlock:adaptor@0.9.0"),
        (
            front("shared.wasm", "(core module (memory 1 1 shared))", "0.1.0"),
            "WebAssembly proposal `threads`",
        ),
        (wat("odd.wasm", odd), "does not fit what stands behind it"),
        (wat("mute.wasm", exports_nothing), "exports no `airlock:adaptor/endpoint`"),
        (wat("module.wasm", "(module)"), "core WebAssembly module"),
        (write("none.wasm", b"hello"), "not a WebAssembly file"),
    ];
    let mut bad: Vec<Bad> =
        in_front.into_iter().map(|(part, says)| (vec![part, guest("echo")], 0, says)).collect();
    bad.push((vec![guest("front"), write("cut.wasm", &echo[..5000])], 1, "not valid"));
    bad
}

/// The line of a part in the endpoints' file as the kit writes it: one item of a list a line.
fn line_of(parts: &[PathBuf], config: &Value, at: usize) -> usize {
    let fields = json!({
        "cluster": "c", "framework": "api", "model": "m", "endpoint_adapter": parts, "config": config,
    });
    let file = json!([{ "model": "resource_server_async.endpoint", "pk": 1, "fields": fields }]);
    let list = format!("{file:#}").lines().position(|line| line.contains("endpoint_adapter")).unwrap();
    list + 2 + at
}

/// The prompts of a batch would pass by a middleware that polices prompts.
#[tokio::test]
async fn a_batch_does_not_pass_by_a_middleware() {
    let upstream = Upstream::json(json!({ "handle": "h", "tasks": [], "state": "pending" })).await;
    let config = json!({ "api_url": upstream.url(), "batch": true });
    for (chain, status) in [(json!([guest("batch")]), 200), (json!([guest("through"), guest("batch")]), 400)]
    {
        let gateway = TestGateway::builder()
            .endpoint("m", "direct-api", config.clone())
            .fields(json!({ "endpoint_adapter": chain }))
            .start()
            .await;
        let order = json!({ "model": "m", "input_file": "/f" });
        let response = gateway.post("/resource_server/c/api/v1/batches", &order).send().await.unwrap();
        assert_eq!(response.status(), status, "{chain}");
    }
    assert_eq!(upstream.seen().len(), 1);
}
