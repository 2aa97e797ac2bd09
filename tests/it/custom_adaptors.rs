//! The examples in `adaptors/examples/`, which authors begin with: they do what they show.

use airlock_sandbox::Fault;
use airlock_tests::{TestGateway, Upstream, completion, error, example, log_of, logs, sse};
use serde_json::{Value, json};

/// A gateway with the example endpoint in front of this backend, whose status server says this.
async fn custom_endpoint(backend: &Upstream, status: Value) -> (TestGateway, Upstream) {
    let status = Upstream::json(status).await;
    let config = json!({ "api_url": backend.url(), "status_url": format!("http://{}/", status.address) });
    (TestGateway::with(example("custom-endpoint"), config).await, status)
}

#[tokio::test]
async fn the_example_endpoint_checks_the_status_changes_the_input_and_calls_the_direct_api() {
    logs();
    let backend = Upstream::json(completion()).await;
    let (gateway, status) = custom_endpoint(&backend, json!("running")).await;
    let response = gateway.chat().header("x-request-id", "custom-endpoint").send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), completion());
    let sent = backend.only();
    assert_eq!((sent.uri.path(), status.only().method.as_str()), ("/v1/chat/completions", "GET"));
    let mut expected = airlock_tests::chat_body(false);
    expected["stream"] = json!(false);
    expected["temperature"] = json!(0);
    assert_eq!(sent.json(), expected);
    let lines = log_of("custom-endpoint");
    assert!(lines.iter().any(|line| line.message() == "calling the model m"), "{lines:?}");
}

#[tokio::test]
async fn the_example_endpoint_streams() {
    let text = "data: {\"choices\":[]}\n\ndata: [DONE]\n\n";
    let backend = Upstream::start(move |_| async move { sse(airlock_tests::chunks([text])) }).await;
    let (gateway, _status) = custom_endpoint(&backend, json!("running")).await;
    assert_eq!(gateway.chat_stream().send().await.unwrap().text().await.unwrap(), text);
    assert_eq!(backend.only().json()["stream"], true);
}

#[tokio::test]
async fn the_example_endpoint_leaves_a_backend_alone_that_does_not_run() {
    let backend = Upstream::json(completion()).await;
    let (gateway, _status) = custom_endpoint(&backend, json!("starting")).await;
    let told = error(gateway.chat().send().await.unwrap(), 503, "model_not_running").await;
    assert_eq!(told["message"], "the model m is starting: try again later");
    let (gateway, _status) = custom_endpoint(&backend, json!({ "status": "running" })).await;
    let told = error(gateway.chat().send().await.unwrap(), 502, "upstream_bad_response").await;
    assert!(told["message"].as_str().unwrap().starts_with("the model's status could not be read"), "{told}");
    assert!(backend.seen().is_empty());
}

/// The report of the manual's example, with a field of the backend's own.
fn report() -> Value {
    json!({
        "running": [{ "Models": "m,n", "Framework": "vllm", "Cluster": "c", "Model Version": 4 }],
        "queued": [], "stopped": [{ "Models": "o", "Framework": "vllm", "Cluster": "c" }],
        "cluster_status": { "free_nodes": 3 },
    })
}

#[tokio::test]
async fn the_example_cluster_hands_on_what_its_backend_reports() {
    let answers: [(Value, Option<&str>); 2] = [
        (report(), None),
        (json!([]), Some("the cluster's status could not be read: the answer is not what was expected")),
    ];
    for (answer, failure) in answers {
        let status = Upstream::json(answer).await;
        let config = json!({ "status_url": format!("http://{}/", status.address) });
        let cluster = json!({ "cluster_adapter": example("custom-cluster"), "config": config });
        let gateway = TestGateway::builder().cluster(cluster).start().await;
        match (gateway.jobs("custom-cluster").await, failure) {
            (Ok(jobs), None) => {
                let [running] = jobs.running.as_slice() else { panic!("{jobs:?}") };
                assert_eq!((running.models.as_str(), running.framework.as_str()), ("m,n", "vllm"));
                assert_eq!(running.extra, r#"{"Model Version":4}"#);
                assert_eq!((jobs.queued.len(), jobs.stopped.len()), (0, 1));
                assert_eq!(
                    (jobs.cluster_status.as_str(), jobs.cache_ms),
                    (r#"{"free_nodes":3}"#, Some(30_000))
                );
            }
            (Err(Fault::Reported(error)), Some(failure)) => {
                assert!(error.message.starts_with(failure), "{}", error.message);
            }
            (other, _) => panic!("{other:?}"),
        }
    }
}

/// As short as what they are ported from.
#[test]
fn the_examples_fit_on_a_page() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../adaptors/examples/rust");
    let mut examples = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path().join("src/lib.rs");
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 60, "{}: {lines} lines", file.display());
        examples += 1;
    }
    assert!(examples >= 4, "{examples} examples: is this still their folder?");
}
