//! Tenants bring their own adaptors: uploaded, used at once, replaced and taken back, while the gateway runs.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use airlock::auth::Role;
use airlock_tests::{
    Database, Person, TestGateway, Upstream, adaptor, completion, guest, json as answer, on_both_databases,
    tenant_cluster, tenant_endpoint, until, within,
};
use serde_json::{Value, json};

on_both_databases!(
    a_component_is_used_at_once_without_a_restart,
    what_does_not_pass_the_gate_is_told_why_and_changes_nothing,
    versions_are_switched_under_load_and_no_request_fails,
    a_request_ends_on_the_version_that_it_began_with,
    a_version_that_fails_is_taken_back_and_the_audit_says_so,
    a_rollback_is_instant_and_a_trial_can_be_ended,
    an_adaptor_that_an_endpoint_names_stays,
);

/// A gateway on which tenants may reach backends of this machine.
async fn gateway(database: &Database) -> TestGateway {
    let loopback = "127.0.0.0/8".parse().unwrap();
    TestGateway::builder()
        .database(database)
        .settings(move |s| {
            s.egress.allow_networks = vec![loopback];
            s.sandbox.slots = 64;
        })
        .start()
        .await
}

async fn backend() -> Upstream {
    Upstream::start(|_| async { answer(200, &completion()) }).await
}

fn component(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn direct() -> Vec<u8> {
    component(adaptor("direct-api"))
}

/// The tenant `t` with a cluster, and a model `m` that the uploaded adaptor `mine` serves.
async fn define(person: &Person<'_>, api_url: &str) {
    let made = person.put("/tenants/t/clusters/c", &tenant_cluster("c")).await;
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
    let endpoint = tenant_endpoint("c", "m", "mine", json!({ "api_url": api_url }));
    let made = person.post("/tenants/t/endpoints", &endpoint).await;
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
}

async fn a_component_is_used_at_once_without_a_restart(database: Database) {
    let (gateway, backend) = (gateway(&database).await, backend().await);
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    let started = Instant::now();
    let pushed = developer.push("/tenants/t/adaptors/mine/versions", direct()).await;
    let (status, pushed) = (pushed.status(), pushed.json::<Value>().await.unwrap());
    assert_eq!(status, 201, "{pushed}");
    assert_eq!(pushed["report"]["roles"], json!(["endpoint"]));
    define(&developer, &backend.url()).await;
    let user = gateway.person("t", Role::User).await;
    let chat = within(user.chat("m").send()).await.unwrap();
    assert_eq!(chat.status(), 200, "{}", chat.text().await.unwrap());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());

    let seen = developer.read("/tenants/t/adaptors/mine").await;
    assert_eq!(seen["spec"]["live"], pushed["report"]["digest"]);
    let route = developer.read("/tenants/t/routes/m").await;
    assert_eq!(route["endpoints"][0]["endpoint"], "c-api-m");
    // The same bytes are the same version.
    let again = developer.push("/tenants/t/adaptors/mine/versions", direct()).await;
    assert_eq!(again.status(), 201);
    let versions = developer.read("/tenants/t/adaptors/mine/versions").await;
    assert_eq!(versions["data"].as_array().unwrap().len(), 1, "{versions}");
}

async fn what_does_not_pass_the_gate_is_told_why_and_changes_nothing(database: Database) {
    let gateway = gateway(&database).await;
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    for (bytes, check, says) in [
        (b"no wasm".to_vec(), "component", "not a WebAssembly file"),
        (b"\0asm\x01\0\0\0".to_vec(), "component", "core WebAssembly module"),
        (direct()[..5000].to_vec(), "component", "not valid"),
    ] {
        let refused = developer.push("/tenants/t/adaptors/mine/versions", bytes).await;
        assert_eq!(refused.status(), 422);
        let refused: Value = refused.json().await.unwrap();
        let error = &refused["error"];
        assert_eq!(error["code"], "adaptor_refused", "{refused}");
        assert!(error["message"].as_str().unwrap().contains(says), "{refused}");
        let checks = error["details"]["report"]["checks"].as_array().unwrap();
        let failed = checks.iter().find(|found| found["passed"] == false).unwrap();
        assert_eq!(failed["name"], check, "{refused}");
        assert!(failed["remedy"].is_string(), "{refused}");
    }
    let bundled = developer.push("/tenants/t/adaptors/direct-api/versions", direct()).await;
    assert_eq!(bundled.status(), 400, "the name of a bundled one");
    assert_eq!(developer.read("/tenants/t/adaptors").await["data"], json!([]));
}

