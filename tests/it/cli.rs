//! The command line, through the real binary.

use std::path::Path;

use airlock::store::{Change, Expect, NewAudit, Store};
use airlock_tests::{
    Airlock, Database, TestGateway, example, target_dir, tenant_cluster, tenant_endpoint, until,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with good `fixtures/`, for an endpoint whose backend nobody asks.
fn good() -> TempDir {
    TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": "http://127.0.0.1:9/v1" }))
        .write_only()
}

/// Arguments, and where the bundled adaptors are.
fn with_adaptors(arguments: &[&str]) -> Vec<String> {
    let adaptors = target_dir().join("adaptors").display().to_string();
    arguments.iter().map(|a| (*a).to_owned()).chain(["--adaptors".to_owned(), adaptors]).collect()
}

#[tokio::test]
async fn check_says_that_all_is_well_on_standard_error() {
    let folder = good();
    let done = Airlock::run(folder.path(), &with_adaptors(&["check", "--fixtures", "fixtures"])).await;
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    assert!(done.stderr.contains("1 cluster(s), 1 endpoint(s)"), "{done:?}");
    assert!(!folder.path().join("airlock-data").exists(), "check makes no store");
    // The bundled adaptors are found beside the binary's folder.
    let done = Airlock::run(folder.path(), &["check"]).await;
    assert_eq!(done.code, 0, "{done:?}");
}

#[tokio::test]
async fn check_names_every_mistake_and_fails() {
    let folder = TestGateway::builder()
        .endpoint("m", "direct-apy", json!({ "api_url": "http://127.0.0.1:9/v1" }))
        .file("clusters.json", "[\n  1,\n]")
        .write_only();
    let done = Airlock::run(folder.path(), &with_adaptors(&["check", "--fixtures", "fixtures"])).await;
    assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
    for part in
        ["error: ", "fixtures/clusters.json:2:4", "fixtures/endpoints.json:", "did you mean", "2 mistakes"]
    {
        assert!(done.stderr.contains(part), "{part}: {done:?}");
    }
    let done = Airlock::run(folder.path(), &["check", "--fixtures", "nowhere"]).await;
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("nowhere"), "{done:?}");
}

#[tokio::test]
async fn key_variables_come_from_the_environment() {
    let config = json!({ "api_url": "http://127.0.0.1:9/v1", "api_key_env_name": "PROVIDER_KEY" });
    let folder = TestGateway::builder().endpoint("m", "direct-api", config).write_only();
    let arguments = with_adaptors(&["check", "--fixtures", "fixtures"]);
    let done = Airlock::run(folder.path(), &arguments).await;
    assert!(done.code == 1 && done.stderr.contains("PROVIDER_KEY is not set"), "{done:?}");
    let done = Airlock::run_with(folder.path(), &arguments, &[("PROVIDER_KEY", "sk-secret-1")]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!format!("{done:?}").contains("sk-secret-1"));
}

#[tokio::test]
async fn settings_come_from_the_file_the_variables_and_the_flags_and_mistakes_are_named() {
    let folder = good();
    let run =
        async |env: &[(&str, &str)]| Airlock::run_with(folder.path(), &with_adaptors(&["check"]), env).await;
    let file = |text: &str| std::fs::write(folder.path().join("airlock.toml"), text).unwrap();
    let cases = [
        ("slotz = 7\n", "slotz", "airlock.toml"),
        ("[sandbox]\nslots = \"many\"\n", "slots", "airlock.toml"),
        ("[sandbox]\nslots = 0\n", "sandbox.slots must be at least 1", ""),
        ("listen = \"nowhere\"\n", "listen", "airlock.toml"),
        ("listen = \n", "airlock.toml", ""),
    ];
    for (text, says, place) in cases {
        file(text);
        let done = run(&[]).await;
        assert!(done.code == 1 && done.stdout.is_empty(), "{text}: {done:?}");
        assert!(done.stderr.contains(says) && done.stderr.contains(place), "{text}: {done:?}");
    }
    file("fixtures = \"nowhere\"\n");
    assert!(run(&[]).await.stderr.contains("nowhere"));
    assert_eq!(run(&[("AIRLOCK_FIXTURES", "fixtures")]).await.code, 0);
    let done = run(&[("AIRLOCK_FIXTURES", "fixtures"), ("AIRLOCK_SANDBOX__SLOTS", "0")]).await;
    assert!(done.code == 1 && done.stderr.contains("sandbox.slots"), "{done:?}");
    let done = run(&[("AIRLOCK_FIXTURE", "fixtures")]).await;
    assert!(done.code == 1 && done.stderr.contains("fixture"), "{done:?}");
    let done = Airlock::run(folder.path(), &["check", "--config", "missing.toml"]).await;
    assert!(done.code == 1 && done.stderr.contains("missing.toml does not exist"), "{done:?}");
}

