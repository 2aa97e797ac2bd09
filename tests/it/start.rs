//! What keeps a gateway from starting, in the words that its operator reads.

use std::path::Path;

use airlock::store::{Store, StoreError};
use airlock_tests::{GatewayBuilder, TestGateway, binary_path, guest, target_dir, within};
use serde_json::{Value, json};

async fn refused(builder: GatewayBuilder) -> String {
    match builder.try_start().await {
        Ok(_) => panic!("it started"),
        Err(text) => text,
    }
}

fn direct(config: Value) -> GatewayBuilder {
    TestGateway::builder().endpoint("m", "direct-api", config)
}

/// The number of the line of the written fixture that holds `key`.
fn line_of(fixture: &Value, key: &str) -> usize {
    format!("{fixture:#}").lines().position(|l| l.contains(key)).unwrap() + 1
}

/// Endpoints as the kit writes them, to find lines in.
fn written(model: &str, adaptor: impl AsRef<Path>, config: &Value) -> Value {
    json!([{
        "model": "resource_server_async.endpoint", "pk": 1,
        "fields": { "cluster": "c", "framework": "api", "model": model, "endpoint_adapter": adaptor.as_ref(), "config": config },
    }])
}

#[tokio::test]
async fn a_missing_key_variable_is_named_with_its_place_and_remedy() {
    let config = json!({ "api_url": "http://127.0.0.1:1/v1", "api_key_env_name": "PROVIDER_KEY" });
    let line = line_of(&written("m", "direct-api", &config), "api_key_env_name");
    let cases = [
        direct(config.clone()),
        direct(config.clone()).env("PROVIDER_KEY", ""),
        direct(config.clone()).env("provider_key", "x"),
    ];
    for builder in cases {
        let text = refused(builder).await;
        assert!(text.contains(&format!("endpoints.json:{line}:")), "line {line}: {text}");
        assert!(text.contains("PROVIDER_KEY is not set"), "{text}");
        assert!(text.contains("export PROVIDER_KEY="), "{text}");
    }
    assert!(direct(config).env("PROVIDER_KEY", "sk-1").try_start().await.is_ok());
}

#[tokio::test]
async fn a_key_that_cannot_stand_in_a_header_is_refused_and_not_shown() {
    let config = json!({ "api_url": "http://127.0.0.1:1/v1", "api_key_env_name": "PROVIDER_KEY" });
    let text = refused(direct(config).env("PROVIDER_KEY", "sk-se\ncret")).await;
    assert!(text.contains("PROVIDER_KEY cannot be used"), "{text}");
    assert!(!text.contains("sk-se"), "{text}");
}

/// What the gateway's own checks let pass, the adaptor's own finds.
#[tokio::test]
async fn an_adaptors_own_check_is_told_with_the_line_of_the_key() {
    let url = "http://127.0.0.1:1/v1";
    let cases = [
        (json!({ "api_url": url, "api_request_timeout": -1 }), "api_request_timeout"),
        (json!({ "api_url": url, "api_request_timeout": "soon" }), "api_request_timeout"),
        (json!({ "api_url": url, "extra_body": [1] }), "extra_body"),
        (json!({ "api_url": url, "extra_headers": { "a b": "c" } }), "a b"),
        (json!({ "api_url": format!("{url}#x") }), "api_url"),
        (json!({ "api_url": "ftp://x/" }), "api_url"),
        (json!({ "api_url": "http://user:pass@127.0.0.1/" }), "api_url"),
        (json!({ "api_url": 7 }), "api_url"),
    ];
    for (config, key) in cases {
        let line = line_of(&written("m", "direct-api", &config), key);
        let text = refused(direct(config.clone())).await;
        assert!(text.contains(&format!("endpoints.json:{line}:")), "{config}, line {line}: {text}");
        assert!(text.contains(key), "{config}: {text}");
    }
    let text = refused(direct(json!({}))).await;
    assert!(text.contains("api_url") && text.contains("missing"), "{text}");
}

