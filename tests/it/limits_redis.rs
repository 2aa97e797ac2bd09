//! Limits that several gateways share, in a real Redis: exact in sum, and no outage where it is lost.

use airlock::config::{Limits, RedisLost};
use airlock_tests::{
    Airlock, Gate, GatewayBuilder, RedisServer, TestGateway, Upstream, adaptor, chat_body, completion, error,
    eventually, json as answer, target_dir, within,
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::json;

/// A gateway that counts in this server. Patient: the tests' machine is slow at times.
fn sharing(redis: &RedisServer, backend: &Upstream, set: fn(&mut Limits)) -> GatewayBuilder {
    let url = redis.url().parse().unwrap();
    TestGateway::builder().endpoint("m", "direct-api", json!({ "api_url": backend.url() })).settings(
        move |s| {
            (s.workers, s.sandbox.slots) = (2, 64);
            (s.limits.redis, s.limits.redis_timeout_ms) = (Some(url), 5_000);
            set(&mut s.limits.tenant);
        },
    )
}

async fn gated() -> (Upstream, Gate) {
    Upstream::gated(|_| answer(200, &completion())).await
}

async fn two(redis: &RedisServer, backend: &Upstream, set: fn(&mut Limits)) -> [TestGateway; 2] {
    let one = sharing(redis, backend, set).start().await;
    let other = sharing(redis, backend, set).start().await;
    assert!(one.gateway.admission().is_shared() && other.gateway.admission().is_shared());
    [one, other]
}

fn open(gateway: &TestGateway) -> u64 {
    gateway.gateway.admission().snapshot().open
}

/// Ten get through in all, of fifty at each of two gateways.
async fn exactly_ten(set: fn(&mut Limits)) {
    let Some(redis) = RedisServer::start() else { return };
    let (backend, gate) = gated().await;
    let gateways = two(&redis, &backend, set).await;
    let mut body = chat_body(false);
    body["max_tokens"] = json!(4_000);
    let ask = |at: usize| tokio::spawn(gateways[at % 2].post("/v1/chat/completions", &body).send());
    let mut asked: FuturesUnordered<_> = (0..100).map(ask).collect();
    for _ in 0..90 {
        let told = within(asked.next()).await.unwrap().unwrap().unwrap();
        assert!((1..=120).contains(&told.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap()));
        error(told, 429, "rate_limit_exceeded").await;
    }
    eventually(|| backend.seen().len() == 10).await;
    gate.open();
    while let Some(response) = within(asked.next()).await {
        assert_eq!(response.unwrap().unwrap().status(), 200);
    }
    assert_eq!(backend.seen().len(), 10);
    eventually(|| gateways.iter().all(|gateway| open(gateway) == 0)).await;
}

#[tokio::test]
async fn two_gateways_pass_ten_requests_a_minute_in_sum() {
    exactly_ten(|l| l.requests_per_minute = 10).await;
}

#[tokio::test]
async fn two_gateways_have_ten_requests_open_in_sum() {
    exactly_ten(|l| l.concurrent_requests = 10).await;
}

/// Each reserves 4,000 and its prompt.
#[tokio::test]
async fn two_gateways_reserve_ten_answers_in_sum() {
    exactly_ten(|l| l.tokens_per_minute = 40_500).await;
}

/// Who is refused by one limit takes nothing of the others, and what was used less than was thought comes back.
#[tokio::test]
async fn all_of_them_are_met_or_none_and_settled_with_what_was_used() {
    let Some(redis) = RedisServer::start() else { return };
    let (backend, gate) = gated().await;
    // The one that is short comes first.
    let builder = || {
        let builder = sharing(&redis, &backend, |l| l.concurrent_requests = 1);
        builder.fields(json!({ "rpm_model": 3, "tpm_model": 1_000 }))
    };
    let (one, other) = (builder().start().await, builder().start().await);
    let held = tokio::spawn(one.chat().send());
    eventually(|| backend.seen().len() == 1).await;
    for _ in 0..5 {
        error(within(other.chat().send()).await.unwrap(), 429, "rate_limit_exceeded").await;
    }
    gate.open();
    assert_eq!(within(held).await.unwrap().unwrap().status(), 200);
    // Once it is settled: 7 tokens of 1,000 are used, and 2 requests of 3 are left.
    for left in ["1", "0"] {
        let passed = async {
            loop {
                let response = other.chat().send().await.unwrap();
                if response.status() == 200 {
                    return response;
                }
            }
        };
        let passed = within(passed).await;
        assert_eq!(passed.headers()["x-ratelimit-remaining-requests"], left);
    }
    let told = error(within(one.chat().send()).await.unwrap(), 429, "rate_limit_exceeded").await;
    assert!(told["message"].as_str().unwrap().contains("requests per minute"), "{told}");
}

/// A gateway that is killed holds its places until its lease is over, and no longer.
#[tokio::test]
async fn what_a_killed_gateway_held_comes_back() {
    let Some(redis) = RedisServer::start() else { return };
    let (backend, _gate) = gated().await;
    let killed = sharing(&redis, &backend, |l| l.concurrent_requests = 1).write_only();
    let key = Airlock::run(killed.path(), &["keys", "create", "k", "--data", "d"]).await.stdout;
    let adaptors = target_dir().join("adaptors").display().to_string();
    assert!(adaptor("direct-api").is_file());
    let arguments = ["serve", "--data", "d", "--listen", "127.0.0.1:0", "--adaptors", &adaptors];
    let env = [
        ("AIRLOCK_LIMITS__REDIS", redis.url()),
        ("AIRLOCK_LIMITS__TENANT__CONCURRENT_REQUESTS", "1".to_owned()),
        ("AIRLOCK_LIMITS__REDIS_TIMEOUT_MS", "5000".to_owned()),
    ];
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut serving = Airlock::start(killed.path(), &arguments, &env);
    let url = serving.line().await.strip_prefix("url=").unwrap().to_owned();
    assert_eq!(serving.line().await, "ready");
    let chat = reqwest::Client::new().post(format!("{url}/chat/completions")).bearer_auth(key.trim());
    let held = tokio::spawn(chat.json(&chat_body(false)).send());
    eventually(|| backend.seen().len() == 1).await;
    let gateway = sharing(&redis, &backend, |l| l.concurrent_requests = 1).start().await;
    error(within(gateway.chat().send()).await.unwrap(), 429, "rate_limit_exceeded").await;
    serving.kill().await;
    assert!(within(held).await.unwrap().is_err());
    error(within(gateway.chat().send()).await.unwrap(), 429, "rate_limit_exceeded").await;
    let place = "airlock:concurrent_requests:6:tenant:7:default";
    let left: u64 = redis.ask(&format!("PTTL {place}")).trim_start_matches(':').parse().unwrap();
    assert!((1..=30_000).contains(&left), "{left}");
    // As if that time were over.
    let scores = redis.ask(&format!("ZRANGE {place} 0 -1"));
    let holder = scores.lines().last().unwrap().to_owned();
    assert_eq!(redis.ask(&format!("ZADD {place} XX CH 1 {holder}")), ":1");
    let passed = tokio::spawn(gateway.chat().send());
    eventually(|| backend.seen().len() == 2).await;
    passed.abort();
}

/// As long as its gateway lives what is open stays so.
#[tokio::test]
async fn what_is_open_is_leased_again_and_again() {
    let Some(redis) = RedisServer::start() else { return };
    let (backend, gate) = gated().await;
    let gateway = sharing(&redis, &backend, |l| l.concurrent_requests = 1).start().await;
    let held = tokio::spawn(gateway.chat().send());
    eventually(|| backend.seen().len() == 1).await;
    let lease = || redis.ask("ZRANGE airlock:concurrent_requests:6:tenant:7:default 0 -1 WITHSCORES");
    let first = lease();
    eventually(|| lease() != first).await;
    assert!(lease().lines().last().unwrap() > first.lines().last().unwrap(), "{first}");
    error(within(gateway.chat().send()).await.unwrap(), 429, "rate_limit_exceeded").await;
    gate.open();
    assert_eq!(within(held).await.unwrap().unwrap().status(), 200);
    eventually(|| lease() == "*0").await;
}

/// Without the server each gateway counts for itself, and says so once; with it again they count together.
#[tokio::test]
async fn a_server_that_is_killed_ends_no_request_and_counts_again_when_it_is_back() {
    let Some(redis) = RedisServer::start() else { return };
    let (backend, gate) = gated().await;
    gate.open();
    let gateways = two(&redis, &backend, |l| l.requests_per_minute = 10).await;
    let status = async |at: usize| within(gateways[at].chat().send()).await.unwrap().status().as_u16();
    for at in 0..10 {
        assert_eq!(status(at % 2).await, 200);
    }
    assert_eq!((status(0).await, status(1).await), (429, 429));
    redis.kill();
    for at in [0, 1] {
        for _ in 0..10 {
            assert_eq!(status(at).await, 200, "its own ten");
        }
        assert_eq!(status(at).await, 429);
        assert!(!gateways[at].gateway.admission().is_shared());
    }
    redis.resume();
    eventually(|| gateways.iter().all(|gateway| gateway.gateway.admission().is_shared())).await;
    for at in 0..10 {
        assert_eq!(status(at % 2).await, 200);
    }
    assert_eq!((status(0).await, status(1).await), (429, 429));
}

/// Requests that come while the server is being killed are answered, whatever they were waiting for.
#[tokio::test]
async fn under_load_no_request_fails_with_the_server() {
    let Some(redis) = RedisServer::start() else { return };
    let (backend, gate) = gated().await;
    gate.open();
    let [gateway, _other] = two(&redis, &backend, |l| l.requests_per_minute = 100_000).await;
    let mut answered = 0;
    for round in 0..6 {
        match round {
            2 => redis.kill(),
            4 => redis.resume(),
            _ => {}
        }
        let mut asked: FuturesUnordered<_> = (0..30).map(|_| tokio::spawn(gateway.chat().send())).collect();
        while let Some(response) = within(asked.next()).await {
            assert_eq!(response.unwrap().unwrap().status(), 200);
            answered += 1;
        }
    }
    assert_eq!(answered, 180);
    eventually(|| gateway.gateway.admission().is_shared() && open(&gateway) == 0).await;
}

/// A server that does not answer is not waited for by one request after the other.
#[tokio::test]
async fn a_server_that_is_silent_is_given_up_after_its_time() {
    let Some(redis) = RedisServer::start() else { return };
    let (backend, gate) = gated().await;
    gate.open();
    let builder = sharing(&redis, &backend, |l| l.requests_per_minute = 100);
    let gateway = builder.settings(|s| s.limits.redis_timeout_ms = 100).start().await;
    redis.pause(60_000);
    let started = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(within(gateway.chat().send()).await.unwrap().status(), 200);
    }
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    assert!(!gateway.gateway.admission().is_shared());
}

#[tokio::test]
async fn an_operator_may_want_nothing_to_pass_without_the_server() {
    let Some(redis) = RedisServer::start() else { return };
    let (backend, gate) = gated().await;
    gate.open();
    redis.kill();
    let builder = sharing(&redis, &backend, |l| l.requests_per_minute = 100);
    let strict = builder.settings(|s| s.limits.redis_lost = RedisLost::Refuse).start().await;
    let told = within(strict.chat().send()).await.unwrap();
    assert_eq!(told.headers()["retry-after"], "1");
    error(told, 503, "limits_unavailable").await;
    redis.resume();
    eventually(|| strict.gateway.admission().is_shared()).await;
    assert_eq!(within(strict.chat().send()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_is_no_address_is_told_at_start_without_its_password() {
    let folder = TestGateway::builder().write_only();
    let wrong = [("AIRLOCK_LIMITS__REDIS", "http://me:s3cret@host")];
    let finished = Airlock::start(folder.path(), &["serve", "--data", "d"], &wrong).finished().await;
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains("limits.redis"), "{finished:?}");
    assert!(!finished.stderr.contains("s3cret"), "{finished:?}");
}
