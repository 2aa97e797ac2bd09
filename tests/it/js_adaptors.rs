//! Adaptors in JavaScript: the examples of `adaptors/examples/js`, through the real gateway. `scripts/js-adaptors` builds them.

use airlock_sandbox::Fault;
use airlock_tests::{
    TestGateway, Upstream, bytes, chat_body, chunks, completion, error, events, json as answer, log_of, logs,
    sse, within,
};
use serde_json::{Value, json};

use crate::{chains::chain, js_engine::component};

/// A backend of `direct-api`'s kind with a status page that says this.
async fn backend(status: Value) -> Upstream {
    Upstream::start(move |request| {
        let reply = match request.uri.path() {
            "/status" => answer(200, &status),
            _ if request.json()["stream"] == true => sse(chunks([STREAM])),
            _ => answer(200, &completion()),
        };
        async move { reply }
    })
    .await
}

const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Grüße \"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"an 🦀\"}}]}\n\ndata: [DONE]\n\n";

fn config(backend: &Upstream) -> Value {
    json!({ "api_url": backend.url(), "status_url": format!("http://{}/status", backend.address) })
}

#[tokio::test]
async fn the_endpoint_checks_the_status_changes_the_input_and_forwards() {
    let Some(adaptor) = component("examples", "custom-endpoint-js") else { return };
    logs();
    let backend = backend(json!("running")).await;
    let gateway = TestGateway::with(adaptor, config(&backend)).await;
    let response = within(gateway.chat().header("x-request-id", "js-endpoint").send()).await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), completion());
    let [status, chat] = &backend.seen()[..] else { panic!("{:?}", backend.seen()) };
    assert_eq!((status.method.as_str(), chat.uri.path()), ("GET", "/v1/chat/completions"));
    let mut expected = chat_body(false);
    expected["stream"] = json!(false);
    expected["temperature"] = json!(0);
    assert_eq!(chat.json(), expected);
    let lines = log_of("js-endpoint");
    assert!(lines.iter().any(|line| line.message() == "calling the model m"), "{lines:?}");
    let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
    assert_eq!(text, STREAM);
}

#[tokio::test]
async fn the_endpoint_leaves_a_backend_alone_that_does_not_run() {
    let Some(adaptor) = component("examples", "custom-endpoint-js") else { return };
    let cases = [
        (json!("starting"), 503, "model_not_running", "the model m is starting: try again later"),
        (json!([]), 502, "upstream_bad_response", "the model's status could not be read: it is no text"),
    ];
    for (status, code, name, says) in cases {
        let backend = backend(status).await;
        let gateway = TestGateway::with(adaptor.clone(), config(&backend)).await;
        for request in [gateway.chat(), gateway.chat_stream()] {
            let told = error(within(request.send()).await.unwrap(), code, name).await;
            assert_eq!(told["message"], says);
        }
        assert!(backend.seen().iter().all(|request| request.uri.path() == "/status"));
    }
}

