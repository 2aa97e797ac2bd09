//! A new master key: all secrets are encrypted with it while gateways serve, and the old one can be thrown away.

use airlock::{
    auth::Role,
    store::{Change, Expect, NewAudit, Place, Store},
    tenants::{MasterKeys, Rotation, Sealed, SecretOwner, rotate},
};
use airlock_tests::{
    Airlock, Database, Finished, GatewayBuilder, TestGateway, Upstream, completion, json as answer,
    on_both_databases, tenant_cluster, tenant_endpoint, until, within,
};
use serde_json::json;

on_both_databases!(
    secrets_are_encrypted_anew_while_a_gateway_uses_them,
    what_no_key_opens_is_named_and_left_as_it_is,
    a_secret_that_is_set_meanwhile_is_not_lost,
);

const OLD: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const NEW: &str = "0202020202020202020202020202020202020202020202020202020202020202";

/// A gateway with these master keys, on a store of its own or on another's.
async fn gateway(builder: GatewayBuilder, keys: &str) -> TestGateway {
    let loopback = "127.0.0.0/8".parse().unwrap();
    builder
        .env("AIRLOCK_MASTER_KEY", keys)
        .settings(move |s| s.egress.allow_networks = vec![loopback])
        .start()
        .await
}

/// `airlock secret rotate`
async fn command(place: &Place, keys: &str) -> Finished {
    let place = match place {
        Place::Folder(folder) => ["--data".to_owned(), folder.display().to_string()],
        Place::Server(url) => ["--database".to_owned(), url.secret().to_owned()],
    };
    let arguments = [["secret".to_owned(), "rotate".to_owned()], place].concat();
    Airlock::run_with(&std::env::temp_dir(), &arguments, &[("AIRLOCK_MASTER_KEY", keys)]).await
}

fn set(master: &MasterKeys, tenant: &str, name: &str, value: &str) -> (Change, NewAudit) {
    let owner = SecretOwner { tenant, name, origin: "https://x.example", header: "authorization" };
    let body = json!(master.seal(owner, value).unwrap()).to_string();
    let [tenant, kind, name] = [tenant, "secret", name].map(str::to_owned);
    let [actor, action, detail] = ["test", "set", "{}"].map(str::to_owned);
    let audit =
        NewAudit { tenant: tenant.clone(), actor, action, kind: kind.clone(), name: name.clone(), detail };
    (Change::Put { tenant, kind, name, body, expect: Expect::Any }, audit)
}

async fn put(store: &Store, master: &MasterKeys, tenant: &str, name: &str, value: &str) {
    let (change, audit) = set(master, tenant, name, value);
    store.apply(&[change], &audit).await.unwrap();
}

/// What these keys read of a tenant's secret.
async fn value(store: &Store, keys: &str, tenant: &str, name: &str) -> Option<String> {
    let found = store.document(tenant, "secret", name).await.unwrap().unwrap();
    let sealed: Sealed = serde_json::from_str(&found.body).unwrap();
    MasterKeys::parse(keys).unwrap().open(tenant, name, &sealed).ok()
}

