//! What a tenant may use in a day: CPU time of adaptors, bytes sent to backends.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use airlock::{
    auth::Role,
    config::Env,
    gateway::Gateway,
    ledger::LogLedger,
    store::{Store, UsageOwner},
};
use airlock_sandbox::Amounts;
use airlock_tests::{
    Airlock, Database, Gate, Person, TestGateway, Upstream, adaptor, completion, error, guest,
    json as answer, on_both_databases, sse, target_dir, tenant_cluster, tenant_endpoint, until, within,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

on_both_databases!(
    a_day_of_computing_comes_to_an_end,
    a_day_of_sending_comes_to_an_end_within_a_body,
    what_was_used_is_written_down_and_other_gateways_learn_of_it,
    a_tenant_that_is_made_again_has_used_nothing,
    a_tenants_large_answers_wait_for_each_other_and_for_nobody_elses,
);

async fn set_quota(gateway: &TestGateway, tenant: &str, quota: Value) {
    let operator = gateway.person("default", Role::Operator).await;
    let done = operator.put(&format!("/tenants/{tenant}"), &json!({ "quota": quota })).await;
    assert!(done.status().is_success(), "{}", done.text().await.unwrap());
}

async fn a_day_of_computing_comes_to_an_end(database: Database) {
    let gateway = TestGateway::builder()
        .database(&database)
        .endpoint("m", guest("spin"), json!({}))
        .endpoint("quick", guest("echo"), json!({}))
        .settings(|s| s.sandbox.cpu_ms = 300)
        .start()
        .await;
    set_quota(&gateway, "default", json!({ "cpu_seconds_per_day": 1 })).await;
    let mut spun = 0;
    loop {
        let request = if spun % 2 == 0 { gateway.chat() } else { gateway.chat_stream() };
        let response = within(request.send()).await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        if status == 429 {
            assert!(text.contains("insufficient_quota"), "{text}");
            break;
        }
        assert!(text.contains("adaptor_cpu_limit"), "{status} {text}");
        spun += 1;
        assert!(spun < 20, "a second holds no more than four times 300 ms");
    }
    assert!((3..=5).contains(&spun), "{spun}");
    let mut body = airlock_tests::chat_body(false);
    body["model"] = json!("quick");
    let told = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
    let wait: u64 = told.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=120).contains(&wait), "{wait}");
    let told = error(told, 429, "insufficient_quota").await;
    assert_eq!(told["type"], "insufficient_quota");

    let operator = gateway.person("default", Role::Operator).await;
    let usage = operator.read("/tenants/default/usage").await;
    assert!(usage["cpu_seconds"].as_f64().unwrap() >= 1.0, "{usage}");
    assert_eq!(usage["cpu_seconds_per_day"], 1);
    // More is allowed from the moment on that it is, and what was used still counts.
    set_quota(&gateway, "default", json!({ "cpu_seconds_per_day": 1000 })).await;
    assert_eq!(within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap().status(), 200);
    let after = operator.read("/tenants/default/usage").await;
    assert!(after["cpu_seconds"].as_f64() >= usage["cpu_seconds"].as_f64(), "{after}");
}

/// A gateway with a tenant `t`, whose model `m` asks this backend.
async fn with_tenant(database: &Database, backend: &Upstream) -> TestGateway {
    let loopback = "127.0.0.0/8".parse().unwrap();
    let gateway = TestGateway::builder()
        .database(database)
        .settings(move |s| s.egress.allow_networks = vec![loopback])
        .start()
        .await;
    for tenant in ["t", "u"] {
        gateway.tenant(tenant).await;
        define(&gateway.person(tenant, Role::Developer).await, tenant, backend).await;
    }
    gateway
}

async fn define(person: &Person<'_>, tenant: &str, backend: &Upstream) {
    let made = person.put(&format!("/tenants/{tenant}/clusters/c"), &tenant_cluster("c")).await;
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
    let endpoint = tenant_endpoint("c", "m", "direct-api", json!({ "api_url": backend.url() }));
    let made = person.post(&format!("/tenants/{tenant}/endpoints"), &endpoint).await;
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
}

/// A backend that counts the bytes of bodies.
async fn counting() -> (Upstream, Arc<AtomicUsize>) {
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    let backend = Upstream::start(move |request| {
        count.fetch_add(request.body.len(), Ordering::Relaxed);
        async { answer(200, &completion()) }
    });
    (backend.await, received)
}