#[tokio::test]
async fn what_a_status_server_says_when_it_fails_is_told_in_a_sentence() {
    let Some(adaptor) = component("examples", "custom-endpoint-js") else { return };
    let cases = [
        (bytes(500, "text/plain", "no"), "the server answered 500"),
        (bytes(200, "text/html", "<html>"), "the answer is not JSON: "),
    ];
    for (page, says) in cases {
        let page = std::sync::Mutex::new(Some(page));
        let status = Upstream::start(move |_| {
            let page = page.lock().unwrap().take().unwrap();
            async move { page }
        })
        .await;
        let url = format!("http://{}/", status.address);
        let gateway = TestGateway::with(adaptor.clone(), json!({ "api_url": url, "status_url": url })).await;
        let told = error(within(gateway.chat().send()).await.unwrap(), 502, "upstream_bad_response").await;
        let message = told["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("the model's status could not be read: {says}")), "{message}");
    }
}

#[tokio::test]
async fn a_configuration_that_lacks_a_key_is_refused_when_it_is_loaded() {
    let Some(adaptor) = component("examples", "custom-endpoint-js") else { return };
    let cases = [
        (json!({ "api_url": "http://127.0.0.1:1/v1" }), "config key `status_url`: is missing"),
        (json!({ "status_url": "http://127.0.0.1:1/" }), "config key `api_url`: is missing"),
        (
            json!({ "status_url": "http://127.0.0.1:1/", "api_url": "http://127.0.0.1:1/", "speaks": "chats" }),
            "config key `speaks`: must be a list of operations",
        ),
    ];
    for (config, says) in cases {
        let started = TestGateway::builder().endpoint("m", adaptor.clone(), config).try_start().await;
        let problem = started.map(drop).unwrap_err();
        assert!(problem.contains(says), "{problem}");
    }
}

#[tokio::test]
async fn the_streaming_endpoint_changes_each_event() {
    let Some(adaptor) = component("examples", "custom-streaming-js") else { return };
    let backend = backend(Value::Null).await;
    let gateway = TestGateway::with(adaptor, config(&backend)).await;
    let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
    let shouted: Vec<&str> = events(&text);
    assert_eq!(
        shouted,
        [
            r#"{"choices":[{"delta":{"content":"GRÜSSE "}}]}"#,
            r#"{"choices":[{"delta":{"content":"AN 🦀"}}]}"#,
            "[DONE]"
        ]
    );
    let whole: Value = within(gateway.chat().send()).await.unwrap().json().await.unwrap();
    assert_eq!(whole, completion());
}

#[tokio::test]
async fn the_cluster_hands_on_what_its_backend_reports() {
    let Some(adaptor) = component("examples", "custom-cluster-js") else { return };
    let report = json!({
        "running": [{ "Models": "m,n", "Framework": "vllm", "Cluster": "c", "Model Version": 4 }],
        "queued": [], "stopped": [{ "Models": "o", "Framework": "vllm" }],
        "private-batch-running": [{}], "cluster_status": { "free_nodes": 3 },
    });
    for (report, failure) in
        [(report, None), (json!({ "running": [1] }), Some("`running` is no list of jobs"))]
    {
        let status = Upstream::json(report).await;
        let config = json!({ "status_url": format!("http://{}/", status.address) });
        let cluster = json!({ "cluster_adapter": adaptor, "config": config });
        let gateway = TestGateway::builder().cluster(cluster).start().await;
        match (gateway.jobs("js-cluster").await, failure) {
            (Ok(jobs), None) => {
                let [running] = jobs.running.as_slice() else { panic!("{jobs:?}") };
                assert_eq!(
                    (running.models.as_str(), running.extra.as_str()),
                    ("m,n", r#"{"Model Version":4}"#)
                );
                assert_eq!(
                    (jobs.stopped.as_slice()[0].cluster.as_str(), jobs.private_batch_running.len()),
                    ("N/A", 1)
                );
                assert_eq!(
                    (jobs.cluster_status.as_str(), jobs.cache_ms),
                    (r#"{"free_nodes":3}"#, Some(30_000))
                );
            }
            (Err(Fault::Reported(error)), Some(failure)) => {
                assert!(error.message.ends_with(failure), "{}", error.message);
            }
            (other, _) => panic!("{other:?}"),
        }
    }
}

/// In front of an adaptor in Rust, one in JavaScript that forwards, and one that makes events.
#[tokio::test]
async fn the_middleware_stands_in_front_of_any_adaptor() {
    let Some(front) = component("examples", "custom-middleware-js") else { return };
    let behind =
        ["custom-endpoint-js", "custom-streaming-js"].map(|name| component("examples", name).unwrap());
    for next in ["direct-api".into(), behind[0].clone(), behind[1].clone()] {
        let backend = backend(json!("running")).await;
        let mut config = config(&backend);
        config["system_prompt"] = json!("Sei höflich.");
        config["refused_word"] = json!("xyzzy");
        let gateway = chain(&[front.clone(), next.clone()], config).start().await;
        let whole: Value = within(gateway.chat().send()).await.unwrap().json().await.unwrap();
        assert_eq!(whole, completion(), "{}", next.display());
        let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
        let is_shouting = next == behind[1];
        assert_eq!(text.contains("GRÜSSE"), is_shouting, "{text}");
        assert_eq!(events(&text).len(), 3, "{text}");
        for chat in backend.seen().iter().filter(|request| request.uri.path() != "/status") {
            assert_eq!(chat.json()["messages"][0], json!({ "role": "system", "content": "Sei höflich." }));
        }
        let before = backend.seen().len();
        let mut body = chat_body(false);
        body["messages"][0]["content"] = json!("say xyzzy");
        let told = error(
            within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap(),
            400,
            "word_refused",
        );
        assert_eq!(told.await["message"], "this service does not talk about \"xyzzy\"");
        assert_eq!(backend.seen().len(), before);
        gateway.idle().await;
    }
}

#[tokio::test]
async fn the_middleware_and_what_is_behind_it_both_check_the_configuration() {
    let Some(front) = component("examples", "custom-middleware-js") else { return };
    let cases = [
        (json!({ "api_url": "http://127.0.0.1:1/v1" }), "config key `system_prompt`: is missing"),
        (json!({ "system_prompt": "p" }), "config key `api_url`: is missing"),
    ];
    for (config, says) in cases {
        let started = chain(&[front.clone(), "direct-api".into()], config).try_start().await;
        let problem = started.map(drop).unwrap_err();
        assert!(problem.contains(says), "{problem}");
    }
}
