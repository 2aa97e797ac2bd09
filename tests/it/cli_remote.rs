//! The commands that speak to a running gateway: the real binary on both sides.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use airlock_tests::{
    Airlock, Authority, Finished, OciRegistry, Upstream, adaptor, chat_with, completion, json as answer,
    oci::component, refused_address, target_dir, tenant_cluster, tenant_endpoint, within,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A gateway with a tenant `t`, and keys for it.
pub(crate) struct Running {
    folder: TempDir,
    pub(crate) url: String,
    operator: String,
    pub(crate) developer: String,
    _airlock: Airlock,
}

pub(crate) async fn gateway() -> Running {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("fixtures")).unwrap();
    let order = ["keys", "create", "op", "--role", "operator", "--scope", "read", "--scope", "write"];
    let made = Airlock::run(folder.path(), &[&order[..], &["--data", "data"]].concat()).await;
    assert_eq!(made.code, 0, "{made:?}");
    let adaptors = target_dir().join("adaptors").display().to_string();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", "data", "--adaptors", &adaptors];
    let env = [
        ("AIRLOCK_MASTER_KEY", &*"07".repeat(32)),
        ("AIRLOCK_EGRESS__ALLOW_NETWORKS", "[\"127.0.0.0/8\"]"),
        ("AIRLOCK_SANDBOX__SLOTS", "8"),
        ("AIRLOCK_LOG", "off"),
    ];
    let mut airlock = Airlock::start(folder.path(), &arguments, &env);
    let url = airlock.line().await.strip_prefix("url=").unwrap().to_owned();
    assert_eq!(airlock.line().await, "ready");
    let operator = made.stdout.trim().to_owned();
    let mut running = Running { folder, url, operator, developer: String::new(), _airlock: airlock };
    running.operator(&["tenant", "create", "t"]).await.good();
    let scopes = ["--scope", "read", "--scope", "write", "--scope", "inference"];
    let order = ["keys", "create", "dev", "--role", "developer", "--tenant", "t", "--url", &running.url];
    let made = running.operator(&[&order[..], &scopes].concat()).await.good();
    running.developer = made.stdout.trim().to_owned();
    running
}

impl Running {
    async fn operator(&self, arguments: &[&str]) -> Finished {
        self.with_key(&self.operator, arguments).await
    }

    /// The tenant is not named: the key sees one.
    pub(crate) async fn developer(&self, arguments: &[&str]) -> Finished {
        self.with_key(&self.developer, arguments).await
    }

    async fn with_key(&self, key: &str, arguments: &[&str]) -> Finished {
        let env = [("AIRLOCK_URL", &*self.url), ("AIRLOCK_KEY", key)];
        Airlock::run_with(self.folder.path(), arguments, &env).await
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    async fn chat(&self, model: &str) -> u16 {
        let url = format!("{}/chat/completions", self.url);
        let request = reqwest::Client::new().post(url).bearer_auth(&self.developer).json(&chat_with(model));
        within(request.send()).await.unwrap().status().as_u16()
    }

    /// Fixture files of a model `m` behind the adaptor `mine`.
    fn define(&self, api_url: &str) {
        let entry =
            |kind: &str, fields: Value| json!([{ "model": kind, "pk": 1, "fields": fields }]).to_string();
        let endpoint = tenant_endpoint("c", "m", "mine", json!({ "api_url": api_url }));
        self.write("endpoints.json", entry("resource_server_async.endpoint", endpoint));
        self.write("clusters.json", entry("resource_server_async.cluster", tenant_cluster("c")));
    }
}

trait Outcome: Sized {
    fn good(self) -> Self;
    fn refused(self, says: &[&str]) -> Self;
}

impl Outcome for Finished {
    #[track_caller]
    fn good(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stderr, self.stdout);
        self
    }

    #[track_caller]
    fn refused(self, says: &[&str]) -> Self {
        assert_eq!(self.code, 1, "{}\n{}", self.stderr, self.stdout);
        for part in says {
            assert!(self.stderr.contains(part), "{part}:\n{}", self.stderr);
        }
        self
    }
}

fn mine(folder: &Path, component: &str) -> String {
    std::fs::copy(adaptor(component), folder.join("mine.wasm")).unwrap();
    "mine.wasm".to_owned()
}

