//! Globus Compute: chats, batches and the queue of a cluster, against a service that limits, fails and forgets.

use std::sync::Arc;

use airlock_tests::{
    FakeGlobus, GatewayBuilder, TestGateway, Work, completion, error, eventually, until, within,
};
use serde_json::{Value, json};

const ENDPOINT: &str = "6a0f3cde-0000-4000-8000-000000000001";
const FUNCTION: &str = "6a0f3cde-0000-4000-8000-000000000002";
const BATCH_ENDPOINT: &str = "6a0f3cde-0000-4000-8000-000000000003";
const BATCH_FUNCTION: &str = "6a0f3cde-0000-4000-8000-000000000004";
const QSTAT_ENDPOINT: &str = "6a0f3cde-0000-4000-8000-000000000005";
const QSTAT_FUNCTION: &str = "6a0f3cde-0000-4000-8000-000000000006";

/// Answers with what the last message said.
fn echo(arguments: &[Value]) -> Work {
    let params = &arguments[0]["model_params"];
    let messages = params["messages"].as_array().unwrap();
    let mut answer = completion();
    let message = json!({ "role": "assistant", "content": messages.last().unwrap()["content"] });
    answer["choices"] = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
    answer["params"] = params.clone();
    Work::json(&answer)
}

async fn service() -> FakeGlobus {
    FakeGlobus::start(|_, arguments| echo(arguments)).await
}

fn builder(globus: &FakeGlobus) -> GatewayBuilder {
    let config = globus.config(json!({
        "api_port": 8001, "endpoint_uuid": ENDPOINT, "function_uuid": FUNCTION,
        "batch_endpoint_uuid": BATCH_ENDPOINT, "batch_function_uuid": BATCH_FUNCTION,
    }));
    let queue = globus
        .config(json!({ "qstat_endpoint_uuid": QSTAT_ENDPOINT, "qstat_function_uuid": QSTAT_FUNCTION }));
    TestGateway::builder()
        .env("SERVICE_ACCOUNT_ID", "id")
        .env("SERVICE_ACCOUNT_SECRET", "secret-4711")
        .cluster(json!({
            "cluster_adapter": "resource_server_async.clusters.globus_compute.GlobusComputeCluster", "config": queue,
        }))
        .endpoint("m", "resource_server_async.endpoints.globus_compute.GlobusComputeEndpoint", config)
        .settings(|s| {
            s.sandbox.slots = 64;
            s.batch.poll_seconds = 1;
        })
}

fn body(text: &str) -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": text }], "temperature": 0.5 })
}

async fn chat(gateway: &TestGateway, text: &str) -> reqwest::Response {
    within(gateway.post("/v1/chat/completions", &body(text)).send()).await.unwrap()
}

async fn content(response: reqwest::Response) -> String {
    let status = response.status();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{answer}");
    answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_chat_goes_through_a_function_on_a_node() {
    let globus = service().await;
    let gateway = builder(&globus).start().await;
    let text = "hé 😀 \"quoted\"\nline";
    let answer: Value = chat(&gateway, text).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], text);
    let mut expected = body(text);
    expected["openai_endpoint"] = json!("chat/completions");
    expected["api_port"] = json!(8001);
    assert_eq!(answer["params"], expected, "what the function got");
    assert_eq!((globus.count("/token"), globus.count("/submit"), globus.count("/status")), (1, 1, 1));
    assert_eq!(gateway.live_instances(), 0);
    // The state of the endpoint is known for a minute, the token for two days.
    content(chat(&gateway, "again").await).await;
    assert_eq!((globus.count("/token"), globus.count("/submit"), globus.count("/status")), (1, 2, 1));
}

#[tokio::test]
async fn fifty_chats_at_once_stay_within_the_services_limit() {
    let globus = service().await;
    let gateway = Arc::new(builder(&globus).start().await);
    let asking: Vec<_> = (0..50)
        .map(|n| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { content(chat(&gateway, &format!("chat {n}")).await).await })
        })
        .collect();
    for (n, asking) in asking.into_iter().enumerate() {
        assert_eq!(within(asking).await.unwrap(), format!("chat {n}"), "to each its own");
    }
    assert_eq!(globus.refused(), 0);
    assert!(globus.count("/submit") < 10, "{}", globus.count("/submit"));
}

