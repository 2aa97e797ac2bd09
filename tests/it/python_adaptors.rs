//! The examples in Python, in the gateway: they do what they show, and what the examples in Rust do.

use std::{fs, path::Path};

use airlock_sandbox::Fault;
use airlock_tests::{
    TestGateway, Upstream, bytes, chat_body, chunks, completion, error, events, log_of, logs, python,
    python_example, sse, stream_error, within,
};
use serde_json::{Value, json};

/// A gateway with the example endpoint in front of this backend, whose status server says this.
async fn custom_endpoint(backend: &Upstream, status: Value) -> Option<(TestGateway, Upstream)> {
    let adaptor = python_example("custom-endpoint")?;
    let status = Upstream::json(status).await;
    let config = json!({ "api_url": backend.url(), "status_url": format!("http://{}/", status.address) });
    Some((TestGateway::with(adaptor, config).await, status))
}

#[tokio::test]
async fn the_python_endpoint_checks_the_status_changes_the_input_and_forwards() {
    logs();
    let backend = Upstream::json(completion()).await;
    let Some((gateway, status)) = custom_endpoint(&backend, json!("running")).await else { return };
    let response = within(gateway.chat().header("x-request-id", "python-endpoint").send()).await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), completion());
    let sent = backend.only();
    assert_eq!((sent.uri.path(), status.only().method.as_str()), ("/v1/chat/completions", "GET"));
    let mut expected = chat_body(false);
    expected["temperature"] = json!(0);
    assert_eq!(sent.json(), expected);
    let lines = log_of("python-endpoint");
    assert!(lines.iter().any(|line| line.message() == "calling the model m"), "{lines:?}");
    assert_eq!(gateway.ledger.one().await.usage.unwrap().total_tokens, 7);
}

#[tokio::test]
async fn the_python_endpoint_forwards_streams() {
    let text = "data: {\"choices\":[]}\n\ndata: [DONE]\n\n";
    let backend = Upstream::start(move |_| async move { sse(chunks([text])) }).await;
    let Some((gateway, _status)) = custom_endpoint(&backend, json!({ "status": "Live" })).await else {
        return;
    };
    assert_eq!(within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap(), text);
    assert_eq!(backend.only().json()["stream"], true);
    gateway.idle().await;
}

#[tokio::test]
async fn the_python_endpoint_leaves_a_backend_alone_that_does_not_run() {
    let backend = Upstream::json(completion()).await;
    let Some((gateway, _status)) = custom_endpoint(&backend, json!("starting")).await else { return };
    for request in [gateway.chat(), gateway.chat_stream()] {
        let told = error(within(request.send()).await.unwrap(), 503, "model_not_running").await;
        assert_eq!(told["message"], "the model m is starting: try again later");
    }
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn a_wrong_configuration_is_told_with_its_key() {
    let Some(adaptor) = python_example("custom-endpoint") else { return };
    let config = json!({ "api_url": "http://127.0.0.1:9/v1" });
    let refused = TestGateway::builder().endpoint("m", adaptor, config).try_start().await.err().unwrap();
    assert!(refused.contains("config key `status_url`: is missing"), "{refused}");
}

/// A chunk of a streamed chat.
fn chunk(text: &str, finish: Option<&str>) -> Value {
    json!({ "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": finish }] })
}

#[tokio::test]
async fn the_python_stream_changes_event_by_event() {
    let Some(adaptor) = python_example("custom-streaming") else { return };
    let said = [chunk("über ", None), chunk("all", None), chunk("", Some("stop"))];
    let text: String =
        said.iter().map(|event| format!("data: {event}\n\n")).chain(["data: [DONE]\n\n".into()]).collect();
    // Cut in the middle of events and of a letter.
    let pieces: Vec<Vec<u8>> = text.as_bytes().chunks(7).map(<[u8]>::to_vec).collect();
    let backend = Upstream::start(move |_| {
        let pieces = pieces.clone();
        async move { sse(chunks(pieces)) }
    })
    .await;
    let gateway = TestGateway::with(adaptor, json!({ "api_url": backend.url(), "note": "(end)" })).await;
    let got = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
    let got = events(&got);
    assert_eq!(got.last(), Some(&"[DONE]"));
    let got: Vec<Value> = got[..3].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert_eq!(got, [chunk("ÜBER ", None), chunk("ALL", None), chunk(" (end)", Some("stop"))]);
    gateway.idle().await;
}

