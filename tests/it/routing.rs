//! Which of several endpoints is asked: by what they have to do, by weight, by session, and by what their
//! clusters say.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU16, Ordering},
};

use airlock_tests::{
    Gate, GatewayBuilder, TestGateway, Upstream, completion, error, eventually, json, until, within,
};
use serde_json::json;

pub(super) fn chat(gateway: &TestGateway) -> reqwest::RequestBuilder {
    let body = json!({ "model": "big", "messages": [{ "role": "user", "content": "big" }] });
    gateway.post("/v1/chat/completions", &body)
}

/// `big` in front of a model for each backend.
pub(super) fn over(upstreams: &[&Upstream]) -> GatewayBuilder {
    let names: Vec<String> = (0..upstreams.len()).map(|at| format!("m{at}")).collect();
    let builder = upstreams.iter().zip(&names).fold(TestGateway::builder(), |builder, (upstream, name)| {
        builder.endpoint(name, "direct-api", json!({ "api_url": upstream.url() }))
    });
    builder.federated("big", &names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A backend that answers with whatever status is set.
pub(super) async fn moody(status: u16) -> (Upstream, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(status));
    let now = Arc::clone(&status);
    let upstream = Upstream::start(move |_| {
        let status = now.load(Ordering::Acquire);
        let body =
            if status == 200 { completion() } else { json!({ "error": { "message": "m", "code": "c" } }) };
        async move { json(status, &body) }
    })
    .await;
    (upstream, status)
}

pub(super) async fn ok(request: reqwest::RequestBuilder) {
    let response = within(request.send()).await.unwrap();
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
}

#[tokio::test]
async fn whoever_has_less_to_do_is_asked() {
    let gate = Gate::new();
    let held = gate.clone();
    let slow = Upstream::start(move |_| {
        let held = held.clone();
        async move {
            held.pass().await;
            json(200, &completion())
        }
    })
    .await;
    let quick = Upstream::json(completion()).await;
    let gateway = over(&[&slow, &quick]).start().await;
    let waiting = tokio::spawn(chat(&gateway).send());
    eventually(|| slow.seen().len() == 1).await;
    for _ in 0..6 {
        ok(chat(&gateway)).await;
    }
    assert_eq!((slow.seen().len(), quick.seen().len()), (1, 6));
    gate.open();
    assert_eq!(within(waiting).await.unwrap().unwrap().status(), 200);
    gateway.ledger.nth(7).await;
    for _ in 0..4 {
        ok(chat(&gateway)).await;
    }
    assert_eq!((slow.seen().len(), quick.seen().len()), (3, 8));
}

#[tokio::test]
async fn equals_share_by_weight() {
    let (light, heavy) = (Upstream::json(completion()).await, Upstream::json(completion()).await);
    let gateway = TestGateway::builder()
        .endpoint("light", "direct-api", json!({ "api_url": light.url() }))
        .endpoint("heavy", "direct-api", json!({ "api_url": heavy.url() }))
        .fields(json!({ "weight": 3 }))
        .federated("big", &["light", "heavy"])
        .start()
        .await;
    for done in 1..=12 {
        ok(chat(&gateway)).await;
        gateway.ledger.nth(done).await;
    }
    assert_eq!((light.seen().len(), heavy.seen().len()), (3, 9));
    for (weight, mistake) in
        [(json!(0), "from 1 to 1000"), (json!("x"), "from 1 to 1000"), (json!(1001), "weight")]
    {
        let refused = TestGateway::builder()
            .endpoint("m", "direct-api", json!({ "api_url": "http://127.0.0.1:1/v1" }))
            .fields(json!({ "weight": weight }))
            .try_start()
            .await;
        let text = refused.err().unwrap();
        assert!(text.contains(mistake) && text.contains("endpoints.json"), "{text}");
    }
}

#[tokio::test]
async fn a_session_stays_where_it_is_and_moves_when_its_endpoint_fails() {
    let (one, status) = moody(200).await;
    let (two, _) = moody(200).await;
    let (three, _) = moody(200).await;
    let gateway = over(&[&one, &two, &three])
        .settings(|s| s.routing.affinity = airlock::config::Affinity::Session)
        .start()
        .await;
    let seen = || [one.seen().len(), two.seen().len(), three.seen().len()];
    // By header, by `prompt_cache_key`, and without either by user.
    let asking = |name: String, way: usize| match way {
        0 => chat(&gateway).header("x-airlock-session", name),
        1 => {
            let messages = json!([{ "role": "user", "content": "hi" }]);
            let body = json!({ "model": "big", "messages": messages, "prompt_cache_key": name });
            gateway.post("/v1/chat/completions", &body)
        }
        _ => chat(&gateway),
    };
    for way in 0..3 {
        let before = seen();
        for _ in 0..6 {
            ok(asking("conversation".into(), way)).await;
        }
        let more: Vec<usize> = seen().iter().zip(before).map(|(now, before)| now - before).collect();
        assert!(more.contains(&6), "{way}: {more:?}");
    }
    let before = seen();
    for name in 0..60 {
        ok(asking(name.to_string(), 0)).await;
    }
    let more: Vec<usize> = seen().iter().zip(before).map(|(now, before)| now - before).collect();
    assert!(more.iter().all(|count| *count >= 8), "sessions are spread: {more:?}");

    let mut mine = 0;
    let before = one.seen().len();
    while one.seen().len() == before {
        mine += 1;
        ok(asking(mine.to_string(), 0)).await;
    }
    status.store(500, Ordering::Release);
    let before = seen();
    for _ in 0..9 {
        ok(asking(mine.to_string(), 0)).await;
    }
    let more: Vec<usize> = seen().iter().zip(before).map(|(now, before)| now - before).collect();
    assert!(more == [3, 9, 0] || more == [3, 0, 9], "it moves to one of the others: {more:?}");
}

/// Cluster `warm` runs the model, cluster `c` has it stopped.
#[tokio::test]
async fn a_cluster_that_runs_the_model_comes_before_one_that_does_not() {
    let is_up = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&is_up);
    let cold = Upstream::start(move |seen| {
        let models = if state.load(Ordering::Acquire) { json!([{ "id": "big" }]) } else { json!([]) };
        async move {
            if seen.uri.path().ends_with("/models") {
                return json(200, &json!({ "object": "list", "data": models }));
            }
            json(200, &completion())
        }
    })
    .await;
    let warm = Upstream::start(|seen| async move {
        if seen.uri.path().ends_with("/models") {
            return json(200, &json!({ "object": "list", "data": [{ "id": "big" }] }));
        }
        json(200, &completion())
    })
    .await;
    let asked = |upstream: &Upstream| {
        upstream.seen().iter().filter(|seen| seen.uri.path().ends_with("/completions")).count()
    };
    let gateway = TestGateway::builder()
        .cluster(json!({ "cluster_adapter": "openai-models", "config": { "api_url": cold.url() } }))
        .endpoint("big", "direct-api", json!({ "api_url": cold.url() }))
        .endpoint("big", "direct-api", json!({ "api_url": warm.url() }))
        .fields(json!({ "cluster": "warm" }))
        .file(
            "warm.json",
            json!([{
                "model": "resource_server_async.cluster",
                "fields": {
                    "cluster_name": "warm", "cluster_adapter": "openai-models", "frameworks": ["api"],
                    "openai_endpoints": ["chat/completions"], "config": { "api_url": warm.url() },
                },
            }])
            .to_string(),
        )
        .settings(|s| s.routing.state_seconds = 1)
        .start()
        .await;
    // The first request makes the gateway ask; the clusters' words count as soon as they have come.
    until(async || {
        let before = asked(&cold);
        for _ in 0..4 {
            ok(chat(&gateway)).await;
        }
        asked(&cold) == before
    })
    .await;
    is_up.store(true, Ordering::Release);
    until(async || {
        let before = asked(&cold);
        ok(chat(&gateway)).await;
        asked(&cold) > before
    })
    .await;
}