#[tokio::test]
async fn from_push_to_the_first_chat_it_takes_less_than_ten_seconds_and_no_restart() {
    let backend = Upstream::start(|_| async { answer(200, &completion()) }).await;
    let gateway = gateway().await;
    gateway.define(&backend.url());
    let file = mine(gateway.folder.path(), "direct-api");
    let started = Instant::now();
    let pushed = gateway.developer(&["adaptor", "push", &file]).await.good();
    let applied = gateway.developer(&["apply", "endpoints.json", "clusters.json"]).await.good();
    assert_eq!(gateway.chat("m").await, 200);
    let took = started.elapsed();
    eprintln!("from push to the first chat: {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    for part in
        ["adaptor mine of t", "sha256:", "✓ component", "✓ interfaces", "✓ compilation", "it may", "live: "]
    {
        assert!(pushed.stdout.contains(part), "{part}: {}", pushed.stdout);
    }
    assert_eq!(applied.stdout, "cluster c: created\nendpoint c-api-m: created\n");

    let again = gateway.developer(&["apply", "endpoints.json", "clusters.json"]).await.good();
    assert_eq!(again.stdout, "cluster c: unchanged\nendpoint c-api-m: unchanged\n");
    gateway.define("http://127.0.0.1:9/v1");
    let changed = gateway.developer(&["apply", "endpoints.json", "clusters.json"]).await.good();
    assert_eq!(changed.stdout, "cluster c: unchanged\nendpoint c-api-m: replaced\n");
    let route = gateway.developer(&["route", "m"]).await.good().stdout;
    assert!(route.contains("own endpoints") && route.contains("c-api-m"), "{route}");
}

#[tokio::test]
async fn versions_are_tried_out_rolled_out_and_rolled_back() {
    let gateway = gateway().await;
    let folder = gateway.folder.path();
    let live = async || {
        let shown = gateway.developer(&["adaptor", "show", "mine", "--output", "json"]).await.good();
        serde_json::from_str::<Value>(&shown.stdout).unwrap()["spec"].clone()
    };
    gateway.developer(&["adaptor", "push", &mine(folder, "direct-api")]).await.good();
    let first = live().await["live"].clone();
    let tried = ["adaptor", "push", &*mine(folder, "direct-api-wasi"), "--canary", "25", "-o", "json"];
    let tried: Value = serde_json::from_str(&gateway.developer(&tried).await.good().stdout).unwrap();
    let second = tried["report"]["digest"].as_str().unwrap().to_owned();
    assert_eq!(live().await["canary"], json!({ "version": second, "percent": 25 }));
    gateway.developer(&["adaptor", "rollout", "mine", &second[..12]]).await.good();
    assert_eq!((&live().await["live"], &live().await["previous"]), (&json!(second), &first));
    let shown = gateway.developer(&["adaptor", "show", "mine"]).await.good().stdout;
    assert!(shown.contains("live") && shown.contains("before") && shown.contains(&second[..12]), "{shown}");
    let back = gateway.developer(&["adaptor", "rollback", "mine"]).await.good().stdout;
    assert!(back.starts_with("live: "), "{back}");
    assert_eq!(live().await["live"], first);
    gateway.developer(&["adaptor", "rollback", "mine"]).await.refused(&["no earlier version"]);
    gateway.developer(&["adaptor", "delete", "mine"]).await.good();
    gateway.developer(&["adaptor", "show", "mine"]).await.refused(&["no adaptor `mine`"]);
}

#[tokio::test]
async fn a_project_is_built_and_pushed_under_its_name_and_with_its_configuration() {
    let gateway = gateway().await;
    std::fs::create_dir(gateway.folder.path().join("project")).unwrap();
    mine(gateway.folder.path(), "system-prompt");
    let manifest = "name = \"my-project\"\ncomponent = \"made.wasm\"\nwatch = []\n[build]\ncommand = [\"cp\", \"../mine.wasm\", \
        \"made.wasm\"]\n[config]\nsystem_prompt = \"Hi.\"\n";
    gateway.write("project/adaptor.toml", manifest);
    let pushed = gateway.developer(&["adaptor", "push", "project"]).await.good().stdout;
    assert!(pushed.contains("adaptor my-project of t") && pushed.contains("✓ answers"), "{pushed}");
    gateway.write("project/adaptor.toml", manifest.replace("\"cp\"", "\"false\""));
    gateway.developer(&["adaptor", "push", "project"]).await.refused(&["false"]);
}

#[tokio::test]
async fn an_adaptor_is_examined_with_the_configuration_of_a_file() {
    let gateway = gateway().await;
    let file = mine(gateway.folder.path(), "system-prompt");
    let skipped = gateway.developer(&["adaptor", "push", &file]).await.good().stdout;
    assert!(skipped.contains("--config FILE"), "{skipped}");
    gateway.write("config.json", "{ \"system_prompt\": \"Be brief & kind.\" }");
    let pushed =
        gateway.developer(&["adaptor", "push", &file, "--config", "config.json"]).await.good().stdout;
    assert!(pushed.contains("✓ configuration"), "{pushed}");
    gateway.write("list.json", "[]");
    for (config, says) in [("list.json", "one JSON object"), ("nowhere.json", "nowhere.json")] {
        gateway.developer(&["adaptor", "push", &file, "--config", config]).await.refused(&[says]);
    }
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let gateway = gateway().await;
    gateway.write("broken.wasm", "no wasm");
    let refused = gateway.developer(&["adaptor", "push", "broken.wasm"]).await;
    refused.refused(&["error: ", "not a WebAssembly file", "✗ component"]);
    gateway.developer(&["adaptor", "push", "nowhere.wasm"]).await.refused(&["nowhere.wasm"]);
    gateway.with_key("sk-airlock-wrong", &["get", "clusters"]).await.refused(&["AIRLOCK_KEY", "keys create"]);
    gateway.operator(&["get", "clusters"]).await.refused(&["default, t", "--tenant"]);
    gateway.developer(&["get", "keys"]).await.refused(&["role `admin`"]);
    gateway.developer(&["tenant", "delete", "t"]).await.refused(&["--yes"]);
    gateway.developer(&["delete", "tenants", "t"]).await.refused(&["airlock tenant delete"]);
    gateway.define("http://127.0.0.1:9/v1");
    let refused = gateway.developer(&["apply", "endpoints.json", "clusters.json"]).await;
    assert_eq!(refused.stdout, "cluster c: created\nendpoint c-api-m: refused\n");
    refused.refused(&["endpoint c-api-m: ", "mine", "1 of 2 are as the files say"]);

    let folder = gateway.folder.path();
    let nobody = format!("http://{}", refused_address());
    let env = [("AIRLOCK_KEY", "k")];
    Airlock::run_with(folder, &["get", "tenants", "--url", &nobody], &env).await.refused(&[
        "no gateway answers at",
        "airlock serve",
        "--url",
    ]);
    Airlock::run(folder, &["get", "tenants"]).await.refused(&["AIRLOCK_KEY", "--key-file"]);
    Airlock::run_with(folder, &["get", "tenants", "--url", "nowhere"], &env).await.refused(&["no address"]);
    // No flag takes a key or a value.
    for flag in [["get", "tenants", "--key", "k"], ["secret", "set", "s", "--value=v"]] {
        assert_eq!(Airlock::run(folder, &flag).await.code, 2);
    }
}

#[tokio::test]
async fn secrets_are_read_from_standard_input_and_shown_by_nothing() {
    let gateway = gateway().await;
    let env = [("AIRLOCK_URL", &*gateway.url), ("AIRLOCK_KEY", &*gateway.developer)];
    let set = ["secret", "set", "s", "--origin", "https://api.example.org"];
    let folder = gateway.folder.path();
    let mut told = String::new();
    let done = Airlock::run_fed(folder, &set, &env, "sk-4711\n").await.good();
    told.push_str(&format!("{done:?}"));
    let empty = Airlock::run_fed(folder, &set, &env, "\n").await.refused(&["standard input"]);
    told.push_str(&format!("{empty:?}"));
    for arguments in [
        &["get", "secrets"][..],
        &["get", "secrets", "s"],
        &["get", "secrets", "-o", "json"],
        &["get", "audit", "-o", "json"],
        &["secret", "delete", "s"],
        &["get", "secrets"],
    ] {
        let done = gateway.developer(arguments).await.good();
        told.push_str(&format!("{done:?}"));
    }
    assert!(told.contains("https://api.example.org"), "{told}");
    for secret in ["4711", &gateway.developer] {
        assert!(!told.contains(secret), "{told}");
    }
    // A key in a file serves as one in the variable.
    gateway.write("key", format!("{}\n", gateway.developer));
    let arguments = ["get", "tenants", "--url", &gateway.url, "--key-file", "key"];
    assert!(Airlock::run(folder, &arguments).await.good().stdout.contains('t'));
}

#[tokio::test]
async fn every_list_is_a_table_or_json() {
    let gateway = gateway().await;
    gateway.define("http://127.0.0.1:9/v1");
    gateway.developer(&["adaptor", "push", &mine(gateway.folder.path(), "direct-api")]).await.good();
    gateway.developer(&["apply", "clusters.json", "endpoints.json"]).await.good();
    for (what, first) in [
        ("clusters", Some("c")),
        ("endpoints", Some("c-api-m")),
        ("federated", None),
        ("members", None),
        ("secrets", None),
        ("signers", None),
        ("keys", Some("dev")),
        ("adaptors", Some("mine")),
        ("audit", Some("c-api-m")),
    ] {
        let get = async |more: &[&str]| {
            gateway.operator(&[&["get", what, "--tenant", "t"], more].concat()).await.good().stdout
        };
        let (table, list) = (get(&[]).await, get(&["--output", "json"]).await);
        let list: Vec<Value> = serde_json::from_str(&list).unwrap();
        assert_eq!(table.lines().count(), list.len() + 1, "{what}: {table}");
        assert_eq!(list.first().map(|one| one["name"].as_str().unwrap()), first, "{what}: {list:?}");
    }
    let one = gateway.developer(&["get", "cluster", "c"]).await.good().stdout;
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap()["spec"], tenant_cluster("c"));
    gateway.developer(&["delete", "endpoint", "c-api-m"]).await.good();
    gateway.developer(&["get", "endpoint", "c-api-m"]).await.refused(&["no endpoint `c-api-m`"]);
    // Keys over the API, and the last of a tenant with it.
    let keys = ["keys", "list", "--tenant", "t", "--url", &gateway.url];
    assert!(gateway.operator(&keys).await.good().stdout.contains("developer"));
    let revoke = ["keys", "revoke", "dev", "--tenant", "t", "--url", &gateway.url];
    gateway.operator(&revoke).await.good();
    gateway.developer(&["get", "clusters"]).await.refused(&["AIRLOCK_KEY"]);
    gateway.operator(&["tenant", "delete", "t", "--yes"]).await.good();
    gateway.operator(&["get", "tenant", "t"]).await.refused(&["no tenant `t`"]);
}

