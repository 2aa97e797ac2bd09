//! What limits are settled with, what is given back, and whose they are.

use airlock::auth::Role;
use airlock_tests::{
    TestGateway, Upstream, chat_body, completion, error, eventually, guest, json as answer, within,
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::limits::{chat, gated, number, open, refused, snapshot};

#[tokio::test]
async fn who_asks_for_the_longest_answer_locks_nobody_out() {
    let (builder, backend, gate) = gated().await;
    let gateway = builder.fields(json!({ "tpm_model": 100_000 })).start().await;
    let mut huge = chat_body(false);
    huge["max_tokens"] = json!(i64::MAX);
    huge["n"] = json!(128);
    let ask = |_| tokio::spawn(gateway.post("/v1/chat/completions", &huge).send());
    let held: Vec<_> = (0..10).map(ask).collect();
    eventually(|| backend.seen().len() == 10).await;
    let other = tokio::spawn(gateway.chat().send());
    eventually(|| backend.seen().len() == 11).await;
    gate.open();
    for asked in held.into_iter().chain([other]) {
        assert_eq!(within(asked).await.unwrap().unwrap().status(), 200);
    }
    huge["max_tokens"] = json!(u64::MAX);
    let told = within(gateway.post("/v1/chat/completions", &huge).send()).await.unwrap();
    error(told, 400, "invalid_value").await;
}

#[tokio::test]
async fn more_than_all_there_is_gets_in_alone() {
    let (builder, backend, gate) = gated().await;
    let gateway = builder.fields(json!({ "tpm_model": 5 })).start().await;
    let first = tokio::spawn(gateway.chat().send());
    eventually(|| backend.seen().len() == 1).await;
    refused(within(gateway.chat().send()).await.unwrap(), "5 tokens per minute").await;
    gate.open();
    assert_eq!(within(first).await.unwrap().unwrap().status(), 200);
    // It used seven of five.
    refused(within(gateway.chat().send()).await.unwrap(), "the model").await;
}

#[tokio::test]
async fn what_never_got_to_a_backend_is_given_back() {
    let (builder, backend, gate) = gated().await;
    let gateway = builder
        .settings(|s| {
            s.egress.max_open_calls = 1;
            s.limits.key.requests_per_minute = 2;
        })
        .start()
        .await;
    let held = tokio::spawn(gateway.chat().send());
    eventually(|| backend.seen().len() == 1).await;
    for _ in 0..4 {
        error(within(gateway.chat().send()).await.unwrap(), 503, "overloaded").await;
    }
    gate.open();
    assert_eq!(within(held).await.unwrap().unwrap().status(), 200);
    airlock_tests::until(async || within(gateway.chat().send()).await.unwrap().status() == 200).await;
    refused(within(gateway.chat().send()).await.unwrap(), "this API key").await;
}

#[tokio::test]
async fn tokens_are_charged_by_what_is_known() {
    let backend = Upstream::start(|seen| async move {
        match seen.json()["messages"][0]["content"].as_str().unwrap() {
            "fail" => answer(500, &json!({ "error": { "message": "no" } })),
            "lies" => answer(200, &json!({ "usage": { "total_tokens": u64::MAX } })),
            "none" => answer(200, &json!({ "choices": [] })),
            _ => {
                let first = futures_util::stream::once(async {
                    bytes::Bytes::from_static(b"data: {\"choices\":[]}\n\n")
                });
                airlock_tests::sse(first.chain(futures_util::stream::pending()))
            }
        }
    })
    .await;
    const ALL: u64 = 100_000_000;
    let gateway = TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": backend.url() }))
        .settings(|s| s.limits.key.tokens_per_day = ALL)
        .start()
        .await;
    let (mut left, mut cost) = (ALL, 0);
    for (content, status, charged) in [
        ("fail", 500, Some(0)),
        ("none", 200, None),
        ("gone", 200, None),
        ("lies", 200, Some(1 << 24)),
        ("none", 200, None),
    ] {
        let mut body = chat();
        body["messages"][0]["content"] = json!(content);
        body["stream"] = json!(content == "gone");
        let mut response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
        assert_eq!(response.status(), status, "{content}");
        if status == 200 {
            cost = left - number(&response, "x-ratelimit-remaining-tokens");
            assert!((20..50).contains(&cost), "one request, not two: {content}: {cost}");
            response.chunk().await.unwrap();
        }
        drop(response);
        eventually(|| snapshot(&gateway).reserved == 0).await;
        left -= charged.unwrap_or(cost);
    }
}

#[tokio::test]
async fn a_batch_is_a_request() {
    let backend = Upstream::json(json!({ "handle": "h", "tasks": [], "state": "pending" })).await;
    let gateway = TestGateway::builder()
        .endpoint("m", guest("batch"), json!({ "api_url": backend.url(), "batch": true }))
        .settings(|s| s.limits.key.requests_per_minute = 2)
        .start()
        .await;
    let submit = async |file: &str| {
        let order = json!({ "model": "m", "input_file": file });
        within(gateway.post("/resource_server/c/api/v1/batches", &order).send()).await.unwrap()
    };
    assert_eq!(submit("/a").await.status(), 200);
    for _ in 0..3 {
        error(submit("/a").await, 400, "batch_ongoing").await;
    }
    assert_eq!(submit("/b").await.status(), 200);
    refused(submit("/c").await, "this API key").await;
}

#[tokio::test]
async fn after_a_storm_nothing_is_held() {
    let (silent, _gate) = Upstream::gated(|_| answer(200, &completion())).await;
    let stream = Upstream::start(|_| async {
        let first =
            futures_util::stream::once(async { bytes::Bytes::from_static(b"data: {\"choices\":[]}\n\n") });
        airlock_tests::sse(first.chain(futures_util::stream::pending()))
    })
    .await;
    let builder = TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": stream.url() }))
        .endpoint("silent", "direct-api", json!({ "api_url": silent.url() }))
        .endpoint(
            "dead",
            "direct-api",
            json!({ "api_url": format!("http://{}/v1", airlock_tests::refused_address()) }),
        )
        .endpoint("trap", guest("trap"), json!({}))
        .endpoint("spin", guest("spin"), json!({}))
        .endpoint("sleep", guest("sleep"), json!({}))
        .endpoint("panics", guest("echo"), json!({}));
    let gateway = builder
        .settings(|s| {
            (s.workers, s.sandbox.slots, s.sandbox.cpu_ms, s.sandbox.wall_seconds) = (2, 64, 50, 1);
            for limits in [&mut s.limits.key, &mut s.limits.user, &mut s.limits.tenant] {
                (limits.concurrent_requests, limits.tokens_per_day) = (1_000, 1_000_000_000);
            }
        })
        .start()
        .await;
    gateway.ledger.panic_at("boom");
    let ask = |model: &str, stream: bool| {
        let mut body = chat_body(stream);
        body["model"] = json!(model);
        gateway.post("/v1/chat/completions", &body)
    };
    let mut ends = Vec::new();
    for _ in 0..5 {
        for model in ["dead", "trap", "spin", "sleep"] {
            ends.push(tokio::spawn(ask(model, false).send()));
        }
    }
    let gone: Vec<_> = (0..10).map(|_| tokio::spawn(ask("silent", false).send())).collect();
    eventually(|| silent.seen().len() == 10).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut response = within(ask("m", true).send()).await.unwrap();
        response.chunk().await.unwrap();
        streams.push(response);
    }
    assert!(snapshot(&gateway).open >= 3 * 20, "{:?}", snapshot(&gateway));
    let _ = within(ask("panics", false).header("x-request-id", "boom").send()).await;
    gone.iter().for_each(tokio::task::JoinHandle::abort);
    drop(streams);
    for end in ends {
        within(end).await.unwrap().unwrap();
    }
    eventually(|| snapshot(&gateway).open == 0).await;
    assert_eq!(snapshot(&gateway).reserved, 0);
}