async fn a_day_of_sending_comes_to_an_end_within_a_body(database: Database) {
    const LIMIT: usize = 100_000;
    let (backend, received) = counting().await;
    let gateway = with_tenant(&database, &backend).await;
    set_quota(&gateway, "t", json!({ "egress_bytes_per_day": LIMIT })).await;
    let user = gateway.person("t", Role::User).await;
    assert_eq!(within(user.chat("m").send()).await.unwrap().status(), 200);
    // On the connection that is kept, and then on none.
    for bytes in [2_000_000, 10] {
        let mut body = airlock_tests::chat_body(false);
        body["messages"][0]["content"] = json!("x".repeat(bytes));
        let told = within(user.chat("m").json(&body).send()).await.unwrap();
        error(told, 429, "insufficient_quota").await;
    }
    // Where nothing may be sent nothing is connected.
    let accepted = backend.accepted_connections();
    error(within(user.chat("m").send()).await.unwrap(), 429, "insufficient_quota").await;
    assert_eq!(backend.accepted_connections(), accepted);
    let developer = gateway.person("t", Role::Developer).await;
    let usage = developer.read("/tenants/t/usage").await;
    assert_eq!(usage["egress_bytes"], LIMIT, "{usage}");
    assert!(received.load(Ordering::Relaxed) < 1000, "the large body never got there whole");
    let other = gateway.person("u", Role::User).await;
    assert_eq!(within(other.chat("m").send()).await.unwrap().status(), 200);
    let told = developer.get("/tenants/u/usage").await;
    error(told, 404, "resource_not_found").await;
}

/// Another process on the same store.
async fn another(gateway: &TestGateway) -> Arc<Gateway> {
    let settings = (*gateway.gateway.settings()).clone();
    let store = Store::open(&settings).await.unwrap();
    Gateway::assemble(settings, &Env::default(), &store, Arc::new(LogLedger)).await.unwrap()
}

fn used(gateway: &Gateway) -> u64 {
    gateway.tenants().tenant("t").unwrap().usage().today().egress_bytes
}

async fn what_was_used_is_written_down_and_other_gateways_learn_of_it(database: Database) {
    let (backend, _) = counting().await;
    let one = with_tenant(&database, &backend).await;
    let user = one.person("t", Role::User).await;
    let before = another(&one).await;
    for _ in 0..3 {
        assert_eq!(within(user.chat("m").send()).await.unwrap().status(), 200);
    }
    let counted = used(&one.gateway);
    assert!(counted > 500, "{counted}");
    // It goes on to write by itself; both know it once each has looked.
    one.gateway.tenants().settle().await.unwrap();
    before.tenants().settle().await.unwrap();
    let after = another(&one).await;
    assert_eq!((used(&one.gateway), used(&before), used(&after)), (counted, counted, counted));
    // Nothing is counted twice, however often it is written, by however many at once.
    let settle = || async { one.gateway.tenants().settle().await.unwrap() };
    assert_eq!(within(user.chat("m").send()).await.unwrap().status(), 200);
    tokio::join!(settle(), settle(), settle());
    after.tenants().settle().await.unwrap();
    assert!(used(&one.gateway) > counted);
    assert_eq!(used(&one.gateway), used(&after));
    set_quota(&one, "t", json!({ "egress_bytes_per_day": 1 })).await;
    error(within(user.chat("m").send()).await.unwrap(), 429, "insufficient_quota").await;
}

async fn a_tenant_that_is_made_again_has_used_nothing(database: Database) {
    let (backend, _) = counting().await;
    let gateway = with_tenant(&database, &backend).await;
    let user = gateway.person("t", Role::User).await;
    assert_eq!(within(user.chat("m").send()).await.unwrap().status(), 200);
    gateway.gateway.tenants().settle().await.unwrap();
    let operator = gateway.person("default", Role::Operator).await;
    let made_at = operator.read("/tenants/t").await["created_at"].clone();
    assert_eq!(operator.delete("/tenants/t").await.status(), 204);
    until(async || {
        assert_eq!(operator.post("/tenants", &json!({ "name": "t" })).await.status(), 201);
        let is_later = operator.read("/tenants/t").await["created_at"] != made_at;
        if !is_later {
            assert_eq!(operator.delete("/tenants/t").await.status(), 204);
        }
        is_later
    })
    .await;
    gateway.gateway.tenants().settle().await.unwrap();
    assert_eq!(operator.read("/tenants/t/usage").await["egress_bytes"], 0);
}

/// A backend of answers that are larger than all buffers between. Where it is told to, it holds back their end; the number is
/// of those whose rest was read.
async fn large_answers() -> (Upstream, Gate, Arc<AtomicUsize>) {
    const PIECE: usize = 64 << 10;
    let (gate, read) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (held, count) = (gate.clone(), Arc::clone(&read));
    let backend = Upstream::start(move |seen| {
        let is_held = String::from_utf8_lossy(&seen.body).contains("hold");
        let (held, count) = (held.clone(), Arc::clone(&count));
        let begin = stream::once(async { Bytes::from_static(b"{\"text\":\"") });
        let text = stream::iter(vec![Bytes::from(vec![b'x'; PIECE]); 256]);
        let end = stream::once(async move {
            count.fetch_add(1, Ordering::Relaxed);
            if is_held {
                held.pass().await;
            }
            Bytes::from_static(b"\"}")
        });
        async move {
            let mut response = sse(begin.chain(text).chain(end));
            response.headers_mut().insert("content-type", "application/json".parse().unwrap());
            response
        }
    });
    (backend.await, gate, read)
}