#[tokio::test]
async fn members_and_limits_are_set_and_shown() {
    let gateway = gateway().await;
    let json_of = |done: Finished| serde_json::from_str::<Value>(&done.good().stdout).unwrap();
    let run = async |line: &str| gateway.operator(&line.split(' ').collect::<Vec<_>>()).await;
    let made = json_of(run("tenant create v --quota adaptors=5 --quota instances=7 --output json").await);
    assert_eq!([&made["spec"]["quota"]["adaptors"], &made["spec"]["quota"]["instances"]], [5, 7]);
    let set = json_of(run("tenant set v --quota instances=default --description x -o json").await);
    assert_eq!([&set["spec"]["quota"]["adaptors"], &set["spec"]["quota"]["instances"]], [5, 64], "{set}");
    assert_eq!(set["spec"]["description"], "x");
    run("tenant set v --quota adaptor=5").await.refused(&["unknown field `adaptor`", "adaptors"]);
    run("tenant set nobody --description x").await.refused(&["no tenant `nobody`"]);
    for line in ["tenant set v", "tenant set v --quota adaptors", "tenant set v --quota a=-1", "member set x"]
    {
        assert_eq!(run(line).await.code, 2, "{line}");
    }

    run("member add ann --tenant t --role developer").await.good();
    run("member add ann --tenant t --role developer").await.good();
    run("member add ann --tenant t").await.refused(&["airlock member set ann"]);
    let set = json_of(run("member set ann --tenant t --email ann@example.org -o json").await);
    assert_eq!(set["spec"], json!({ "role": "developer", "email": "ann@example.org" }));
    let table = run("member list --tenant t").await.good().stdout;
    assert!(table.contains("ann") && table.contains("developer"), "{table}");
    run("member set bob --tenant t --role user").await.refused(&["no member `bob`"]);
    gateway.developer(&["member", "add", "bob"]).await.refused(&["role `admin`"]);

    let create = format!("keys create laptop --tenant t --scope read --member ann --url {}", gateway.url);
    run(&create).await.good();
    run(&create.replace("ann", "bob").replace("laptop", "x")).await.refused(&["no member \"bob\""]);
    let keys = run(&format!("keys list --tenant t --url {}", gateway.url)).await.good().stdout;
    assert!(keys.contains("MEMBER") && keys.contains("ann"), "{keys}");
    run("member remove ann --tenant t").await.good();
    let keys = json_of(run(&format!("keys list --tenant t --url {} -o json", gateway.url)).await);
    let laptop = keys.as_array().unwrap().iter().find(|key| key["name"] == "laptop").unwrap();
    assert!(laptop["revoked_at"].is_string(), "{keys}");
}

