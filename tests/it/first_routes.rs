//! FIRST's own routes: what there is, what runs, who asks, and clusters that are down.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use airlock_tests::{
    Gate, GatewayBuilder, TestGateway, Upstream, completion, eventually, guest, json, refused_address, within,
};
use serde_json::{Value, json};

const JOBS: &str = "/resource_server/c/jobs";
const HIDDEN: &str = "6a0f3cde-0000-4000-8000-000000000001";

/// Models `m` and `n`, which the caller may use, and `secret`, which is for a group; cluster `c` asks `status_url`.
fn builder(status_url: &str) -> GatewayBuilder {
    TestGateway::builder()
        .cluster(json!({ "cluster_adapter": guest("jobs"), "config": { "status_url": status_url } }))
        .endpoint("m", guest("echo"), json!({}))
        .endpoint("n", guest("echo"), json!({}))
        .endpoint("secret", guest("echo"), json!({}))
        .fields(json!({ "allowed_globus_groups": [HIDDEN] }))
}

fn running(models: &str, framework: &str, cluster: &str) -> Value {
    json!({ "models": models, "framework": framework, "cluster": cluster, "extra": "{\"Job ID\":\"7\"}" })
}

async fn get(gateway: &TestGateway, path: &str) -> (u16, Value) {
    let response = gateway.request("GET", path).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn models(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|block| block["Models"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn jobs_have_firsts_shape_and_show_what_the_caller_may_use() {
    let upstream = Upstream::json(json!({
        "running": [
            running("m, secret ,n", "api", "c"), running("secret", "api", "c"), running("unknown", "api", "c"),
            running("m", "vllm", "c"), running("m", "api", "elsewhere"), running("", "api", "c"),
        ],
        "cluster_status": "{\"free_nodes\":3}",
    }))
    .await;
    let gateway = builder(&upstream.url()).start().await;
    let (status, jobs) = get(&gateway, JOBS).await;
    assert_eq!(status, 200, "{jobs}");
    let expected = json!([{ "Models": "m,n", "Framework": "api", "Cluster": "c", "Job ID": "7" }]);
    assert_eq!(jobs["running"], expected);
    assert_eq!(jobs["cluster_status"], json!({ "free_nodes": 3 }));
    let mut lists: Vec<&String> = jobs.as_object().unwrap().keys().collect();
    lists.sort_unstable();
    let mut six = ["running", "queued", "stopped", "others", "private_batch_running", "private_batch_queued"]
        .map(str::to_owned)
        .to_vec();
    six.push("cluster_status".into());
    six.sort_unstable();
    assert_eq!(lists, six.iter().collect::<Vec<_>>());
    assert_eq!(gateway.live_instances(), 0);
}

#[tokio::test]
async fn an_answer_is_kept_for_as_long_as_the_adaptor_allows() {
    for (cache, asked) in [(json!(600_000), 1), (json!(0), 3), (Value::Null, 3)] {
        let upstream =
            Upstream::json(json!({ "running": [running("m", "api", "c")], "cache_ms": cache })).await;
        let gateway = builder(&upstream.url()).start().await;
        for _ in 0..3 {
            assert_eq!(models(&get(&gateway, JOBS).await.1["running"]), ["m"]);
        }
        assert_eq!(upstream.seen().len(), asked, "{cache}");
    }
}

/// A server that answers when the gate is open.
async fn gated(answer: Value) -> (Upstream, Gate) {
    Upstream::gated(move |_| json(200, &answer)).await
}

#[tokio::test]
async fn many_who_ask_at_once_ask_once() {
    let (upstream, gate) = gated(json!({ "running": [running("m", "api", "c")], "cache_ms": 600_000 })).await;
    let gateway = Arc::new(builder(&upstream.url()).settings(|s| s.workers = 2).start().await);
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { get(&gateway, JOBS).await })
        })
        .collect();
    eventually(|| gateway.gateway.connections().get() == 20).await;
    eventually(|| upstream.seen().len() == 1).await;
    gate.open();
    for asked in asking {
        let (status, jobs) = within(asked).await.unwrap();
        assert_eq!((status, models(&jobs["running"])), (200, vec!["m"]));
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_for_one_caller_is_not_shown_to_another_who_waited_for_it() {
    let (upstream, gate) = gated(json!({ "running": [] })).await;
    let gateway = Arc::new(builder(&upstream.url()).start().await);
    let other = gateway.store.create_key(&airlock::store::KeyOrder::named("other")).await.unwrap().secret;
    let ask = |key: String| {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            let request = gateway.anonymous("GET", JOBS).bearer_auth(key);
            request.send().await.unwrap().json::<Value>().await.unwrap()
        })
    };
    // The second key counts within a second.
    airlock_tests::until(async || {
        let who = gateway.anonymous("GET", "/resource_server/whoami").bearer_auth(&other);
        who.send().await.unwrap().status() == 200
    })
    .await;
    let first = ask(gateway.key.clone());
    eventually(|| upstream.seen().len() == 1).await;
    let connections = gateway.gateway.connections().get();
    let second = ask(other);
    eventually(|| gateway.gateway.connections().get() > connections).await;
    gate.open();
    let user = |jobs: &Value| jobs["private_batch_running"][0]["Username"].as_str().unwrap().to_owned();
    let (first, second) = (within(first).await.unwrap(), within(second).await.unwrap());
    assert_ne!(user(&first), user(&second));
}