#[tokio::test]
async fn bodies_are_as_large_as_they_may_be() {
    let (builder, backend) = open().await;
    let gateway = builder
        .fields(json!({ "max_body_bytes": 200 }))
        .endpoint("large", "direct-api", json!({ "api_url": backend.url() }))
        .federated("both", &["m", "large"])
        .settings(|s| s.limits.tenant.body_bytes = 2_000)
        .start()
        .await;
    let ask = |model: &str, bytes: usize| {
        let mut body = chat();
        body["model"] = json!(model);
        body["messages"][0]["content"] = json!("x".repeat(bytes));
        within(gateway.post("/v1/chat/completions", &body).send())
    };
    assert_eq!(ask("m", 10).await.unwrap().status(), 200);
    let told = error(ask("m", 300).await.unwrap(), 413, "request_too_large").await;
    assert!(told["message"].as_str().unwrap().contains("200"), "{told}");
    for _ in 0..2 {
        assert_eq!(ask("both", 300).await.unwrap().status(), 200, "the other endpoint takes it");
    }
    let told = error(ask("large", 3_000).await.unwrap(), 413, "request_too_large").await;
    assert!(told["message"].as_str().unwrap().contains("2000"), "{told}");
}

#[tokio::test]
async fn a_tenants_quota_is_its_own_and_counts_at_once() {
    let (builder, _backend) = open().await;
    let gateway = builder.settings(|s| s.limits.tenant.requests_per_minute = 2).start().await;
    let operator = gateway.person("default", Role::Operator).await;
    for _ in 0..2 {
        assert_eq!(within(gateway.chat().send()).await.unwrap().status(), 200);
    }
    refused(within(gateway.chat().send()).await.unwrap(), "your tenant: 2 requests per minute").await;
    for (quota, limit) in
        [(json!({ "requests_per_minute": 4 }), Some(4)), (json!({ "requests_per_minute": 0 }), None)]
    {
        let done = operator.put("/tenants/default", &json!({ "quota": quota })).await;
        assert!(done.status().is_success(), "{}", done.text().await.unwrap());
        let response = within(gateway.chat().send()).await.unwrap();
        assert_eq!(response.status(), 200);
        let told = response
            .headers()
            .get("x-ratelimit-limit-requests")
            .map(|value| value.to_str().unwrap().parse().unwrap());
        assert_eq!(told, limit);
    }
    let wrong = operator.put("/tenants/default", &json!({ "quota": { "tokens_per_day": -1 } })).await;
    error(wrong, 400, "invalid_value").await;
}

#[tokio::test]
async fn a_user_has_one_limit_with_all_keys() {
    let (builder, _backend) = open().await;
    let gateway = builder.settings(|s| s.limits.user.requests_per_minute = 2).start().await;
    let admin = gateway.person("default", Role::Admin).await;
    assert!(
        admin.put("/tenants/default/members/ann", &json!({ "role": "user" })).await.status().is_success()
    );
    let mut keys = Vec::new();
    for (name, member) in [("one", Some("ann")), ("two", Some("ann")), ("other", None)] {
        let made = admin.post("/tenants/default/keys", &json!({ "name": name, "member": member })).await;
        let made: Value = made.json().await.unwrap();
        keys.push(admin.with_key(made["key"].as_str().unwrap().to_owned()));
    }
    for key in &keys[..2] {
        assert_eq!(within(key.chat("m").send()).await.unwrap().status(), 200);
    }
    refused(within(keys[0].chat("m").send()).await.unwrap(), "with all of your keys").await;
    assert_eq!(within(keys[2].chat("m").send()).await.unwrap().status(), 200);
}