#[tokio::test]
async fn an_adaptor_that_fails_its_check_keeps_the_gateway_from_starting() {
    let builder = TestGateway::builder()
        .endpoint("reports", guest("errors"), json!({ "at": "validate", "message": "the moon is wrong" }))
        .endpoint("traps", guest("trap"), json!({ "at": "validate" }));
    let text = refused(builder).await;
    assert!(text.contains("c-api-reports: the moon is wrong"), "{text}");
    assert!(text.contains("c-api-traps: the adaptor failed while it checked"), "{text}");
}

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let url = "http://127.0.0.1:1/v1";
    let builder = TestGateway::builder()
        .endpoint("a", "direct-api", json!({ "api_url": url, "api_request_timeout": 0 }))
        .endpoint("b", "direct-api", json!({ "api_url": url, "api_key_env_name": "MISSING_ONE" }))
        .endpoint("d", "direct-api", json!({ "api_url": url, "api_key_env_name": "MISSING_TWO" }))
        .endpoint("e", guest("echo"), json!({}));
    let text = refused(builder).await;
    for mistake in ["c-api-a", "api_request_timeout", "MISSING_ONE", "MISSING_TWO"] {
        assert!(text.contains(mistake), "{mistake}: {text}");
    }
    let places = text.lines().filter(|l| l.contains("endpoints.json:")).count();
    assert_eq!(places, 3, "{text}");

    // In the fixtures themselves, over several files.
    let builder = TestGateway::builder()
        .endpoint("a", "direct-apy", json!({ "api_url": url }))
        .endpoint("b", "missing.wasm", json!({ "api_url": url }))
        .cluster(json!({ "cluster_adapter": "nonsense", "openai_endpoints": ["chat"] }));
    let text = refused(builder).await;
    for mistake in
        ["clusters.json:", "endpoints.json:", "nonsense", "missing.wasm", "did you mean \"direct-api\"?"]
    {
        assert!(text.contains(mistake), "{mistake}: {text}");
    }
}

/// The two mistakes that stand in FIRST's own manual.
#[tokio::test]
async fn broken_json_is_told_with_its_place() {
    let cases = [
        ("[\n  \"chat/completions\"\n  \"completions\"\n]", "clusters.json:2:21", "comma"),
        ("[\n  \"completions\",\n  \"embeddings\",\n]", "clusters.json:3:15", "trailing comma"),
    ];
    for (text, place, says) in cases {
        let told =
            refused(direct(json!({ "api_url": "http://127.0.0.1:1/v1" })).file("clusters.json", text)).await;
        assert!(told.contains(place) && told.contains(says), "{told}");
    }
}

#[tokio::test]
async fn a_missing_fixtures_folder_is_named_and_an_empty_one_will_do() {
    let env = airlock::config::Env::default();
    let folder = tempfile::tempdir().unwrap();
    let settings =
        airlock::config::Settings { fixtures: folder.path().join("nowhere"), ..Default::default() };
    let error = airlock::gateway::check(&settings, &env, None).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("cannot read the folder"), "{error}");
    let settings = airlock::config::Settings { fixtures: folder.path().to_path_buf(), ..settings };
    let catalog = airlock::gateway::check(&settings, &env, None).await.unwrap();
    assert_eq!(catalog.endpoints().count(), 0);
}

#[tokio::test]
async fn missing_bundled_adaptors_are_told_how_to_build() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_path_buf();
    let builder = direct(json!({ "api_url": "http://127.0.0.1:1/v1" })).settings(|s| s.adaptors = Some(path));
    let text = refused(builder).await;
    assert!(text.contains("direct-api.wasm") && text.contains("./just build-adaptors"), "{text}");
}

#[tokio::test]
async fn an_unreadable_certificate_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pem");
    let broken = folder.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nnonsense!\n-----END CERTIFICATE-----\n").unwrap();
    for file in [missing, broken] {
        let name = file.display().to_string();
        let builder =
            direct(json!({ "api_url": "http://127.0.0.1:1/v1" })).settings(|s| s.egress.ca_file = Some(file));
        let text = refused(builder).await;
        assert!(text.contains(&name), "{text}");
    }
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let error = Store::open(&file).await.map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::Folder { path, .. } if path.ends_with("a-file")), "{error}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("airlock.sqlite3"), "this is not a database, but text").unwrap();
    let error = Store::open(folder.path()).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Folder { .. }), "{error}");
}

#[tokio::test]
async fn a_data_folder_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a b", "100%", "a%20b", "who?", "#1", "é", "a:b@c", ".."] {
        let data = folder.path().join("in").join(name);
        Store::open(&data).await.unwrap().close().await;
        assert!(data.join("airlock.sqlite3").is_file(), "{name}");
    }
}

#[tokio::test]
async fn keys_are_stored_as_digests_in_a_private_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = Store::open(&data).await.unwrap();
    let key = store.create_key(&airlock::store::KeyOrder::named("one")).await.unwrap();
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let secret = key.secret.as_bytes();
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(files.len() > 1, "the database and its log: {files:?}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(secret.len()).any(|w| w == secret), "{}", file.display());
    }
    store.close().await;
}

/// Another allocator would serve without the pool's limits, so there is none to fall back to.
#[tokio::test]
async fn a_pool_that_does_not_fit_into_the_address_space_is_told_at_start() {
    let folder = TestGateway::builder().endpoint("m", guest("echo"), json!({})).write_only();
    let line = format!(
        "ulimit -v 6000000; exec {} check --fixtures fixtures --adaptors {}",
        binary_path().display(),
        target_dir().join("adaptors").display()
    );
    let mut shell = tokio::process::Command::new("sh");
    let output = within(shell.args(["-c", &line]).current_dir(folder.path()).output()).await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("256 slots") && told.contains("ulimit -v"), "{told}");
}
