//! Tokens of a day: they survive a restart, and gateways on one store count together.

use airlock::auth::Role;
use airlock_tests::{
    Database, GatewayBuilder, TestGateway, Upstream, completion, error, on_both_databases, until, within,
};
use serde_json::json;

on_both_databases!(
    a_days_tokens_come_to_an_end_and_survive_a_restart,
    gateways_on_one_store_learn_of_each_others_tokens,
);

fn builder(backend: &Upstream) -> GatewayBuilder {
    TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": backend.url() }))
        .settings(|s| s.limits.tenant.tokens_per_day = 10)
}

/// The answer of this backend has seven tokens, of which ten are allowed.
async fn a_days_tokens_come_to_an_end_and_survive_a_restart(database: Database) {
    let backend = Upstream::json(completion()).await;
    let mut gateway = builder(&backend).database(&database).start().await;
    let settled = async |gateway: &TestGateway| {
        until(async || gateway.gateway.admission().snapshot().reserved == 0).await;
    };
    let first = within(gateway.chat().send()).await.unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(first.headers()["x-ratelimit-limit-tokens"], "10");
    settled(&gateway).await;
    let told = within(gateway.chat().send()).await.unwrap();
    let headers = told.headers().clone();
    assert_eq!(headers["x-should-retry"], "false", "nothing changes today");
    assert!((1..=120).contains(&headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap()));
    let told = error(told, 429, "insufficient_quota").await;
    assert_eq!(told["type"], "insufficient_quota");
    assert!(told["message"].as_str().unwrap().contains("your tenant"), "{told}");

    gateway.gateway.admission().settle().await.unwrap();
    gateway.stop();
    gateway.stopped().await;
    let again = builder(&backend).beside(&gateway).start().await;
    error(within(again.chat().send()).await.unwrap(), 429, "insufficient_quota").await;
    // More is allowed from the moment on that it is, and what was used still counts.
    let operator = again.person("default", Role::Operator).await;
    let more = json!({ "quota": { "tokens_per_day": 1_000 } });
    assert!(operator.put("/tenants/default", &more).await.status().is_success());
    let response = within(again.chat().send()).await.unwrap();
    let left: u64 = response.headers()["x-ratelimit-remaining-tokens"].to_str().unwrap().parse().unwrap();
    assert!(left < 1_000 - 7, "{left}");
    assert_eq!(backend.seen().len(), 2);
}

async fn gateways_on_one_store_learn_of_each_others_tokens(database: Database) {
    let backend = Upstream::json(completion()).await;
    let one = builder(&backend).database(&database).start().await;
    let other = builder(&backend).beside(&one).start().await;
    assert_eq!(within(one.chat().send()).await.unwrap().status(), 200);
    // By itself, within seconds.
    until(async || {
        let response = within(
            other
                .request("POST", "/v1/chat/completions")
                .json(&json!({
                    "model": "m", "messages": [{ "role": "user", "content": "hi" }],
                }))
                .send(),
        )
        .await
        .unwrap();
        response.status() == 429 && response.text().await.unwrap().contains("insufficient_quota")
    })
    .await;
    let total = async || {
        one.gateway.admission().settle().await.unwrap();
        other.gateway.admission().settle().await.unwrap();
        let today = airlock::tenants::today();
        let rows = one.store.add_tokens(today, 0, Vec::new(), 1).await.unwrap();
        rows.iter().map(|(_, tokens)| *tokens).sum::<u64>()
    };
    // Nothing is written twice, however often it is written.
    let seen = u64::try_from(backend.seen().len()).unwrap();
    assert_eq!(total().await, 7 * seen);
    assert_eq!(total().await, 7 * seen);
}
