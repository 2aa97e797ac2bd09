//! Settings and fixtures that change while the real binary serves.

use std::path::Path;

use airlock_tests::{Airlock, TestGateway, Upstream, completion, target_dir, until};
use serde_json::{Value, json};

/// The real binary over a folder of its own.
struct Serving {
    airlock: Airlock,
    url: String,
    key: String,
    folder: tempfile::TempDir,
}

impl Serving {
    async fn start(upstream: &Upstream, settings: &str) -> Self {
        let folder = TestGateway::builder()
            .endpoint("one", "direct-api", json!({ "api_url": upstream.url() }))
            .write_only();
        std::fs::write(folder.path().join("airlock.toml"), settings).unwrap();
        let key = Airlock::run(folder.path(), &["keys", "create", "test"]).await.stdout.trim().to_owned();
        let adaptors = target_dir().join("adaptors");
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--adaptors", adaptors.to_str().unwrap()];
        let mut airlock = Airlock::start(folder.path(), &arguments, &[]);
        let url = airlock.line().await.strip_prefix("url=").unwrap().to_owned();
        assert_eq!(airlock.line().await, "ready");
        Self { airlock, url, key, folder }
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).unwrap();
    }

    async fn models(&self) -> Vec<String> {
        let asked = reqwest::Client::new().get(format!("{}/models", self.url)).bearer_auth(&self.key).send();
        let list: Value = asked.await.unwrap().json().await.unwrap();
        let models = list["data"].as_array().unwrap().iter();
        models.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn chat(&self) -> u16 {
        let body = json!({ "model": "one", "messages": [{ "role": "user", "content": "hi" }] });
        let url = format!("{}/chat/completions", self.url);
        let asked = reqwest::Client::new().post(url).bearer_auth(&self.key).json(&body).send();
        asked.await.unwrap().status().as_u16()
    }
}

fn endpoint(model: &str, upstream: &Upstream) -> String {
    json!([{
        "model": "resource_server_async.endpoint",
        "fields": {
            "cluster": "c", "framework": "api", "model": model, "endpoint_adapter": "direct-api",
            "config": { "api_url": upstream.url() },
        },
    }])
    .to_string()
}

#[tokio::test]
async fn files_that_change_are_read_again_and_bad_ones_change_nothing() {
    let upstream = Upstream::json(completion()).await;
    let serving = Serving::start(&upstream, "").await;
    assert_eq!(serving.models().await, ["one"]);
    serving.write("fixtures/more.json", &endpoint("two", &upstream));
    until(async || serving.models().await == ["one", "two"]).await;

    let bad = endpoint("three", &upstream).replace("\"framework\"", "\"framewrok\"");
    serving.write("fixtures/more.json", &bad);
    assert_eq!(serving.chat().await, 200);
    serving.write("airlock.toml", "workers = 3\n[maintenance]\nc = \"New cooling.\"\n");
    // The settings are good, but they come with a fixture that is not: all of it waits.
    tokio::time::timeout(
        std::time::Duration::from_secs(3),
        until(async || serving.models().await != ["one", "two"]),
    )
    .await
    .expect_err("a bad file changes nothing");
    assert_eq!(serving.chat().await, 200);
    serving.write("fixtures/more.json", &endpoint("three", &upstream));
    until(async || serving.models().await == ["one", "three"]).await;
    assert_eq!(serving.chat().await, 503);
    serving.airlock.signal("TERM").await;
    let told = serving.airlock.finished().await;
    assert_eq!(told.code, 0, "{}", told.stderr);
    for part in ["more.json:1:", "framewrok", "what was read before goes on", "\"names\":\"workers\""] {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }
}

#[tokio::test]
async fn a_hangup_reads_them_again_where_nobody_watches() {
    let upstream = Upstream::json(completion()).await;
    let serving = Serving::start(&upstream, "watch_files = false\n").await;
    serving.write("fixtures/more.json", &endpoint("two", &upstream));
    serving.write("airlock.toml", "watch_files = false\nmaintenence = 1\n");
    serving.airlock.signal("HUP").await;
    serving.write("airlock.toml", "watch_files = false\nkeep_alive_seconds = 1\n");
    until(async || {
        serving.airlock.signal("HUP").await;
        serving.models().await == ["one", "two"]
    })
    .await;
    serving.airlock.signal("TERM").await;
    let told = serving.airlock.finished().await;
    assert_eq!(told.code, 0, "{}", told.stderr);
}

/// A component in a file that is another one now.
#[tokio::test]
async fn a_component_that_changes_is_loaded_again() {
    let upstream = Upstream::json(completion()).await;
    let serving = Serving::start(&upstream, "").await;
    let place = serving.folder.path().join("fixtures/own.wasm");
    let copy = |from: &Path| assert!(std::fs::copy(from, &place).unwrap() > 0);
    copy(&airlock_tests::guest("trap"));
    let fixture = endpoint("own", &upstream).replace("\"direct-api\"", "\"own.wasm\"");
    serving.write("fixtures/more.json", &fixture);
    until(async || serving.models().await == ["one", "own"]).await;
    let ask = async || {
        let body = json!({ "model": "own", "messages": [{ "role": "user", "content": "hi" }] });
        let url = format!("{}/chat/completions", serving.url);
        reqwest::Client::new().post(url).bearer_auth(&serving.key).json(&body).send().await.unwrap().status()
    };
    assert_eq!(ask().await, 502);
    copy(&target_dir().join("adaptors/direct-api.wasm"));
    until(async || ask().await == 200).await;
}