#[tokio::test]
async fn a_task_that_is_done_is_noticed_by_the_next_question() {
    let globus = service().await;
    globus.hold(true);
    let gateway = Arc::new(builder(&globus).start().await);
    let asking = {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move { content(chat(&gateway, "slow").await).await })
    };
    eventually(|| globus.count("/batch_status") == 2).await;
    globus.hold(false);
    assert_eq!(within(asking).await.unwrap(), "slow");
    assert_eq!(globus.count("/batch_status"), 3);
}

#[tokio::test]
async fn an_endpoint_that_cannot_answer_is_told_in_a_sentence() {
    let globus = service().await;
    globus.endpoint(ENDPOINT, json!({ "status": "offline" }));
    let gateway = builder(&globus).start().await;
    let told = error(chat(&gateway, "x").await, 503, "model_offline").await;
    assert!(told["message"].as_str().unwrap().contains("`m` is offline"), "{told}");
    assert_eq!(globus.count("/submit"), 0);

    let globus = service().await;
    globus.endpoint(ENDPOINT, json!({ "status": "online", "details": { "managers": 0 } }));
    let gateway = builder(&globus).start().await;
    content(chat(&gateway, "the first one starts it").await).await;
    let refused = chat(&gateway, "x").await;
    assert_eq!(refused.headers()["retry-after"], "60");
    error(refused, 503, "model_starting").await;
    assert_eq!(globus.count("/submit"), 1);
}

#[tokio::test]
async fn failures_of_the_function_are_told_as_the_backends() {
    let globus = FakeGlobus::start(|_, arguments| {
        let text = arguments[0]["model_params"]["messages"][0]["content"].as_str().unwrap().to_owned();
        match text.as_str() {
            "too long" => Work::Failed(
                "Traceback (most recent call last):\n  File \"/secret/path.py\"\nException: Unexpected error of type \
                 Exception: API request failed with status code: 400\nResponse text: {\"error\":{\"message\":\"context \
                 too long\",\"code\":\"context_length_exceeded\"}}\nResponse headers: {}"
                    .into(),
            ),
            "import" => Work::Failed("Traceback:\n  File \"/secret/path.py\"\nNameError: name 'requests'".into()),
            "pickle" => Work::Done("00\ngASVDAAAAAAAAACMCHsiYSI6IDF9lC4=\n".into()),
            "code" => Work::Done("00\nY29zCnN5c3RlbQooUydpZCcKdFIu\n".into()),
            other => Work::Done(format!("11\n{other}")),
        }
    })
    .await;
    let gateway = builder(&globus).start().await;
    for (text, status, code, says) in [
        ("too long", 400, "context_length_exceeded", "context too long"),
        ("import", 502, "task_failed", "NameError: name 'requests'"),
        ("code", 502, "upstream_bad_response", "more than data"),
        ("{", 502, "upstream_bad_response", "not JSON"),
    ] {
        let told = error(chat(&gateway, text).await, status, code).await;
        let message = told["message"].as_str().unwrap();
        assert!(message.contains(says) && !message.contains("/secret"), "{text}: {message}");
    }
    let old: Value = chat(&gateway, "pickle").await.json().await.unwrap();
    assert_eq!(old, json!({ "a": 1 }), "an endpoint from before JSON results");
}

#[tokio::test]
async fn a_service_that_is_busy_is_waited_for_as_long_as_it_says() {
    let globus = service().await;
    let gateway = builder(&globus).start().await;
    content(chat(&gateway, "warm").await).await;
    globus.be_busy(&[1, 1]);
    let start = std::time::Instant::now();
    content(chat(&gateway, "x").await).await;
    assert!(start.elapsed() >= std::time::Duration::from_secs(2), "{:?}", start.elapsed());
    globus.be_busy(&[1; 20]);
    let refused = chat(&gateway, "y").await;
    assert_eq!(refused.headers()["retry-after"], "1");
    error(refused, 503, "upstream_busy").await;
}

