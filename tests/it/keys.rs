//! Keys while the gateway serves: what they may be used for, and until when they count.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use airlock::{
    auth::{Role, Scope, Scopes},
    store::KeyOrder,
};
use airlock_tests::{Database, TestGateway, error, guest, on_both_databases, until, within};
use serde_json::json;

on_both_databases!(
    a_key_without_the_scope_is_refused_on_all_that_is_about_models,
    an_expired_key_says_so,
    a_key_that_another_process_makes_or_revokes_counts_within_a_second,
);

async fn echo(database: &Database) -> TestGateway {
    TestGateway::builder().endpoint("m", guest("echo"), json!({})).database(database).start().await
}

async fn status(gateway: &TestGateway, key: &str) -> u16 {
    let request = gateway.anonymous("GET", "/resource_server/whoami").bearer_auth(key);
    within(request.send()).await.unwrap().status().as_u16()
}

fn in_seconds(seconds: i64) -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 + seconds
}

async fn a_key_without_the_scope_is_refused_on_all_that_is_about_models(database: Database) {
    let gateway = echo(&database).await;
    let scopes: Scopes = [Scope::Read, Scope::Write].into_iter().collect();
    let order = KeyOrder { scopes, role: Role::Operator, ..KeyOrder::named("admin") };
    let key = gateway.store.create_key(&order).await.unwrap().secret;
    until(async || status(&gateway, &key).await == 200).await;
    for (method, path) in [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/c/api/v1/embeddings"),
        ("POST", "/resource_server/c/api/v1/batches"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/m"),
        ("GET", "/resource_server/list-endpoints"),
        ("GET", "/resource_server/c/jobs"),
        ("GET", "/resource_server/v1/batches"),
        ("GET", "/resource_server/v1/batches/x"),
        ("GET", "/resource_server/v1/batches/x/result"),
    ] {
        let request = gateway.anonymous(method, path).bearer_auth(&key).body("not even json");
        let told = error(within(request.send()).await.unwrap(), 403, "insufficient_scope").await;
        assert!(told["message"].as_str().unwrap().contains("`inference`"), "{method} {path}: {told}");
    }
}

async fn an_expired_key_says_so(database: Database) {
    let gateway = echo(&database).await;
    let make = async |name: &str, expires_at| {
        let order = KeyOrder { expires_at: Some(expires_at), ..KeyOrder::named(name) };
        gateway.store.create_key(&order).await.unwrap().secret
    };
    let (past, soon) = (make("past", in_seconds(0)).await, make("soon", in_seconds(2)).await);
    let later = make("later", in_seconds(3600)).await;
    until(async || status(&gateway, &later).await == 200).await;
    // Nobody writes any more: it is the gateway that sees the time go by.
    until(async || status(&gateway, &soon).await == 401).await;
    for key in [&past, &soon] {
        let request = gateway.anonymous("GET", "/v1/models").bearer_auth(key).send();
        let told = error(within(request).await.unwrap(), 401, "invalid_api_key").await;
        assert!(told["message"].as_str().unwrap().contains("has expired"), "{told}");
    }
    assert_eq!(status(&gateway, &later).await, 200);
}

async fn a_key_that_another_process_makes_or_revokes_counts_within_a_second(database: Database) {
    let gateway = echo(&database).await;
    let other = airlock::store::Store::open(&*gateway.gateway.settings()).await.unwrap();
    let key = other.create_key(&KeyOrder::named("late")).await.unwrap().secret;
    let made = until(async || status(&gateway, &key).await == 200).await;
    other.revoke_key("default", "late", "test").await.unwrap();
    let revoked = until(async || status(&gateway, &key).await == 401).await;
    eprintln!("made: {made:?}, revoked: {revoked:?}");
    assert!(made.max(revoked) < Duration::from_secs(5), "{made:?} {revoked:?}");
    assert_eq!(gateway.request("GET", "/v1/models").send().await.unwrap().status(), 200);
}