async fn secrets_are_encrypted_anew_while_a_gateway_uses_them(database: Database) {
    let backend = Upstream::start(|_| async { answer(200, &completion()) }).await;
    let before = gateway(TestGateway::builder().database(&database), OLD).await;
    before.tenant("t").await;
    let developer = before.person("t", Role::Developer).await;
    let order = json!({ "value": "sk-4711", "origin": format!("http://{}", backend.address) });
    assert_eq!(developer.put("/tenants/t/secrets/key", &order).await.status(), 200);
    let operator = before.person("default", Role::Operator).await;
    assert_eq!(operator.put("/tenants/default/secrets/other", &order).await.status(), 200);
    developer.put("/tenants/t/clusters/c", &tenant_cluster("c")).await;
    let config = json!({ "api_url": backend.url(), "api_key_secret": "key" });
    developer.post("/tenants/t/endpoints", &tenant_endpoint("c", "m", "direct-api", config)).await;

    let both = format!("{NEW},{OLD}");
    let serving = gateway(TestGateway::builder().beside(&before), &both).await;
    let asked = async |gateway: &TestGateway| {
        let mut body = airlock_tests::chat_body(false);
        body["model"] = json!("m");
        let chat = gateway.anonymous("POST", "/v1/chat/completions").bearer_auth(&developer.key).json(&body);
        within(chat.send()).await.unwrap().status().as_u16()
    };
    assert_eq!(asked(&serving).await, 200);
    let place = Place::from(&*serving.gateway.settings());
    let done = command(&place, &both).await;
    assert_eq!((done.code, &*done.stdout), (0, ""), "{done:?}");
    assert!(done.stderr.contains("2 encrypted anew, 0 with the first"), "{done:?}");
    let again = command(&place, &both).await;
    assert!(again.code == 0 && again.stderr.contains("0 encrypted anew, 2 with the first"), "{again:?}");
    assert_eq!(asked(&serving).await, 200);
    for tenant in [("t", "key"), ("default", "other")] {
        let (tenant, name) = tenant;
        assert_eq!(value(&serving.store, NEW, tenant, name).await.as_deref(), Some("sk-4711"));
        assert_eq!(value(&serving.store, OLD, tenant, name).await, None);
    }
    let audit = serving.store.audit_page(Some("t"), None, 1).await.unwrap().remove(0);
    assert_eq!([&*audit.action, &*audit.actor, &*audit.name], ["rotate", "command line", "key"]);
    let last = gateway(TestGateway::builder().beside(&before), NEW).await;
    assert_eq!(asked(&last).await, 200, "without the old key");
}

async fn what_no_key_opens_is_named_and_left_as_it_is(database: Database) {
    let store = database.open().await;
    let (old, other) = (MasterKeys::parse(OLD).unwrap(), MasterKeys::parse(&"07".repeat(32)).unwrap());
    put(&store, &old, "t", "good", "1").await;
    put(&store, &other, "t", "lost", "2").await;
    // Moved from another tenant: its key is there, and it does not belong here.
    let (change, audit) = set(&old, "u", "moved", "3");
    let Change::Put { kind, name, body, expect, .. } = change else { panic!("a change") };
    let change = Change::Put { tenant: "t".into(), kind, name, body, expect };
    store.apply(&[change], &audit).await.unwrap();
    let before = store.document("t", "secret", "lost").await.unwrap();
    let done = command(database.place(), &format!("{NEW},{OLD}")).await;
    assert_eq!((done.code, &*done.stdout), (1, ""), "{done:?}");
    for part in ["1 encrypted anew", "lost of t", "moved of t", "airlock secret set"] {
        assert!(done.stderr.contains(part), "{part}: {done:?}");
    }
    assert_eq!(store.document("t", "secret", "lost").await.unwrap(), before);
    assert_eq!(value(&store, NEW, "t", "good").await.as_deref(), Some("1"));
    let keyless = command(database.place(), "").await;
    assert!(keyless.code == 1 && keyless.stderr.contains("AIRLOCK_MASTER_KEY"), "{keyless:?}");
}

/// Somebody sets the last secret while the first ones are encrypted anew, with the old key and with the new one.
async fn a_secret_that_is_set_meanwhile_is_not_lost(database: Database) {
    let store = database.open().await;
    let old = MasterKeys::parse(OLD).unwrap();
    let both = MasterKeys::parse(&format!("{NEW},{OLD}")).unwrap();
    for by in [&old, &both] {
        let secrets: Vec<_> = (100..200).map(|n| set(&old, "t", &format!("s{n}"), "before")).collect();
        let (changes, audits): (Vec<_>, Vec<_>) = secrets.into_iter().unzip();
        store.apply(&changes, &audits[0]).await.unwrap();
        let meanwhile = async {
            let action = async || store.audit_page(None, None, 1).await.unwrap().remove(0).action;
            until(async || action().await == "rotate").await;
            put(&store, by, "t", "s199", "after").await;
        };
        let (done, ()) = tokio::join!(rotate(&store, &both, "test"), meanwhile);
        let Rotation { rotated, new, lost } = done.unwrap();
        assert_eq!((rotated + new, lost.len()), (100, 0));
        assert_eq!(value(&store, NEW, "t", "s199").await.as_deref(), Some("after"));
    }
}