async fn a_tenants_large_answers_wait_for_each_other_and_for_nobody_elses(database: Database) {
    let (backend, gate, read) = large_answers().await;
    let gateway = with_tenant(&database, &backend).await;
    let user = gateway.person("t", Role::User).await;
    let ask = |text: &str| {
        let mut body = airlock_tests::chat_body(false);
        body["messages"][0]["content"] = json!(text);
        tokio::spawn(user.chat("m").json(&body).send())
    };
    let held: Vec<_> = (0..4).map(|_| ask("hold")).collect();
    until(async || read.load(Ordering::Relaxed) == 4).await;
    let fifth = ask("at once");
    let other = gateway.person("u", Role::User).await;
    let answer = within(other.chat("m").send()).await.unwrap().bytes().await.unwrap();
    assert_eq!(answer.len(), (16 << 20) + 11);
    assert_eq!(read.load(Ordering::Relaxed), 4 + 1, "the fifth waits with its backend");
    gate.open();
    for asked in held.into_iter().chain([fifth]) {
        let answer = within(asked).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.content_length(), Some((16 << 20) + 11));
        assert_eq!(answer.bytes().await.unwrap().len(), (16 << 20) + 11);
    }
}

/// With the store gone it is counted on, and written once the store is back.
#[tokio::test]
async fn nothing_is_forgotten_while_the_store_is_away() {
    let (backend, _) = counting().await;
    let gateway = with_tenant(&Database::sqlite(), &backend).await;
    let user = gateway.person("t", Role::User).await;
    let (file, away) = (gateway.data().join("airlock.sqlite3"), gateway.data().join("away"));
    std::fs::rename(&file, &away).unwrap();
    assert_eq!(within(user.chat("m").send()).await.unwrap().status(), 200);
    gateway.gateway.tenants().settle().await.unwrap_err();
    let counted = used(&gateway.gateway);
    assert!(counted > 100, "{counted}");
    std::fs::rename(&away, &file).unwrap();
    gateway.gateway.tenants().settle().await.unwrap();
    assert_eq!(used(&*another(&gateway).await), counted);
}

/// What the last requests used is written down when the gateway stops.
#[tokio::test]
async fn a_gateway_that_stops_closes_its_books() {
    let (backend, _) = counting().await;
    let folder =
        TestGateway::builder().endpoint("m", "direct-api", json!({ "api_url": backend.url() })).write_only();
    let key = Airlock::run(folder.path(), &["keys", "create", "k", "--data", "d"]).await.stdout;
    let adaptors = target_dir().join("adaptors").display().to_string();
    let arguments = ["serve", "--data", "d", "--listen", "127.0.0.1:0", "--adaptors", &adaptors];
    let mut serving = Airlock::start(folder.path(), &arguments, &[]);
    let url = serving.line().await.strip_prefix("url=").unwrap().to_owned();
    assert_eq!(serving.line().await, "ready");
    let chat = reqwest::Client::new().post(format!("{url}/chat/completions")).bearer_auth(key.trim());
    let chat = chat.json(&airlock_tests::chat_body(false)).send();
    assert_eq!(within(chat).await.unwrap().status(), 200);
    serving.signal("TERM").await;
    assert_eq!(serving.finished().await.code, 0);
    let store = Store::open(&folder.path().join("d")).await.unwrap();
    let rows = store.add_usage(airlock::tenants::today(), Vec::new()).await.unwrap();
    let owner = UsageOwner { tenant: "default".into(), since: 0 };
    assert!(
        rows.get(&owner).is_some_and(|used: &Amounts| used.cpu_ns > 0 && used.egress_bytes > 0),
        "{rows:?}"
    );
}

#[tokio::test]
async fn a_quota_that_is_none_is_refused() {
    let gateway =
        TestGateway::with(adaptor("direct-api"), json!({ "api_url": "http://127.0.0.1:9/v1" })).await;
    let operator = gateway.person("default", Role::Operator).await;
    for quota in
        [json!({ "cpu_seconds_per_day": -1 }), json!({ "egress_bytes_per_day": "lots" }), json!({ "cpu": 1 })]
    {
        let told = operator.put("/tenants/default", &json!({ "quota": quota })).await;
        error(told, 400, "invalid_value").await;
    }
}