/// The key goes to whom it is for: over TLS to an authority that the machine trusts, and nowhere by a redirect or a proxy.
#[tokio::test]
async fn a_key_goes_to_the_gateway_that_was_named_and_nowhere_else() {
    let folder = TempDir::new().unwrap();
    let list = json!({ "object": "list", "data": [{ "name": "far" }], "next": null });
    let elsewhere = Upstream::json(list.clone()).await;
    let authority = Authority::new();
    let secure = Upstream::start_tls(&authority, &["http/1.1"], move |_| {
        let list = list.clone();
        async move { answer(200, &list) }
    })
    .await;
    let url = format!("https://localhost:{}", secure.address.port());
    let trusted = authority.ca_file().display().to_string();
    let proxy = elsewhere.url();
    let env = [
        ("AIRLOCK_KEY", "sk-4711"),
        ("SSL_CERT_FILE", &trusted),
        ("HTTP_PROXY", &proxy),
        ("ALL_PROXY", &proxy),
    ];
    let get = ["get", "tenants", "--url", &url];
    let told = Airlock::run_with(folder.path(), &get, &env).await.good();
    assert!(told.stdout.contains("far"), "{told:?}");
    assert_eq!(secure.only().headers["authorization"], "Bearer sk-4711");
    let untrusted = Airlock::run_with(folder.path(), &get, &env[..1]).await;
    assert!(!format!("{untrusted:?}").contains("4711"));
    untrusted.refused(&["no gateway answers"]);
    assert_eq!(secure.seen().len(), 1, "not without a certificate that is trusted");

    let location = elsewhere.url();
    let moved = Upstream::start(move |_| {
        let mut response = answer(302, &json!({}));
        response.headers_mut().insert("location", location.parse().unwrap());
        async move { response }
    })
    .await;
    let get = ["get", "tenants", "--url", &moved.url()];
    Airlock::run_with(folder.path(), &get, &env).await.refused(&["302", "gateway's address"]);
    assert!(elsewhere.seen().is_empty());
}