#[tokio::test]
async fn wrong_usage_is_told_with_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 5] =
        [&["nonsense"], &[], &["serve", "--nonsense"], &["keys"], &["serve", "--listen", "nowhere"]];
    for arguments in cases {
        let done = Airlock::run(folder.path(), arguments).await;
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{arguments:?}: {done:?}");
        assert!(done.stderr.contains("--help"), "{done:?}");
    }
    let help = Airlock::run(folder.path(), &["--help"]).await;
    assert!(help.code == 0 && help.stdout.contains("serve"), "{help:?}");
    let version = Airlock::run(folder.path(), &["--version"]).await;
    assert!(version.code == 0 && version.stdout.starts_with("airlock "), "{version:?}");
}

async fn keys(folder: &Path, arguments: &[&str]) -> airlock_tests::Finished {
    let all: Vec<&str> =
        ["keys"].into_iter().chain(arguments.iter().copied()).chain(["--data", "d"]).collect();
    Airlock::run(folder, &all).await
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let made = keys(folder.path(), &["create", "alice"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let secret = made.stdout.trim_end();
    assert!(secret.starts_with("sk-airlock-") && secret.len() == 54, "{made:?}");
    assert_eq!(made.stdout, format!("{secret}\n"), "the key, and nothing else");

    let again = keys(folder.path(), &["create", "alice"]).await;
    assert_eq!((again.code, again.stdout.as_str()), (1, ""));
    assert!(again.stderr.contains("an active key named \"alice\""), "{again:?}");
    for name in ["", " ", "a\nb", &"x".repeat(101)] {
        let refused = keys(folder.path(), &["create", name]).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{name:?}");
    }

    let list = keys(folder.path(), &["list"]).await;
    let fields: Vec<&str> = list.stdout.trim_end().split('\t').collect();
    assert_eq!((fields.len(), fields[1], fields[3]), (9, "alice", "active"), "{list:?}");
    assert_eq!(fields[4..], ["default", "user", "inference", "never", "-"]);
    assert!(!list.stdout.contains(secret));
    let list = keys(folder.path(), &["list", "--output", "json"]).await;
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!((&list[0]["name"], &list[0]["scopes"]), (&json!("alice"), &json!(["inference"])), "{list}");

    let revoked = keys(folder.path(), &["revoke", fields[0]]).await;
    assert_eq!((revoked.code, revoked.stdout.as_str()), (0, ""), "{revoked:?}");
    let twice = keys(folder.path(), &["revoke", "alice"]).await;
    assert!(twice.code == 1 && twice.stderr.contains("no active key"), "{twice:?}");
    assert_eq!(keys(folder.path(), &["create", "alice"]).await.code, 0, "the name is free again");
    let list = keys(folder.path(), &["list"]).await;
    assert_eq!(list.stdout.lines().count(), 2, "{list:?}");
    assert!(list.stdout.contains("revoked "), "{list:?}");
}

/// Puts documents into the store of `keys`.
async fn there_are(folder: &Path, documents: &[(&str, &str, &str)]) {
    let store = Store::open(&folder.join("d")).await.unwrap();
    for document in documents {
        let [tenant, kind, name] = <[&str; 3]>::from(*document).map(str::to_owned);
        let body = json!({ "role": "user" }).to_string();
        let [actor, action, detail] = ["test", "create", "{}"].map(str::to_owned);
        let audit = NewAudit {
            tenant: tenant.clone(),
            actor,
            action,
            kind: kind.clone(),
            name: name.clone(),
            detail,
        };
        let change = Change::Put { tenant, kind, name, body, expect: Expect::Any };
        store.apply(&[change], &audit).await.unwrap();
    }
    store.close().await;
}

#[tokio::test]
async fn a_key_is_made_for_a_tenant_a_role_scopes_and_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |line: &str| keys(folder.path(), &line.split(' ').collect::<Vec<_>>()).await;
    let nowhere = run("create k --tenant t").await;
    assert!(nowhere.code == 1 && nowhere.stderr.contains("airlock tenant create"), "{nowhere:?}");
    there_are(folder.path(), &[("t", "tenant", "t"), ("u", "tenant", "u"), ("t", "member", "ann")]).await;
    for line in [
        "create k --tenant t --role developer --scope read --scope write --expires-in 30d",
        "create k --tenant u --role admin --expires-in 45s",
    ] {
        assert_eq!(run(line).await.code, 0, "{line}");
    }
    let list = run("list").await.stdout;
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split('\t').collect()).collect();
    let of = |tenant: &str| rows.iter().find(|row| row[4] == tenant).unwrap();
    assert_eq!(of("t")[3..7], ["active", "t", "developer", "read,write"]);
    assert_eq!(of("u")[3..7], ["active", "u", "admin", "inference"]);
    assert_eq!(run("create m --tenant t --member ann").await.code, 0);
    assert!(run("list").await.stdout.contains("\tann\n"));
    let nobody = run("create n --tenant u --member ann").await;
    assert!(nobody.code == 1 && nobody.stderr.contains("no member \"ann\""), "{nobody:?}");
    let seconds = |text: &str| text.parse::<i64>().unwrap();
    assert_eq!(seconds(of("t")[7]) - seconds(of("t")[2]), 2_592_000, "{list}");

    for (line, says) in [
        ("create k --role root", "user, developer, admin, operator"),
        ("create k --scope all", "inference, read, write"),
        ("create k --expires-in soon", "30d"),
    ] {
        let refused = run(line).await;
        assert!(refused.code == 2 && refused.stderr.contains(says), "{refused:?}");
    }
    let elsewhere = run("revoke k").await;
    assert!(elsewhere.code == 1 && elsewhere.stderr.contains("in the tenant \"default\""), "{elsewhere:?}");
    assert_eq!(run("revoke k --tenant t").await.code, 0);
    assert_eq!(run("revoke k --tenant u").await.code, 0);
}

