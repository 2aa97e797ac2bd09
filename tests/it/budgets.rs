//! Guests that take too much, break, or answer nonsense: each gets its own error, its slot is free afterwards,
//! and its neighbours go on.

use std::time::{Duration, Instant};

use airlock_tests::{TestGateway, Upstream, error, events, guest, log_of, logs, stream_error, within};
use serde_json::{Value, json};

/// A gateway with a hostile endpoint `m` and a good one, `good`.
async fn beside_a_good_one(adaptor: &str, config: Value) -> TestGateway {
    TestGateway::builder()
        .endpoint("m", guest(adaptor), config)
        .endpoint("good", guest("echo"), json!({}))
        .settings(|s| {
            s.sandbox.cpu_ms = 300;
            s.sandbox.memory_mib = 16;
            // Whoever computes shares the machine with all other tests.
            s.sandbox.wall_seconds = if adaptor == "sleep" { 1 } else { 60 };
        })
        .start()
        .await
}

/// Nothing is left over and the next request is served.
async fn is_well(gateway: &TestGateway) {
    gateway.idle().await;
    let body = json!({ "model": "good", "messages": [{ "role": "user", "content": "hi" }] });
    let response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
    assert_eq!(response.status(), 200);
    gateway.idle().await;
}

#[tokio::test]
async fn a_spinning_guest_is_stopped_and_starves_nobody() {
    let gateway = beside_a_good_one("spin", json!({})).await;
    let spinning = tokio::spawn(gateway.chat().send());
    airlock_tests::eventually(|| gateway.live_instances() == 1).await;
    let mut answers = 0;
    let mut slowest = Duration::ZERO;
    while !spinning.is_finished() {
        let start = Instant::now();
        let response = within(gateway.request("GET", "/health").send()).await.unwrap();
        assert_eq!(response.status(), 200);
        slowest = slowest.max(start.elapsed());
        answers += 1;
    }
    assert!(answers > 3, "{answers} answers while it span");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let told = error(spinning.await.unwrap().unwrap(), 504, "adaptor_cpu_limit").await;
    assert_eq!(told["type"], "server_error");
    assert_eq!(gateway.ledger.one().await.error.as_deref(), Some("adaptor_cpu_limit"));
    is_well(&gateway).await;
}

#[tokio::test]
async fn a_guest_that_spins_between_events_ends_in_an_error_event() {
    let gateway = beside_a_good_one("spin", json!({})).await;
    let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
    assert!(events(&text)[0].contains("\"hi\""), "{text}");
    stream_error(&text, "adaptor_cpu_limit");
    let record = gateway.ledger.one().await;
    assert_eq!(record.outcome, airlock::ledger::Outcome::Failed);
    assert_eq!(record.error.as_deref(), Some("adaptor_cpu_limit"));
    is_well(&gateway).await;
}

#[tokio::test]
async fn limits_and_crashes_have_codes_of_their_own_and_tell_the_client_nothing() {
    let cases = [
        ("grow", json!({}), 502, "adaptor_memory_limit"),
        ("sleep", json!({}), 504, "adaptor_timeout"),
        ("trap", json!({}), 502, "adaptor_trap"),
        ("trap", json!({ "panic": true }), 502, "adaptor_trap"),
    ];
    for (name, config, status, code) in cases {
        let gateway = beside_a_good_one(name, config).await;
        for request in [gateway.chat(), gateway.chat_stream()] {
            let told = error(within(request.send()).await.unwrap(), status, code).await.to_string();
            for leak in ["wasm", "unreachable", "panicked", "secret last words", ".rs", "backtrace", "0x"] {
                assert!(!told.contains(leak), "{name}: {told}");
            }
        }
        is_well(&gateway).await;
    }
}

#[tokio::test]
async fn the_log_says_under_the_request_id_why_a_guest_crashed() {
    logs();
    let gateway = beside_a_good_one("trap", json!({ "panic": true })).await;
    let response = gateway.chat().header("x-request-id", "last-words").send().await.unwrap();
    error(response, 502, "adaptor_trap").await;
    let lines = log_of("last-words");
    assert!(lines.iter().any(|l| l.message().contains("secret last words")), "{lines:?}");
    let detail = gateway.ledger.one().await.detail.unwrap();
    assert!(detail.contains("unreachable"), "{detail}");
}

#[tokio::test]
async fn a_guest_within_its_time_is_served() {
    let gateway = beside_a_good_one("sleep", json!({ "ms": 20 })).await;
    let answer: Value = gateway.chat().send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "awake");
}