/// The notice of a fixture, and of settings that are read again.
#[tokio::test]
async fn a_cluster_is_down_by_fixture_or_by_settings() {
    let upstream = Upstream::json(completion()).await;
    let by_fixture = TestGateway::builder()
        .cluster(json!({ "maintenance": "New cooling until Monday." }))
        .endpoint("big", "direct-api", json!({ "api_url": upstream.url() }))
        .start()
        .await;
    let refused = chat(&by_fixture).send().await.unwrap();
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 120);
    let told = error(refused, 503, "cluster_under_maintenance").await.to_string();
    assert!(told.contains("New cooling until Monday."), "{told}");

    let gateway = over(&[&upstream]).start().await;
    ok(chat(&gateway)).await;
    let settings = (*gateway.gateway.settings()).clone();
    let mut down = settings.clone();
    down.maintenance.insert("c".into(), "Power.".into());
    assert_eq!(gateway.gateway.reload(down.clone()).await.unwrap(), Vec::<String>::new());
    error(chat(&gateway).send().await.unwrap(), 503, "cluster_under_maintenance").await;
    down.maintenance.insert("nowhere".into(), "Power.".into());
    let mistake = gateway.gateway.reload(down).await.unwrap_err().to_string();
    assert!(mistake.contains("maintenance.nowhere"), "{mistake}");
    error(chat(&gateway).send().await.unwrap(), 503, "cluster_under_maintenance").await;
    gateway.gateway.reload(settings).await.unwrap();
    ok(chat(&gateway)).await;
}

/// What others write after a refused reload is tried against the files that are in force.
#[tokio::test]
async fn a_refused_reload_leaves_nothing_behind() {
    let upstream = Upstream::json(completion()).await;
    let gateway = over(&[&upstream]).start().await;
    let settings = (*gateway.gateway.settings()).clone();
    std::fs::write(settings.fixtures.join("bad.json"), "[{}]").unwrap();
    let mistake = gateway.gateway.reload(settings).await.unwrap_err().to_string();
    assert!(mistake.contains("bad.json"), "{mistake}");
    let operator = gateway.person("default", airlock::auth::Role::Operator).await;
    let made = operator.put("/tenants/default/maintenance/c", &json!({ "notice": "Down." })).await;
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
    error(chat(&gateway).send().await.unwrap(), 503, "cluster_under_maintenance").await;
}