/// 50 switches between two versions under steady traffic, and not one failed request.
async fn versions_are_switched_under_load_and_no_request_fails(database: Database) {
    let (gateway, backend) = (gateway(&database).await, backend().await);
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    let mut digests = Vec::new();
    for bytes in [direct(), component(adaptor("direct-api-wasi"))] {
        let pushed = developer.push("/tenants/t/adaptors/mine/versions?release=hold", bytes).await;
        let pushed: Value = pushed.json().await.unwrap();
        digests.push(pushed["report"]["digest"].as_str().unwrap().to_owned());
    }
    define(&developer, &backend.url()).await;
    let user = gateway.person("t", Role::User).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let traffic: Vec<_> = (0..4)
        .map(|_| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            let chats = user.chat("m");
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let chat = within(chats.try_clone().unwrap().send()).await.unwrap();
                    assert_eq!(chat.status(), 200, "{}", chat.text().await.unwrap());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for turn in 0..50 {
        let before = done.load(Ordering::Relaxed);
        let version = json!({ "version": digests[turn % 2] });
        let switched = developer.post("/tenants/t/adaptors/mine/rollout", &version).await;
        assert_eq!(switched.status(), 200, "{}", switched.text().await.unwrap());
        let route = developer.read("/tenants/t/routes/m").await;
        assert_eq!(route["endpoints"][0]["adaptor"]["live"], digests[turn % 2].as_str());
        until(async || done.load(Ordering::Relaxed) > before).await;
    }
    stop.store(true, Ordering::Relaxed);
    for traffic in traffic {
        within(traffic).await.unwrap();
    }
}

async fn a_request_ends_on_the_version_that_it_began_with(database: Database) {
    let (upstream, feed) = Upstream::fed().await;
    let gateway = gateway(&database).await;
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    developer.push("/tenants/t/adaptors/mine/versions", component(guest("rewrite"))).await;
    define(&developer, &upstream.url()).await;
    let mut body = airlock_tests::chat_body(true);
    body["model"] = json!("m");
    let mut stream = developer.chat("m").json(&body).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    feed.send("data: {\"a\":1}\n\n");
    within(stream.chunk()).await.unwrap().unwrap();
    developer.push("/tenants/t/adaptors/mine/versions", component(guest("later"))).await;
    let broken = within(developer.chat("m").send()).await.unwrap();
    assert_eq!(broken.status(), 502, "new requests meet the new version");
    feed.send("data: {\"b\":2}\n\ndata: [DONE]\n\n");
    drop(feed);
    let rest = within(stream.text()).await.unwrap();
    assert!(rest.contains("[DONE]"), "{rest}");
}

async fn a_version_that_fails_is_taken_back_and_the_audit_says_so(database: Database) {
    let (gateway, backend) = (gateway(&database).await, backend().await);
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    let good =
        developer.push("/tenants/t/adaptors/mine/versions", direct()).await.json::<Value>().await.unwrap();
    define(&developer, &backend.url()).await;
    // On trial with a share of the tasks, then for all of them.
    for path in ["versions?release=canary:30", "versions"] {
        let bad =
            developer.push(&format!("/tenants/t/adaptors/mine/{path}"), component(guest("later"))).await;
        assert_eq!(bad.status(), 201, "{}", bad.text().await.unwrap());
        let (failed, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
        until(async || {
            let is_good = within(developer.chat("m").send()).await.unwrap().status() == 200;
            if is_good { &served } else { &failed }.fetch_add(1, Ordering::Relaxed);
            let seen = developer.read("/tenants/t/adaptors/mine").await;
            seen["spec"]["live"] == good["report"]["digest"] && seen["spec"]["canary"].is_null()
        })
        .await;
        let (failed, served) = (failed.into_inner(), served.into_inner());
        assert!(failed >= 5, "{path}: {failed} failed, {served} were served");
        if path.contains("canary") {
            assert!(served > failed, "{path}: {failed} failed, {served} were served");
        }
    }
    let audit = developer.read("/tenants/t/audit?limit=1").await;
    assert_eq!(
        (&audit["data"][0]["action"], &audit["data"][0]["actor"]),
        (&json!("rollback"), &json!("airlock"))
    );
    let back = developer.post("/tenants/t/adaptors/mine/rollback", &json!({})).await;
    assert_eq!(back.status(), 409, "there is nothing before it");
}

async fn a_rollback_is_instant_and_a_trial_can_be_ended(database: Database) {
    let (gateway, backend) = (gateway(&database).await, backend().await);
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    let mut digests = Vec::new();
    for bytes in [direct(), component(adaptor("direct-api-wasi"))] {
        let pushed = developer.push("/tenants/t/adaptors/mine/versions", bytes).await;
        digests.push(pushed.json::<Value>().await.unwrap()["report"]["digest"].clone());
    }
    define(&developer, &backend.url()).await;
    let live = async || developer.read("/tenants/t/routes/m").await["endpoints"][0]["adaptor"].clone();
    assert_eq!(live().await["live"], digests[1]);
    let back = developer.post("/tenants/t/adaptors/mine/rollback", &json!({})).await;
    assert_eq!(back.status(), 200);
    assert_eq!(live().await["live"], digests[0]);
    let trial = json!({ "version": digests[1], "percent": 25 });
    developer.post("/tenants/t/adaptors/mine/rollout", &trial).await;
    assert_eq!(live().await["canary"], json!({ "digest": digests[1], "percent": 25 }));
    developer.post("/tenants/t/adaptors/mine/rollback", &json!({})).await;
    assert_eq!(live().await["canary"], Value::Null);
    for (wanted, status) in [
        (json!({ "version": "no such", "percent": 5 }), 404),
        (json!({ "version": digests[1], "percent": 0 }), 409),
        (json!({ "percent": 5 }), 400),
    ] {
        assert_eq!(
            developer.post("/tenants/t/adaptors/mine/rollout", &wanted).await.status(),
            status,
            "{wanted}"
        );
    }
}

async fn an_adaptor_that_an_endpoint_names_stays(database: Database) {
    let (gateway, backend) = (gateway(&database).await, backend().await);
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    developer.push("/tenants/t/adaptors/mine/versions", direct()).await;
    define(&developer, &backend.url()).await;
    let refused = developer.delete("/tenants/t/adaptors/mine").await;
    assert_eq!(refused.status(), 422);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["error"]["details"]["mistakes"][0]["where"], "endpoint c-api-m", "{refused}");
    assert_eq!(developer.delete("/tenants/t/endpoints/c-api-m").await.status(), 204);
    assert_eq!(developer.delete("/tenants/t/adaptors/mine").await.status(), 204);
    assert_eq!(developer.get("/tenants/t/adaptors/mine").await.status(), 404);
    assert_eq!(
        gateway.store.documents(Some("t"), Some("version")).await.unwrap(),
        [],
        "its versions go with it"
    );
    assert_eq!(developer.chat("m").send().await.unwrap().status(), 404);
}
