//! What the JavaScript engine and the SDK make of odd adaptors: `tests/guests/js/odd.js` does what the last message says.

use std::path::PathBuf;

use airlock_tests::{TestGateway, error, events, log_of, logs, stream_error, target_dir, within};
use serde_json::{Value, json};

const SECRET: &str = "secret_of_the_adaptor";

/// A component that `scripts/js-adaptors` builds. `None`: there is no Node here, and that was said.
pub fn component(folder: &str, name: &str) -> Option<PathBuf> {
    let path = target_dir().join(folder).join(format!("{name}.wasm"));
    if path.is_file() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|value| value != "true"),
        "{} is missing: run scripts/js-adaptors",
        path.display()
    );
    eprintln!("SKIPPED: a test on {name}, which is missing: run scripts/js-adaptors");
    None
}

async fn odd() -> Option<TestGateway> {
    odd_with(20_000).await
}

async fn odd_with(cpu_ms: u64) -> Option<TestGateway> {
    let adaptor = component("guests", "js-odd")?;
    let gateway = TestGateway::builder().endpoint("m", adaptor, json!({})).settings(|s| {
        s.sandbox.cpu_ms = cpu_ms;
        s.sandbox.memory_mib = 32;
        // Whoever computes shares the machine with all other tests.
        s.sandbox.wall_seconds = 60;
    });
    Some(gateway.start().await)
}

