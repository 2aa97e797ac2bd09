//! Adaptors of FIRST, ported: the files in `tests/porting/` as projects, and their components in the gateway.

use std::path::{Path, PathBuf};

use airlock_tests::{
    Airlock, Finished, TestGateway, Upstream, bytes, chat_body, chunks, completion, error, log_of, logs,
    python, python_example, sse, within,
};
use serde_json::{Value, json};

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("porting").join(name).canonicalize().unwrap()
}

async fn port(folder: &Path, file: &Path, more: &[&str]) -> Finished {
    let mut arguments = vec!["adaptor", "port", file.to_str().unwrap()];
    arguments.extend(more);
    // Python may be a script that looks for itself.
    let text =
        |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok()).unwrap_or_default();
    let [path, home] = ["PATH", "HOME"].map(text);
    Airlock::run_with(folder, &arguments, &[("PATH", &path), ("HOME", &home)]).await
}

#[tokio::test]
async fn a_file_of_first_becomes_a_project_and_stays_as_it_is() {
    if python().is_none() {
        return;
    }
    for (file, class) in [
        ("custom_endpoint.py", "CustomEndpoint"),
        ("custom_cluster.py", "CustomCluster"),
        ("metis_endpoint.py", "ManifestEndpoint"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let done = port(folder.path(), &source(file), &["--name", "ported-one", "--dir", "made"]).await;
        assert_eq!((done.code, done.stdout.as_str()), (0, "made\n"), "{done:?}");
        assert!(done.stderr.contains(&format!("{class} of ")), "{}", done.stderr);
        assert!(!done.stderr.contains("error:") && !done.stderr.contains("warning:"), "{}", done.stderr);
        let read = |name: &str| std::fs::read_to_string(folder.path().join("made").join(name)).unwrap();
        assert_eq!(read(file), std::fs::read_to_string(source(file)).unwrap());
        assert!(read("adaptor.py").contains(&format!("export({class})")));
        assert!(read("adaptor.toml").contains("name = \"ported-one\""));
        let fixture: Value = serde_json::from_str(&read("fixture.json")).unwrap();
        let config = &fixture[0]["fields"]["config"];
        let expected = file != "custom_endpoint.py";
        assert_eq!(config["status_url"].is_string(), expected, "{fixture}");
        assert!(read("airlock-sdk/wit/worlds.wit").contains("endpoint-adaptor"));
    }
}

#[tokio::test]
async fn what_cannot_be_carried_is_told_with_its_line_and_a_remedy() {
    if python().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let done = port(folder.path(), &source("not_ported.py"), &[]).await;
    assert_eq!((done.code, done.stdout.as_str()), (0, "not-ported\n"), "{done:?}");
    for (line, what, remedy) in [
        (4, "`subprocess` has nothing behind it", "there are no other programs"),
        (6, "`requests` is not there", "use `httpx`"),
        (7, "`django.conf` is not there", "endpoint's `config`"),
        (8, "`httpx` has no `AsyncHTTPTransport` here", "it has "),
        (10, "`from ..models import …`", "in full"),
        (15, "`numpy` is not there", "compiled for another machine"),
        (15, "`numpy` is imported within a function", "at the top of the file"),
        (16, "`os.environ['TOKEN']`", "api_key_env_name"),
        (17, "the header `Authorization`", "take it out"),
        (17, "`os.getenv('API_KEY')`", "api_key_env_name"),
        (18, "`open(…)`", "there are no files"),
        (20, "`RequestLog.objects`", "there is no database"),
    ] {
        let told = format!("not_ported.py:{line}: {what}");
        let at = done.stderr.find(&told).unwrap_or_else(|| panic!("{told} is missing:\n{}", done.stderr));
        let advice = done.stderr[at..].lines().nth(1).unwrap();
        assert!(advice.contains(remedy), "{told}: {advice}");
    }
    assert!(done.stderr.contains("It needs 12 change(s)"), "{}", done.stderr);
}

#[tokio::test]
async fn what_is_no_adaptor_leaves_nothing_behind() {
    if python().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (text, says) in [
        ("class A: pass\n", "no class here extends BaseEndpoint"),
        ("def f(:\n", ":1: this is not Python"),
        ("class A(BaseEndpoint): pass\nclass B(BaseEndpoint): pass\n", "A, B: take some out"),
    ] {
        let file = folder.path().join("some_file.py");
        std::fs::write(&file, text).unwrap();
        let done = port(folder.path(), &file, &[]).await;
        assert_eq!(done.code, 1);
        assert!(done.stderr.contains(says), "{}", done.stderr);
        assert!(!folder.path().join("some-file").exists());
    }
    std::fs::create_dir_all(folder.path().join("full/of")).unwrap();
    let done = port(folder.path(), &source("custom_endpoint.py"), &["--dir", "full"]).await;
    assert!(done.code == 1 && done.stderr.contains("is not empty"), "{done:?}");
    let done = port(folder.path(), Path::new("no_such_file.py"), &[]).await;
    assert!(done.code == 1 && done.stderr.contains("there is no such file"), "{done:?}");
}

#[tokio::test]
async fn the_manuals_endpoint_runs_as_it_is() {
    logs();
    let Some(adaptor) = python_example("ported-custom-endpoint") else { return };
    let backend = Upstream::json(completion()).await;
    for (status, runs) in [("running", true), ("stopped", false)] {
        let page = Upstream::json(json!({ "status": status })).await;
        let config = json!({ "api_url": backend.url(), "status_url": format!("http://{}/", page.address) });
        let gateway = TestGateway::with(&adaptor, config).await;
        let response = within(gateway.chat().header("x-request-id", "ported-endpoint").send()).await.unwrap();
        if runs {
            assert_eq!(response.json::<Value>().await.unwrap(), completion());
            let mut expected = chat_body(false);
            expected["stream"] = json!(false);
            assert_eq!(backend.only().json(), expected);
            let lines = log_of("ported-endpoint");
            assert!(lines.iter().any(|line| line.message() == "Making API call to model m"), "{lines:?}");
        } else {
            error(response, 503, "model_not_running").await;
            assert_eq!(backend.seen().len(), 1);
        }
        gateway.idle().await;
    }
}

#[tokio::test]
async fn the_manuals_cluster_runs_as_it_is() {
    let Some(adaptor) = python_example("ported-custom-cluster") else { return };
    let job = json!({ "Models": "m", "Framework": "api", "Cluster": "c", "Model Status": "running" });
    let status = Upstream::json(json!({ "running": [job], "queued": [], "stopped": [] })).await;
    let config = json!({ "status_url": format!("http://{}/", status.address) });
    let gateway =
        TestGateway::builder().cluster(json!({ "cluster_adapter": adaptor, "config": config })).start().await;
    let jobs = gateway.jobs("ported-cluster").await.unwrap();
    assert_eq!((jobs.running[0].models.as_str(), jobs.cache_ms), ("m", None));
    assert_eq!(jobs.running[0].extra, r#"{"Model Status":"running"}"#);
}

/// A manifest, a check of what is live, and the URL that goes with the model: with httpx, Django's cache, pydantic and asyncio.
#[tokio::test]
async fn an_endpoint_behind_a_manifest_runs_as_it_is() {
    let Some(adaptor) = python_example("ported-metis-endpoint") else { return };
    let chunk = json!({ "choices": [{ "index": 0, "delta": { "content": "hi" } }] });
    let text = format!("data: {chunk}\n\ndata: [DONE]\n\n");
    let backend = Upstream::start(move |seen| {
        let text = text.clone();
        async move {
            let mut answer = completion();
            answer["system_fingerprint"] = json!("of the backend");
            match (seen.uri.path(), seen.json()["stream"].as_bool()) {
                ("/live/chat/completions", Some(true)) => sse(chunks([text])),
                ("/live/chat/completions", _) => airlock_tests::json(200, &answer),
                _ => bytes(404, "text/plain", "not here"),
            }
        }
    })
    .await;
    let live = json!({ "model": "other", "status": "Live", "experts": ["m"], "url": format!("http://{}/live", backend.address) });
    let manifest = Upstream::json(json!({ "a": live, "b": { "model": "n", "status": "Stopped" } })).await;
    let config = json!({ "api_url": backend.url(), "status_url": format!("http://{}/", manifest.address) });
    let builder =
        TestGateway::builder().endpoint("m", &adaptor, config.clone()).endpoint("n", &adaptor, config);
    let gateway = builder.start().await;
    let response = within(gateway.chat().send()).await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), completion());
    let streamed = within(gateway.chat_stream().send()).await.unwrap().text().await.unwrap();
    assert!(
        streamed.contains(&format!("data: {chunk}\n")) && streamed.ends_with("data: [DONE]\n\n"),
        "{streamed}"
    );
    let mut body = chat_body(false);
    body["model"] = json!("n");
    let refused = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
    error(refused, 503, "model_not_running").await;
    assert_eq!((backend.seen().len(), manifest.seen().len()), (2, 1), "the manifest is kept for a minute");
    gateway.idle().await;
}