#[tokio::test]
async fn a_caller_who_leaves_takes_the_question_along() {
    let (upstream, gate) = gated(json!({ "running": [], "cache_ms": 600_000 })).await;
    let gateway = Arc::new(builder(&upstream.url()).start().await);
    let asking = tokio::spawn(gateway.request("GET", JOBS).send());
    eventually(|| gateway.live_instances() == 1).await;
    asking.abort();
    gateway.idle().await;
    eventually(|| upstream.open_connections() == 0).await;
    gate.open();
    assert_eq!(get(&gateway, JOBS).await.0, 200);
}

#[tokio::test]
async fn failures_say_what_the_adaptor_said_and_no_more() {
    let answer = Arc::new(Mutex::new((503, json!({}))));
    let next = Arc::clone(&answer);
    let upstream = Upstream::start(move |_| {
        let (status, body) = next.lock().unwrap().clone();
        async move { json(status, &body) }
    })
    .await;
    let gateway = builder(&upstream.url()).start().await;
    let cases = [
        (503, json!({}), 503, "the scheduler is away until noon"),
        (401, json!({}), 502, "the scheduler is away until noon"),
        (200, json!({ "trap": true }), 500, "could not tell"),
        (200, json!({ "cluster_status": "7" }), 500, "could not tell"),
    ];
    for (status, body, expected, says) in cases {
        *answer.lock().unwrap() = (status, body);
        let (status, error) = get(&gateway, JOBS).await;
        assert_eq!((status, &error["error"]["code"]), (expected, &json!("failed_to_get_cluster_jobs")));
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(says) && !message.contains("secret reason"), "{message}");
    }
    *answer.lock().unwrap() = (200, json!({}));
    assert_eq!(get(&gateway, JOBS).await.0, 200, "a failure is not kept");
}

