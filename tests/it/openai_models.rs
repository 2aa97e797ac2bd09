//! The adaptor `openai-models`: a cluster that is one OpenAI-compatible server.

use airlock_sandbox::{Fault, Job, Jobs};
use airlock_tests::{Body, Gate, Seen, TestGateway, Upstream, guest, json, log_of, logs, refused_address};
use http::Response;
use serde_json::{Value, json};

/// A cluster `c` with this config, and the endpoints `a` and `b`.
async fn gateway(config: Value) -> TestGateway {
    TestGateway::builder()
        .cluster(json!({ "cluster_adapter": "openai-models", "config": config }))
        .endpoint("a", guest("echo"), json!({}))
        .endpoint("b", guest("echo"), json!({}))
        .env("SERVER_KEY", "sk-server")
        .start()
        .await
}

/// A server such as vLLM that serves `b` and `new`, and is well.
fn well(seen: &Seen) -> Response<Body> {
    match seen.uri.path() {
        "/health" => airlock_tests::bytes(200, "text/plain", ""),
        "/v1/models" => {
            let model = |id: &str| json!({ "id": id, "object": "model", "owned_by": "vllm" });
            json(200, &json!({ "object": "list", "data": [model("b"), model("new")] }))
        }
        _ => json(404, &json!({})),
    }
}

type Answer = fn(&Seen) -> Response<Body>;

async fn server(answer: Answer) -> Upstream {
    Upstream::start(move |seen| async move { answer(&seen) }).await
}

fn names(list: &[Job]) -> Vec<&str> {
    list.iter().map(|job| job.models.as_str()).collect()
}

fn status_of(jobs: &Jobs) -> Value {
    serde_json::from_str::<Value>(&jobs.cluster_status).unwrap()["status"].clone()
}

#[track_caller]
fn all_stopped(jobs: &Jobs) {
    assert_eq!((names(&jobs.running), names(&jobs.stopped)), (vec![], vec!["a", "b"]));
    assert_eq!(status_of(jobs), "unavailable");
}

#[tokio::test]
async fn what_the_server_lists_runs_and_what_it_does_not_is_stopped() {
    let server = server(well).await;
    for suffix in ["", "/", "/v1", "/v1/", "/v1/chat/completions"] {
        let api_url = format!("http://{}{suffix}", server.address);
        let gateway = gateway(json!({ "api_url": api_url, "api_key_env_name": "SERVER_KEY" })).await;
        let jobs = gateway.jobs("models").await.unwrap();
        assert_eq!((names(&jobs.running), names(&jobs.stopped)), (vec!["b", "new"], vec!["a"]), "{suffix}");
        assert!(jobs.queued.is_empty() && jobs.others.is_empty());
        for job in jobs.running.iter().chain(&jobs.stopped) {
            assert_eq!((job.framework.as_str(), job.cluster.as_str()), ("api", "c"));
        }
        let extra: Value = serde_json::from_str(&jobs.running[1].extra).unwrap();
        assert_eq!(extra, json!({ "Model Status": "running" }));
        let facts: Value = serde_json::from_str(&jobs.cluster_status).unwrap();
        let expected = json!({
            "cluster": "c", "total_models": 3, "live_models": 2, "stopped_models": 1, "status": "running",
        });
        assert_eq!((facts, jobs.cache_ms), (expected, Some(10_000)));
        assert_eq!(gateway.live_instances(), 0);
    }
    for seen in server.seen() {
        assert_eq!(seen.headers["authorization"], "Bearer sk-server", "{}", seen.uri);
    }
}

#[tokio::test]
async fn a_server_that_is_not_well_runs_nothing() {
    logs();
    let sick = |seen: &Seen| match seen.uri.path() {
        "/health" => json(503, &json!({})),
        _ => well(seen),
    };
    let server = server(sick).await;
    let jobs = gateway(json!({ "api_url": server.url() })).await.jobs("models-sick").await.unwrap();
    all_stopped(&jobs);
    assert_eq!(server.only().uri.path(), "/health");
    let lines = log_of("models-sick");
    assert!(lines.iter().any(|line| line.message().contains("it answered 503")), "{lines:?}");

    let api_url = format!("http://{}/v1", refused_address());
    let jobs = gateway(json!({ "api_url": api_url })).await.jobs("models-refused").await.unwrap();
    all_stopped(&jobs);
    assert!(!jobs.cluster_status.contains("127.0.0.1"), "{}", jobs.cluster_status);
}

#[tokio::test]
async fn a_server_that_says_nothing_in_time_runs_nothing() {
    let gate = Gate::new();
    let held = gate.clone();
    let server = Upstream::start(move |_| {
        let held = held.clone();
        async move {
            held.pass().await;
            json(200, &json!({}))
        }
    })
    .await;
    let config = json!({ "api_url": server.url(), "api_request_timeout": 0.2 });
    all_stopped(&gateway(config).await.jobs("models-silent").await.unwrap());
}

/// A bought API has no health check; where the operator names one, it counts, and wherever it is.
#[tokio::test]
async fn a_health_check_counts_where_there_is_one() {
    let without = |seen: &Seen| match seen.uri.path() {
        "/health" => json(404, &json!({})),
        _ => well(seen),
    };
    let without = server(without).await;
    let jobs = gateway(json!({ "api_url": without.url() })).await.jobs("models").await.unwrap();
    assert_eq!(names(&jobs.running), ["b", "new"]);

    let health = |seen: &Seen| json(if seen.uri.path() == "/up" { 200 } else { 404 }, &json!({}));
    let health = server(health).await;
    for (path, runs) in [("/up", 2), ("/down", 0)] {
        let health_url = format!("http://{}{path}", health.address);
        let config = json!({
            "api_url": without.url(), "health_url": health_url, "api_key_env_name": "SERVER_KEY",
        });
        let jobs = gateway(config).await.jobs("models").await.unwrap();
        assert_eq!(jobs.running.len(), runs, "{path}");
    }
    // The key is for the server alone.
    assert!(health.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
}

#[tokio::test]
async fn a_list_that_is_none_is_a_clear_error() {
    let cases: [(Answer, &str); 3] = [
        (
            |seen| if seen.uri.path() == "/health" { well(seen) } else { json(401, &json!({})) },
            "answered 401",
        ),
        (|_| json(200, &json!({ "data": "b" })), "not what was expected"),
        (|_| airlock_tests::bytes(200, "text/html", "<html>"), "not what was expected"),
    ];
    for (answer, why) in cases {
        let server = server(answer).await;
        let gateway = gateway(json!({ "api_url": server.url() })).await;
        let fault = gateway.jobs("models-malformed").await.map(drop).unwrap_err();
        let Fault::Reported(error) = &fault else { panic!("{fault}") };
        assert_eq!((error.status, error.code.as_str()), (502, "upstream_bad_response"));
        let start = "the server's list of models could not be read: ";
        assert!(error.message.starts_with(start) && error.message.contains(why), "{}", error.message);
    }
}