fn body(deed: &str, stream: bool, more: Value) -> Value {
    let mut body = json!({
        "model": "m", "stream": stream, "messages": [{ "role": "user", "content": deed }],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn does(gateway: &TestGateway, deed: &str, more: Value) -> reqwest::Response {
    let request = gateway.post("/v1/chat/completions", &body(deed, false, more));
    within(request.header("x-request-id", format!("js-{deed}")).send()).await.unwrap()
}

async fn says(gateway: &TestGateway, deed: &str, more: Value) -> Value {
    let response = does(gateway, deed, more).await;
    assert_eq!(response.status(), 200, "{deed}: {}", response.text().await.unwrap());
    response.json().await.unwrap()
}

#[tokio::test]
async fn an_exception_is_told_to_the_log_and_not_to_the_client() {
    let Some(gateway) = odd().await else { return };
    logs();
    let cases = [
        ("crash", "TypeError: cannot read property 'secret_of_the_adaptor' of undefined"),
        ("throwText", "the adaptor threw no error at all, and the secret_of_the_adaptor"),
        ("noReply", "TypeError: Odd.submitTask returned no Reply: {\"answer\":42}"),
        ("forever", "the adaptor waits for a promise that nothing settles"),
        ("failLater", "TypeError: not a function"),
        ("unknown", "TypeError: not a function"),
    ];
    for (deed, cause) in cases {
        let told = error(does(&gateway, deed, json!({})).await, 502, "adaptor_failed").await;
        let message = told["message"].as_str().unwrap();
        assert!(message.starts_with("the adaptor of this model failed; "), "{deed}: {message}");
        assert!(!message.contains(SECRET), "{deed}: {message}");
        let lines = log_of(&format!("js-{deed}"));
        assert!(lines.iter().any(|line| line.message().contains(cause)), "{deed}: {lines:?}");
    }
    // The engine does not look after its stack: the sandbox does.
    error(does(&gateway, "recurse", json!({})).await, 502, "adaptor_trap").await;
    gateway.idle().await;
}

#[tokio::test]
async fn an_exception_between_events_ends_the_stream_with_an_error() {
    let Some(gateway) = odd().await else { return };
    logs();
    for deed in ["broken", "brokenLater"] {
        let request = gateway.post("/v1/chat/completions", &body(deed, true, json!({})));
        let text = within(request.header("x-request-id", deed).send()).await.unwrap().text().await.unwrap();
        assert!(events(&text)[0].contains("\"one\""), "{text}");
        stream_error(&text, "adaptor_failed");
        assert!(!text.contains(SECRET), "{text}");
        let lines = log_of(deed);
        let cause = "RangeError: the secret_of_the_adaptor";
        assert!(lines.iter().any(|line| line.message().contains(cause)), "{deed}: {lines:?}");
    }
}

#[tokio::test]
async fn adaptors_that_spin_or_grow_are_stopped_by_their_limits() {
    for (cpu_ms, deed, status, code) in
        [(200, "spin", 504, "adaptor_cpu_limit"), (20_000, "grow", 502, "adaptor_memory_limit")]
    {
        let Some(gateway) = odd_with(cpu_ms).await else { return };
        error(does(&gateway, deed, json!({})).await, status, code).await;
        gateway.idle().await;
        assert_eq!(says(&gateway, "count", json!({})).await["count"], 1);
    }
}

#[tokio::test]
async fn no_request_sees_the_globals_of_another() {
    let Some(gateway) = odd().await else { return };
    for _ in 0..3 {
        assert_eq!(says(&gateway, "count", json!({})).await["count"], 1);
    }
}

#[tokio::test]
async fn chance_and_time_are_each_requests_own() {
    let Some(gateway) = odd().await else { return };
    let first = says(&gateway, "luck", json!({})).await;
    let second = says(&gateway, "luck", json!({})).await;
    for key in ["random", "more", "uuid", "bytes"] {
        assert_ne!(first[key], second[key], "{key}");
    }
    assert_ne!(first["random"], first["more"]);
    let number = first["random"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&number), "{number}");
    let uuid = first["uuid"].as_str().unwrap();
    assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"), "{uuid}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let told = second["now"].as_u64().unwrap() / 1000;
    assert!(told.abs_diff(now) <= 60, "{told} and {now}");
}

#[tokio::test]
async fn promises_and_timers_run_in_their_order() {
    let Some(gateway) = odd().await else { return };
    let told = says(&gateway, "nap", json!({})).await;
    assert_eq!(told["order"], json!(["first", "second", "early", "late"]));
    assert!(told["slept"].as_f64().unwrap() >= 29.0, "{told}");
}

#[tokio::test]
async fn text_is_utf_8_both_ways() {
    let Some(gateway) = odd().await else { return };
    let text = "Grüße, 世界 🦀 \u{feff}\0\u{7f}\u{ffff}";
    let broken = b"a\xff\xc3\xbcz\xc3";
    let told = says(&gateway, "text", json!({ "text": text, "bytes": broken })).await;
    assert_eq!((&told["text"], &told["again"]), (&json!(text), &json!(text)));
    assert_eq!(told["encoded"], json!(text.as_bytes()));
    assert_eq!(told["decoded"], json!(String::from_utf8_lossy(broken)));
    assert_eq!(told["isFatal"], true);
}

#[tokio::test]
async fn the_cache_outlives_an_instance_and_console_goes_to_the_log() {
    let Some(gateway) = odd().await else { return };
    logs();
    for count in 1..3 {
        let told = says(&gateway, "store", json!({})).await;
        assert_eq!(told, json!({ "count": count, "stored": true, "tooLong": false, "taken": false }));
    }
    says(&gateway, "log", json!({})).await;
    let lines = log_of("js-log");
    for line in ["a line {\"of\":1}", "another"] {
        assert!(lines.iter().any(|found| found.message() == line), "{lines:?}");
    }
}

#[tokio::test]
async fn long_streams_come_through_whole_from_both_kinds_of_generators() {
    let Some(gateway) = odd().await else { return };
    for (deed, total) in [("events", 10_000), ("later", 1000)] {
        let request = gateway.post("/v1/chat/completions", &body(deed, true, json!({ "total": total })));
        let text = within(request.send()).await.unwrap().text().await.unwrap();
        let all = events(&text);
        assert_eq!(all.len(), total + 1, "{deed}: {}", all.last().unwrap());
        let last = format!("\"content\":\"{} \"", total - 1);
        assert!(all[total - 1].contains(&last), "{}", all[total - 1]);
    }
    gateway.idle().await;
}