/// A password in an address is nobody's business but the server's.
#[tokio::test]
async fn the_address_of_a_database_is_never_shown() {
    let folder = good();
    let nobody = "postgres://me:s3cret@127.0.0.1:1/airlock?connect=s3cret";
    let wrong = [nobody, "mysql://me:s3cret@h/d", "s3cret", "postgres://me:s3cret@127.0.0.1:1/airlock"];
    for url in wrong {
        let flag = Airlock::run(folder.path(), &["keys", "list", "--database", url]).await;
        let variable = [("AIRLOCK_DATABASE", url)];
        let variable = Airlock::run_with(folder.path(), &["keys", "list"], &variable).await;
        std::fs::write(folder.path().join("db.toml"), format!("database = {url:?}\n")).unwrap();
        let file = Airlock::run(folder.path(), &["keys", "list", "--config", "db.toml"]).await;
        for done in [flag, variable, file] {
            assert!(done.code == 1 && done.stderr.contains("database"), "{done:?}");
            assert!(!format!("{done:?}").contains("s3cret"), "{done:?}");
        }
    }
}

#[tokio::test]
async fn serve_says_where_answers_and_ends_with_the_signal() {
    let folder = good();
    let key = Airlock::run(folder.path(), &["keys", "create", "k", "--data", "d"]).await.stdout;
    for signal in ["TERM", "INT"] {
        let arguments =
            with_adaptors(&["serve", "--fixtures", "fixtures", "--data", "d", "--listen", "127.0.0.1:0"]);
        let mut serving = Airlock::start(folder.path(), &arguments, &[]);
        let url = serving.line().await;
        let url = url.strip_prefix("url=").unwrap().to_owned();
        assert_eq!(serving.line().await, "ready");
        let list =
            reqwest::Client::new().get(format!("{url}/models")).bearer_auth(key.trim()).send().await.unwrap();
        assert_eq!(list.json::<Value>().await.unwrap()["data"][0]["id"], "m");

        // A key of another process counts while it serves.
        let late = Airlock::run(folder.path(), &["keys", "create", signal, "--data", "d"]).await.stdout;
        until(async || {
            let request = reqwest::Client::new().get(format!("{url}/models")).bearer_auth(late.trim());
            request.send().await.unwrap().status() == 200
        })
        .await;

        serving.signal(signal).await;
        let done = serving.finished().await;
        assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
        assert!(done.stderr.contains("stopping"), "{done:?}");
        assert!(!done.stderr.contains(key.trim()), "{done:?}");
    }
}