#[tokio::test]
async fn the_python_stream_hands_on_a_refusal_and_an_end_without_words() {
    let Some(adaptor) = python_example("custom-streaming") else { return };
    let backend = Upstream::start(|seen| async move {
        match seen.uri.path() {
            "/busy/chat/completions" => bytes(429, "text/plain", "slow down"),
            _ => sse(chunks([format!("data: {}\n\ndata: {{no JSON\n\n", chunk("a", None))])),
        }
    })
    .await;
    let busy = json!({ "api_url": format!("http://{}/busy", backend.address) });
    let gateway = TestGateway::with(&adaptor, busy).await;
    let told = error(within(gateway.chat_stream().send()).await.unwrap(), 429, "upstream_error").await;
    assert_eq!(told["message"], "the backend answered 429: slow down");
    let gateway = TestGateway::with(&adaptor, json!({ "api_url": backend.url() })).await;
    let text = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
    stream_error(&text, "upstream_bad_response");
    gateway.idle().await;
}

#[tokio::test]
async fn the_python_cluster_hands_on_what_its_backend_reports() {
    let Some(adaptor) = python_example("custom-cluster") else { return };
    let report = json!({
        "running": [{ "Models": "m,n", "Framework": "vllm", "Cluster": "c", "Model Version": 4 }],
        "stopped": [{ "Models": "o", "Framework": "vllm", "Cluster": "c" }],
        "cluster_status": { "free_nodes": 3 },
    });
    for (answer, is_report) in [(report, true), (json!([]), false)] {
        let status = Upstream::json(answer).await;
        let config = json!({ "status_url": format!("http://{}/", status.address) });
        let cluster = json!({ "cluster_adapter": adaptor, "config": config });
        let gateway = TestGateway::builder().cluster(cluster).start().await;
        match gateway.jobs("python-cluster").await {
            Ok(jobs) if is_report => {
                let [running] = jobs.running.as_slice() else { panic!("{jobs:?}") };
                assert_eq!(
                    (running.models.as_str(), running.extra.as_str()),
                    ("m,n", r#"{"Model Version":4}"#)
                );
                assert_eq!((jobs.queued.len(), jobs.stopped.len(), jobs.cache_ms), (0, 1, Some(30_000)));
                assert_eq!(jobs.cluster_status, r#"{"free_nodes":3}"#);
            }
            Err(Fault::Reported(error)) if !is_report => {
                let start = "the cluster's status could not be read: it is a list";
                assert!(error.message.starts_with(start), "{}", error.message);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// In front of an adaptor in Rust, and of one in Python.
#[tokio::test]
async fn the_python_middleware_stands_in_front_of_adaptors_in_any_language() {
    let (Some(middleware), Some(endpoint)) =
        (python_example("custom-middleware"), python_example("custom-endpoint"))
    else {
        return;
    };
    let backend = Upstream::json(completion()).await;
    let status = Upstream::json(json!("running")).await;
    let config = json!({
        "api_url": backend.url(), "status_url": format!("http://{}/", status.address),
        "system_prompt": "Be brief.", "refused_word": "xyzzy",
    });
    for last in [Path::new("direct-api"), endpoint.as_path()] {
        let list = json!({ "endpoint_adapter": [&middleware, last] });
        let gateway =
            TestGateway::builder().endpoint("m", "direct-api", config.clone()).fields(list).start().await;
        let before = backend.seen().len();
        let response = within(gateway.chat().send()).await.unwrap();
        assert_eq!(response.json::<Value>().await.unwrap(), completion());
        let sent = backend.seen()[before..].first().unwrap().json();
        assert_eq!(sent["messages"][0], json!({ "role": "system", "content": "Be brief." }));
        assert_eq!(sent["messages"][1], chat_body(false)["messages"][0]);
        let mut body = chat_body(false);
        body["messages"][0]["content"] = json!("say xyzzy");
        let refused = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
        error(refused, 400, "word_refused").await;
        assert_eq!(backend.seen().len(), before + 1);
        gateway.idle().await;
    }
}

/// The SDK's own tests, and those of every example in a copy as `cp -rL` makes it.
#[test]
fn the_sdk_and_the_examples_pass_their_own_tests() {
    let Some(mut command) = python() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let sdk = root.join("adaptors/python");
    let path = format!("{}:{}", sdk.display(), sdk.join("first").display());
    let run = |command: &mut std::process::Command| {
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    run(command.args(["-m", "unittest"]).env("PYTHONPATH", path).current_dir(root.join("tests/python")));
    for kind in ["endpoint", "streaming", "cluster", "middleware"] {
        let folder = tempfile::tempdir().unwrap();
        copy(&root.join("adaptors/examples/python").join(kind), folder.path());
        let mut command = python().unwrap();
        run(command.args(["-m", "unittest"]).env("PYTHONPATH", "airlock-sdk").current_dir(folder.path()));
    }
}

/// Links are followed.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}