#[tokio::test]
async fn what_a_caller_may_not_see_does_not_exist() {
    let upstream = Upstream::json(json!({})).await;
    let gateway = builder(&upstream.url())
        .cluster(json!({
            "cluster_adapter": guest("jobs"), "config": { "status_url": upstream.url() },
            "allowed_globus_groups": [HIDDEN],
        }))
        .start()
        .await;
    let (status, hidden) = get(&gateway, JOBS).await;
    let (_, none) = get(&gateway, "/resource_server/none/jobs").await;
    assert_eq!((status, &hidden["error"]["code"]), (404, &json!("cluster_not_found")));
    let message = |error: &Value| error["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message(&hidden).replace("`c`", "`none`"), message(&none));
    assert_eq!(get(&gateway, "/resource_server/list-endpoints").await.1, json!({ "clusters": {} }));
    assert_eq!(get(&gateway, "/resource_server/status").await.1, json!({}));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn list_endpoints_and_whoami_have_firsts_shape() {
    let gateway = builder("http://127.0.0.1:1").operations(&["chat/completions", "embeddings"]).start().await;
    let (_, listed) = get(&gateway, "/resource_server/list-endpoints").await;
    let api = json!({ "models": ["m", "n"], "endpoints": ["/v1/chat/completions", "/v1/embeddings"] });
    let expected =
        json!({ "clusters": { "c": { "base_url": "/resource_server/c", "frameworks": { "api": api } } } });
    assert_eq!(listed, expected);
    let (_, who) = get(&gateway, "/resource_server/whoami").await;
    assert_eq!((&who["name"], &who["username"]), (&json!("test"), &json!("test")));
    assert_eq!(who["user_group_uuids"], json!([]));
    for field in ["id", "idp_id", "idp_name", "auth_service"] {
        assert!(who[field].is_string(), "{field}: {who}");
    }
    assert!(!who.to_string().contains(&gateway.key));
}

#[tokio::test]
async fn health_and_status_are_public_and_the_others_are_not() {
    let gateway = builder("http://127.0.0.1:1").start().await;
    let anonymous = async |path: &str| {
        let response = gateway.anonymous("GET", path).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(anonymous("/resource_server/health").await, (200, json!({ "status": "ok" })));
    assert_eq!(anonymous("/resource_server/status").await, (200, json!({ "c": true })));
    for path in ["whoami", "list-endpoints", "c/jobs", "none/jobs"] {
        let (status, error) = anonymous(&format!("/resource_server/{path}")).await;
        assert_eq!((status, &error["error"]["code"]), (401, &json!("invalid_api_key")), "{path}");
    }
}

#[tokio::test]
async fn a_cluster_under_maintenance_answers_with_its_notice() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let upstream = Upstream::start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async { json(200, &completion()) }
    })
    .await;
    let gateway = builder(&upstream.url())
        .endpoint("d", "direct-api", json!({ "api_url": upstream.url() }))
        .federated("fed", &["d"])
        .settings(|s| drop(s.maintenance.insert("c".into(), "New cooling until Monday.".into())))
        .start()
        .await;
    for path in ["/v1/chat/completions", "/c/api/v1/chat/completions", "/resource_server/v1/chat/completions"]
    {
        for model in ["d", "fed"] {
            if model == "fed" && path.starts_with("/c/") {
                continue; // federated names exist without a cluster only
            }
            let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
            let response = gateway.post(path, &body).send().await.unwrap();
            assert_eq!(response.headers()["retry-after"], "120");
            assert_eq!(response.status(), 503);
            let error: Value = response.json().await.unwrap();
            assert_eq!(error["error"]["code"], "cluster_under_maintenance");
            assert!(error["error"]["message"].as_str().unwrap().contains("New cooling until Monday."));
        }
    }
    let (_, jobs) = get(&gateway, JOBS).await;
    assert_eq!(models(&jobs["stopped"]), ["d", "m", "n"], "{jobs}");
    assert_eq!(models(&jobs["running"]), Vec::<&str>::new());
    assert_eq!(get(&gateway, "/resource_server/status").await.1, json!({ "c": false }));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn traffic_goes_around_a_cluster_that_is_down() {
    let upstream = Upstream::json(completion()).await;
    let other = json!([
        { "model": "resource_server_async.cluster", "pk": 2, "fields": {
            "cluster_name": "up", "cluster_adapter": "static-cluster", "frameworks": ["api"],
            "openai_endpoints": ["chat/completions"], "config": {} } },
        { "model": "resource_server_async.endpoint", "pk": 9, "fields": {
            "cluster": "up", "framework": "api", "model": "m", "endpoint_adapter": "direct-api",
            "config": { "api_url": upstream.url() } } },
    ]);
    let down = format!("http://{}", refused_address());
    let gateway = TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": down }))
        .file("up.json", other.to_string())
        .settings(|s| drop(s.maintenance.insert("c".into(), "Down.".into())))
        .start()
        .await;
    for _ in 0..4 {
        assert_eq!(gateway.chat().send().await.unwrap().status(), 200);
    }
    assert_eq!(upstream.seen().len(), 4);
}

#[tokio::test]
async fn a_notice_for_a_cluster_that_does_not_exist_is_a_mistake() {
    let started = builder("http://127.0.0.1:1")
        .settings(|s| drop(s.maintenance.insert("sofia".into(), "Down.".into())))
        .try_start()
        .await;
    let error = started.map(drop).unwrap_err();
    assert!(error.contains("maintenance.sofia"), "{error}");
}
