//! `coalescing`: instances that want the same kind of call meet, and one of them makes it for all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use airlock_sandbox::{AddressPolicy, Answer, Tenant, TenantLimits};
use airlock_tests::{
    Gate, Lab, TestGateway, Upstream, chat_body, chat_task, eventually, guest, json, within,
};
use serde_json::{Value, json};

/// Answers every item with itself in capitals.
async fn shouting() -> Upstream {
    Upstream::start(|seen| async move { json(200, &shouted(&seen.json(), |_| true)) }).await
}

fn items(asked: &Value) -> Vec<String> {
    let items = asked["items"].as_array().unwrap().iter();
    items.map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn shouted(asked: &Value, is_done: impl Fn(&str) -> bool) -> Value {
    let done = items(asked).into_iter().filter(|item| is_done(item));
    let answers: HashMap<String, String> = done.map(|item| (item.clone(), item.to_uppercase())).collect();
    json!({ "items": answers })
}

fn body(item: &str) -> Value {
    let mut body = chat_body(false);
    body["item"] = json!(item);
    body
}

async fn gateway(url: &str, mut pace: Value) -> Arc<TestGateway> {
    pace["api_url"] = json!(url);
    let builder = TestGateway::builder().endpoint("m", guest("meet"), pace);
    Arc::new(builder.settings(|s| s.sandbox.slots = 64).start().await)
}

type Asking = tokio::task::JoinHandle<(u16, Value)>;

fn ask(gateway: &Arc<TestGateway>, item: impl AsRef<str>) -> Asking {
    let (gateway, body) = (Arc::clone(gateway), body(item.as_ref()));
    tokio::spawn(async move {
        let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    })
}

async fn result(asking: Asking) -> Value {
    let (status, answer) = within(asking).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    answer["result"].clone()
}

#[tokio::test]
async fn fifty_at_once_are_one_call() {
    let upstream = shouting().await;
    // Full at fifty: nobody waits for the time to be up.
    let gateway = gateway(&upstream.url(), json!({ "gather_ms": 19_000, "max_items": 50 })).await;
    let asking: Vec<_> = (0..50).map(|n| ask(&gateway, format!("item {n}"))).collect();
    for (n, asking) in asking.into_iter().enumerate() {
        assert_eq!(result(asking).await, format!("ITEM {n}"));
    }
    assert_eq!(items(&upstream.only().json()).len(), 50);
    assert_eq!(gateway.live_instances(), 0);
}

#[tokio::test]
async fn a_leader_asks_again_until_its_own_is_done_and_longer_than_its_calls() {
    let asked: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let counts = Arc::clone(&asked);
    let upstream = Upstream::start(move |seen| {
        let counts = Arc::clone(&counts);
        async move {
            let asked = seen.json();
            let mut counts = counts.lock().unwrap();
            items(&asked).into_iter().for_each(|item| *counts.entry(item).or_default() += 1);
            json(200, &shouted(&asked, |item| item == "quick" || counts[item] > 8))
        }
    })
    .await;
    // Four calls are allowed; every lead that comes a quarter of a second after the last gives one back.
    let builder = TestGateway::builder()
        .endpoint("m", guest("meet"), json!({ "api_url": upstream.url(), "interval_ms": 300 }))
        .settings(|s| s.sandbox.outbound_calls = 4);
    let gateway = Arc::new(builder.start().await);
    let slow = ask(&gateway, "slow");
    eventually(|| upstream.seen().len() == 2).await;
    let quick = ask(&gateway, "quick");
    assert_eq!(result(quick).await, "QUICK");
    assert_eq!(result(slow).await, "SLOW");
    let asked = asked.lock().unwrap();
    assert_eq!((asked["slow"], asked["quick"]), (9, 1));
}

#[tokio::test]
async fn when_the_leaders_client_leaves_another_takes_over() {
    let gate = Gate::new();
    let (passed, first) = (gate.clone(), Arc::new(Mutex::new(true)));
    let upstream = Upstream::start(move |seen| {
        let is_first = std::mem::take(&mut *first.lock().unwrap());
        let gate = passed.clone();
        async move {
            if is_first {
                gate.pass().await;
            }
            json(200, &shouted(&seen.json(), |_| true))
        }
    })
    .await;
    let gateway = gateway(&upstream.url(), json!({})).await;
    let leader = ask(&gateway, "leader");
    eventually(|| upstream.seen().len() == 1).await;
    let other = ask(&gateway, "other");
    eventually(|| gateway.live_instances() == 2).await;
    leader.abort();
    assert_eq!(result(other).await, "OTHER");
    gate.open();
    gateway.idle().await;
}

#[tokio::test]
async fn an_item_may_fail_alone() {
    let upstream = Upstream::start(|seen| async move {
        let mut said = shouted(&seen.json(), |_| true);
        if said["items"]["bad"].is_string() {
            said["items"]["bad"] = json!(7);
        }
        json(200, &said)
    })
    .await;
    let gateway = gateway(&upstream.url(), json!({ "gather_ms": 19_000, "max_items": 2 })).await;
    let (bad, good) = (ask(&gateway, "bad"), ask(&gateway, "good"));
    assert_eq!(result(good).await, "GOOD");
    let (status, error) = within(bad).await.unwrap();
    assert_eq!((status, &error["error"]["code"]), (418, &json!("refused")));
    upstream.only();
}

#[tokio::test]
async fn a_budget_spreads_calls_over_time() {
    let upstream = shouting().await;
    let gateway = gateway(&upstream.url(), json!({ "max_items": 1, "calls": 3 })).await;
    let start = std::time::Instant::now();
    let asking: Vec<_> = (0..7).map(|n| ask(&gateway, format!("item {n}"))).collect();
    for asking in asking {
        result(asking).await;
    }
    assert_eq!(upstream.seen().len(), 7);
    // Three at once, three a second later, one after two.
    assert!(start.elapsed() >= std::time::Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn tenants_do_not_meet() {
    let upstream = shouting().await;
    let lab = Lab::new();
    let config = json!({ "api_url": upstream.url(), "gather_ms": 300 });
    let mut asking = Vec::new();
    for name in ["one", "two"] {
        let tenant = Tenant::new(name, TenantLimits::default());
        let policy = AddressPolicy::with_private(Vec::new());
        let endpoint = lab.endpoint(&guest("meet"), config.clone(), &tenant, policy).await;
        let (egress, mut task) = (lab.egress.clone(), airlock_sandbox::Task::clone(&chat_task()));
        task.body = body(name).to_string().into();
        asking.push(tokio::spawn(async move { endpoint.run(&egress, &Arc::new(task)).await }));
    }
    for (asking, expected) in asking.into_iter().zip(["ONE", "TWO"]) {
        let Ok(Answer::Body(body)) = within(asking).await.unwrap() else { panic!("no body") };
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["result"], expected);
    }
    for seen in upstream.seen() {
        assert_eq!(items(&seen.json()).len(), 1, "each tenant's alone");
    }
    assert_eq!(upstream.seen().len(), 2);
}