/// What is pulled, and what a signer has signed.
#[tokio::test]
async fn a_component_comes_from_a_registry_and_with_a_signature() {
    let Some(registry) = OciRegistry::start() else { return };
    let gateway = gateway().await;
    let file = mine(gateway.folder.path(), "direct-api");
    let bytes = std::fs::read(gateway.folder.path().join(&file)).unwrap();
    let [config, layer] = component(bytes);
    let manifest = registry.push("team/pulled", "1", &config, &[layer]).await;
    let reference = format!("oci://{}", registry.reference("team/pulled", "1"));
    let pulled = gateway.developer(&["adaptor", "push", &reference]).await.good();
    for part in ["adaptor pulled of t", &format!("pulled  {manifest}"), "✓ component"] {
        assert!(pulled.stdout.contains(part), "{part}: {}", pulled.stdout);
    }
    gateway
        .developer(&["adaptor", "push", &format!("{reference}9")])
        .await
        .refused(&["cannot be pulled", "has no"]);

    let openssl = |arguments: &[&str]| {
        let done =
            std::process::Command::new("openssl").current_dir(&gateway.folder).args(arguments).status();
        assert!(done.unwrap().success());
    };
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key"]);
    openssl(&["pkey", "-in", "key", "-pubout", "-out", "key.pub"]);
    openssl(&["dgst", "-sha256", "-sign", "key", "-out", "binary", &file]);
    openssl(&["base64", "-in", "binary", "-out", "signature"]);
    gateway.developer(&["signer", "set", "ada", "key.pub"]).await.refused(&["role `admin`"]);
    gateway.operator(&["signer", "set", "ada", "key.pub", "--tenant", "t"]).await.good();
    gateway.developer(&["adaptor", "push", &file]).await.refused(&["✗ signature", "--signature"]);
    gateway.developer(&["adaptor", "push", &file, "--signature", "binary"]).await.refused(&["base64"]);
    let signed = gateway.developer(&["adaptor", "push", &file, "--signature", "signature"]).await.good();
    assert!(signed.stdout.contains("signed by ada"), "{}", signed.stdout);
    assert!(gateway.developer(&["get", "signers"]).await.good().stdout.contains("ada"));
    gateway.operator(&["signer", "delete", "ada", "--tenant", "t"]).await.good();
    gateway.developer(&["adaptor", "push", &file]).await.good();
}

#[tokio::test]
async fn shells_complete_commands() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = Airlock::run(folder.path(), &["completions", shell]).await.good().stdout;
        for word in ["push", "rollback", "loaddata", "key-file", "rotate", "member", "quota"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