#[tokio::test]
async fn wrong_configurations_are_refused_clearly() {
    let globus = service().await;
    let wrong = globus.config(json!({ "api_port": 1, "endpoint_uuid": "../x", "function_uuid": FUNCTION }));
    let started = builder(&globus).endpoint("n", "globus-compute", wrong).try_start().await;
    let mistakes = started.map(drop).unwrap_err();
    assert!(
        mistakes.contains("endpoints.json:") && mistakes.contains("`endpoint_uuid`: is not a UUID"),
        "{mistakes}"
    );
    let config = json!({ "api_port": 1, "endpoint_uuid": ENDPOINT, "function_uuid": FUNCTION });
    let started = TestGateway::builder().endpoint("m", "globus-compute", config).try_start().await;
    let mistakes = started.map(drop).unwrap_err();
    assert!(mistakes.contains("SERVICE_ACCOUNT_ID is not set"), "{mistakes}");
}

#[tokio::test]
async fn a_batch_is_a_task_whose_result_is_stored_when_it_is_read() {
    let globus = FakeGlobus::start(|function, arguments| {
        assert_eq!(function, BATCH_FUNCTION);
        let [order] = arguments else { panic!("{arguments:?}") };
        assert_eq!(order["username"], "test");
        Work::json(&json!({ "results_file": "/out/r", "order": order["model_params"], "num_responses": 2 }))
    })
    .await;
    globus.hold(true);
    let gateway = builder(&globus).start().await;
    let order = json!({ "model": "m", "input_file": "/in", "output_folder_path": "/out" });
    let submitted = gateway.post("/resource_server/c/api/v1/batches", &order).send().await.unwrap();
    assert_eq!(submitted.status(), 200);
    let batch: Value = submitted.json().await.unwrap();
    assert!(batch["task_ids"].as_str().unwrap().starts_with("task-"), "{batch}");
    let path = format!("/resource_server/v1/batches/{}", batch["batch_id"].as_str().unwrap());
    let get =
        async |path: &str| gateway.request("GET", path).send().await.unwrap().json::<Value>().await.unwrap();
    eventually(|| globus.count("/batch_status") > 0).await;
    assert_eq!(get(&path).await, "pending");
    globus.hold(false);
    until(async || get(&path).await == "completed").await;
    for _ in 0..2 {
        let result = get(&format!("{path}/result")).await;
        let result: Value = serde_json::from_str(result.as_str().unwrap()).unwrap();
        assert_eq!(
            result["order"],
            json!({ "model": "m", "input_file": "/in", "output_folder_path": "/out" })
        );
    }
}

#[tokio::test]
async fn the_queue_is_read_and_models_without_nodes_are_disconnected() {
    let queue = json!({
        "running": [
            { "Models": "m", "Framework": "api", "Cluster": "c", "Model Status": "running", "Job ID": "1", "Host Name": "x" },
            { "Job ID": "malformed" },
        ],
        "queued": [{ "Models": "m", "Framework": "api", "Cluster": "c", "Model Status": "queued", "Walltime": "1:00" }],
        "others": [],
        "private-batch-running": [{ "Models": "m", "Framework": "api", "Cluster": "c", "Batch ID": "b" }],
        "private-batch-queued": [],
        "cluster_status": { "free_nodes": 3 },
    });
    let worker = queue.clone();
    let globus = FakeGlobus::start(move |function, arguments| {
        assert_eq!((function, arguments), (QSTAT_FUNCTION, &[][..]));
        Work::json(&worker)
    })
    .await;
    globus.endpoint(ENDPOINT, json!({ "status": "online", "details": { "managers": 0 } }));
    let gateway = builder(&globus).start().await;
    let jobs = async || {
        let response = gateway.request("GET", "/resource_server/c/jobs").send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json::<Value>().await.unwrap()
    };
    let found = jobs().await;
    let [running] = found["running"].as_array().unwrap().as_slice() else { panic!("{found}") };
    let mut expected = queue["running"][0].clone();
    expected["Model Status"] = json!("disconnected");
    assert_eq!(*running, expected);
    assert_eq!(found["queued"], queue["queued"]);
    assert_eq!(found["private_batch_running"], queue["private-batch-running"]);
    assert_eq!(found["cluster_status"], json!({ "free_nodes": 3 }));
    jobs().await;
    assert_eq!(globus.count("/submit"), 1, "kept for a minute");

    globus.endpoint(QSTAT_ENDPOINT, json!({ "status": "offline" }));
    let gateway = builder(&globus).start().await;
    let refused = gateway.request("GET", "/resource_server/c/jobs").send().await.unwrap();
    let told = error(refused, 503, "failed_to_get_cluster_jobs").await;
    assert!(told["message"].as_str().unwrap().contains("compute endpoint is offline"), "{told}");
}