#[tokio::test]
async fn replies_that_break_the_contract_are_refused() {
    let upstream = Upstream::json(json!({})).await;
    let cases = [
        ("not-json", 502, "adaptor_bad_output"),
        ("array", 502, "adaptor_bad_output"),
        ("empty", 502, "adaptor_bad_output"),
        ("status", 502, "odd"),
        ("status-high", 502, "odd"),
        ("empty-code", 500, "adaptor_error"),
        ("control", 500, "a\r\nb"),
        ("url", 502, "egress_denied"),
        ("userinfo", 502, "egress_denied"),
        ("connect", 502, "egress_denied"),
        ("method", 502, "egress_denied"),
        ("header", 502, "egress_denied"),
        ("header-name", 502, "egress_denied"),
        ("transfer-encoding", 502, "egress_denied"),
    ];
    let mut builder = TestGateway::builder().endpoint("good", guest("echo"), json!({}));
    for (kind, ..) in cases {
        let config = json!({ "kind": kind, "api_url": upstream.url() });
        builder = builder.endpoint(kind, guest("bad-output"), config);
    }
    let gateway = builder.start().await;
    for (kind, status, code) in cases {
        let body = json!({ "model": kind, "messages": [{ "role": "user", "content": "hi" }] });
        let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
        assert!(!response.headers().contains_key("x-injected"), "{kind}");
        let told = error(response, status, code).await.to_string();
        assert!(!told.contains("secret"), "{kind}: {told}");
        is_well(&gateway).await;
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

/// 64 MiB do not fit into the memory; 3 MiB do, and are over what an answer may have.
#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_is_made() {
    let gateway = TestGateway::builder()
        .endpoint("m", guest("bad-output"), json!({ "kind": "huge", "bytes": 3 << 20 }))
        .endpoint("more", guest("bad-output"), json!({ "kind": "huge" }))
        .endpoint("less", guest("bad-output"), json!({ "kind": "huge", "bytes": 1000 }))
        .endpoint("good", guest("echo"), json!({}))
        .settings(|s| {
            s.sandbox.memory_mib = 32;
            s.max_answer_bytes = 1 << 20;
        })
        .start()
        .await;
    let chat = |model: &str| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
        gateway.post("/v1/chat/completions", &body).send()
    };
    let less = chat("less").await.unwrap().bytes().await.unwrap();
    assert_eq!(less.len(), 1000);
    error(chat("more").await.unwrap(), 502, "adaptor_memory_limit").await;
    error(chat("m").await.unwrap(), 502, "adaptor_bad_output").await;
    is_well(&gateway).await;
}

#[tokio::test]
async fn an_adaptors_own_error_reaches_the_client_with_its_status_and_wait() {
    let cases = [
        (json!({ "status": 418, "code": "teapot", "message": "short and stout" }), 418, "teapot", None),
        (
            json!({ "status": 503, "code": "cold", "message": "m", "retry_after_ms": 1500 }),
            503,
            "cold",
            Some("2"),
        ),
        (json!({ "status": 429, "code": "slow", "message": "m" }), 429, "slow", Some("1")),
        (
            json!({ "status": 503, "code": "c", "message": "m", "retry_after_ms": 3_600_000 }),
            503,
            "c",
            Some("120"),
        ),
        (json!({ "status": 401, "code": "key", "message": "m" }), 502, "key", None),
        (json!({ "status": 200, "code": "fine", "message": "m" }), 502, "fine", None),
    ];
    let mut builder = TestGateway::builder();
    for (i, (config, ..)) in cases.iter().enumerate() {
        builder = builder.endpoint(&format!("m{i}"), guest("errors"), config.clone());
    }
    let gateway = builder.start().await;
    for (i, (config, status, code, wait)) in cases.into_iter().enumerate() {
        let body = json!({ "model": format!("m{i}"), "messages": [{ "role": "user", "content": "hi" }] });
        let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
        let got = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(got.as_deref(), wait, "{config}");
        let told = error(response, status, code).await;
        assert_eq!(told["message"], config["message"]);
    }
}

#[tokio::test]
async fn events_that_fail_end_in_an_error_event() {
    let cases = [
        (json!({ "count": 5, "fail_at": 2 }), "guest_failed"),
        (json!({ "count": 5, "bad_at": 2 }), "adaptor_bad_output"),
        (json!({ "count": 5, "trap_at": 2 }), "adaptor_trap"),
    ];
    for (config, code) in cases {
        let gateway = TestGateway::with(guest("events"), config).await;
        let response = gateway.chat_stream().send().await.unwrap();
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        assert_eq!(events(&text).len(), 3, "{text}");
        stream_error(&text, code);
        let record = gateway.ledger.one().await;
        assert_eq!((record.status, record.error.as_deref()), (200, Some(code)));
        gateway.idle().await;
    }
}

#[tokio::test]
async fn when_all_slots_are_taken_the_next_request_is_told_to_wait() {
    let (upstream, feed) = Upstream::fed().await;
    let gateway = TestGateway::builder()
        .endpoint("m", guest("rewrite"), json!({ "api_url": upstream.url() }))
        .endpoint("good", guest("echo"), json!({}))
        .settings(|s| s.sandbox.slots = 1)
        .start()
        .await;
    let mut stream = within(gateway.chat_stream().send()).await.unwrap();
    feed.send("data: {}\n\n");
    within(stream.chunk()).await.unwrap().unwrap();
    assert_eq!(gateway.live_instances(), 1);

    let response = gateway.chat().send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
    error(response, 503, "overloaded").await;

    feed.send("data: [DONE]\n\n");
    drop(feed);
    assert_eq!(within(stream.text()).await.unwrap(), "data: [DONE]\n\n");
    is_well(&gateway).await;
}