/// Confined, as all that runs the binary here.
#[tokio::test]
async fn serve_and_keys_use_the_same_server() {
    let Some(database) = Database::postgres().await else { return };
    let folder = good();
    let env = [("AIRLOCK_DATABASE", database.url().unwrap().secret())];
    let made = Airlock::run_with(folder.path(), &["keys", "create", "k"], &env).await;
    assert_eq!(made.code, 0, "{made:?}");
    let arguments = with_adaptors(&["serve", "--data", "d", "--listen", "127.0.0.1:0"]);
    let serving = &mut Airlock::start(folder.path(), &arguments, &env);
    let url = serving.line().await.strip_prefix("url=").unwrap().to_owned();
    assert_eq!(serving.line().await, "ready");
    let models = async |key: &str| {
        let request = reqwest::Client::new().get(format!("{url}/models")).bearer_auth(key);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(models(made.stdout.trim()).await, 200);
    let revoked = Airlock::run_with(folder.path(), &["keys", "revoke", "k"], &env).await;
    assert_eq!(revoked.code, 0, "{revoked:?}");
    until(async || models(made.stdout.trim()).await == 401).await;
    assert!(!folder.path().join("d/airlock.sqlite3").exists());
}

#[tokio::test]
async fn a_port_in_use_is_told_with_a_remedy() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = good();
    let serve = with_adaptors(&["serve", "--fixtures", "fixtures", "--data", "d", "--listen", &address]);
    let demo = with_adaptors(&["demo", "--data", "demo", "--listen", &address]);
    for arguments in [serve, demo] {
        let done = Airlock::run(folder.path(), &arguments).await;
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
        assert!(done.stderr.contains(&address) && done.stderr.contains("--listen"), "{done:?}");
    }
}

#[tokio::test]
async fn the_demo_works_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = with_adaptors(&["demo", "--data", "demo", "--listen", "127.0.0.1:0", "--pace", "0"]);
    // All of it is in its folder, whatever else is set.
    let elsewhere = [("AIRLOCK_DATABASE", "postgres://nobody@127.0.0.1:1/none")];
    let mut demo = Airlock::start(folder.path(), &arguments, &elsewhere);
    let url = demo.line().await.strip_prefix("url=").unwrap().to_owned();
    let key = demo.line().await.strip_prefix("key=").unwrap().to_owned();
    assert_eq!(demo.line().await, "ready");
    let body = json!({ "model": "demo-model", "stream": true, "messages": [{ "role": "user", "content": "Hello!" }] });
    let request =
        reqwest::Client::new().post(format!("{url}/chat/completions")).bearer_auth(&key).json(&body);
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    demo.signal("INT").await;
    let done = demo.finished().await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("curl -N http://127.0.0.1:") && done.stderr.contains(&key), "{done:?}");
}

/// Whoever writes adaptors gets a key that pushes them, and a model server that they may call.
#[tokio::test]
async fn the_demo_for_developers_takes_their_adaptors() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        with_adaptors(&["demo", "--develop", "--data", "demo", "--listen", "127.0.0.1:0", "--pace", "0"]);
    let mut demo = Airlock::start(folder.path(), &arguments, &[]);
    let url = demo.line().await.strip_prefix("url=").unwrap().to_owned();
    let key = demo.line().await.strip_prefix("key=").unwrap().to_owned();
    let models = demo.line().await.strip_prefix("models=").unwrap().to_owned();
    assert_eq!(demo.line().await, "ready");
    let status = models.replace("/v1", "/status");
    let endpoint =
        tenant_endpoint("mine", "my-model", "mine", json!({ "api_url": models, "status_url": status }));
    for (file, kind, fields) in
        [("clusters", "cluster", tenant_cluster("mine")), ("endpoints", "endpoint", endpoint)]
    {
        let entry = json!([{ "model": format!("resource_server_async.{kind}"), "pk": 1, "fields": fields }]);
        std::fs::write(folder.path().join(format!("{file}.json")), entry.to_string()).unwrap();
    }
    let env = [("AIRLOCK_URL", url.strip_suffix("/v1").unwrap()), ("AIRLOCK_KEY", &key)];
    let component = example("custom-endpoint").display().to_string();
    let push = ["adaptor", "push", &component, "--name", "mine"];
    for arguments in [&push[..], &["apply", "clusters.json", "endpoints.json"]] {
        let done = Airlock::run_with(folder.path(), arguments, &env).await;
        assert_eq!(done.code, 0, "{done:?}");
    }
    let chat = json!({ "model": "my-model", "messages": [{ "role": "user", "content": "Hello!" }] });
    let request =
        reqwest::Client::new().post(format!("{url}/chat/completions")).bearer_auth(&key).json(&chat);
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(text.contains("I am the demo model my-model"), "{text}");
}
