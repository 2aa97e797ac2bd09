//! The description of the API at `/openapi.json`: that it says what is there, and nothing else.

use std::collections::BTreeSet;

use airlock::{
    api::{Surface, error::ErrorKind},
    auth::Role,
    fixtures::{CLUSTER_FIELDS, ENDPOINT_FIELDS, FEDERATED_FIELDS, GLOBUS_FIELDS},
};
use airlock_tests::{Airlock, Database, TestGateway, error, guest, on_both_databases, within};
use serde_json::{Value, json};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

on_both_databases!(what_no_name_can_hold_is_refused_everywhere);

fn document() -> Value {
    serde_json::from_str(&Surface::new(true).document().text()).unwrap()
}

/// With all routes that there can be.
async fn gateway() -> TestGateway {
    TestGateway::builder()
        .settings(|s| s.metrics = true)
        .endpoint("m", guest("echo"), json!({}))
        .start()
        .await
}

/// Every path, with the methods that are described there.
fn described(document: &Value) -> Vec<(String, BTreeSet<String>)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .map(|(path, item)| {
            (path.clone(), item.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect())
        })
        .collect()
}

/// A path with something for each of its parameters.
fn filled(path: &str) -> String {
    let fill = |part: &str| if part.starts_with('{') { "x".to_owned() } else { part.to_owned() };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// Routes and descriptions are made by the same calls; here the router itself is asked. That nothing else makes routes,
/// the tidy check says.
#[tokio::test]
async fn the_router_has_what_is_described_and_no_other_method() {
    let gateway = gateway().await;
    let described = described(&document());
    assert!(described.len() > 50, "{} paths", described.len());
    for (path, methods) in described {
        for method in METHODS {
            let response = within(gateway.request(method, &filled(&path)).send()).await.unwrap();
            let status = response.status();
            if methods.contains(method) {
                let text = response.text().await.unwrap();
                let code = serde_json::from_str::<Value>(&text).unwrap_or_default()["error"]["code"].clone();
                let is_routers = code == "not_found" || status == 405;
                assert!(!is_routers, "{method} {path} is described and not there: {status} {text}");
            } else {
                assert_eq!(status, 405, "{method} {path} is there and not described");
            }
        }
    }
}

#[tokio::test]
async fn it_is_served_to_everybody_and_once() {
    let gateway = gateway().await;
    let response = within(gateway.anonymous("GET", "/openapi.json").send()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    assert!(response.json::<Value>().await.unwrap() == document());
    for (known, status) in [(&*tag, 304), (&format!("\"x\", W/{tag}"), 304), ("*", 304), ("\"x\"", 200)] {
        let asked = gateway.anonymous("GET", "/openapi.json").header("if-none-match", known);
        let response = within(asked.send()).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["etag"]),
            (status, &tag.parse().unwrap())
        );
        assert_eq!(response.text().await.unwrap().is_empty(), status == 304);
    }
}

#[tokio::test]
async fn what_is_switched_off_is_not_described() {
    let gateway = TestGateway::builder()
        .endpoint("m", guest("echo"), json!({}))
        .settings(|s| s.metrics = false)
        .start()
        .await;
    let served: Value =
        within(gateway.anonymous("GET", "/openapi.json").send()).await.unwrap().json().await.unwrap();
    assert!(served["paths"].get("/metrics").is_none() && document()["paths"].get("/metrics").is_some());
}

#[tokio::test]
async fn the_command_line_prints_it() {
    let folder = tempfile::tempdir().unwrap();
    let printed = Airlock::run(folder.path(), &["openapi"]).await;
    assert!(serde_json::from_str::<Value>(&printed.stdout).unwrap() == document());
}

#[test]
fn every_code_of_the_table_is_in_it_and_no_other() {
    let document = document();
    let schema = &document["components"]["schemas"]["ErrorCode"]["enum"];
    let listed: BTreeSet<&str> =
        schema.as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    let table: BTreeSet<&str> = ErrorKind::ALL.iter().map(|kind| kind.row().code).collect();
    assert_eq!(listed, table);
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_referred_to() {
    let document = document();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    for reference in &references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for kind in ["schemas", "responses", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(
                references.contains(&format!("#/components/{kind}/{name}")),
                "nothing refers to {kind}/{name}"
            );
        }
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[test]
fn operations_have_names_of_their_own_and_keys_where_keys_are_asked_for() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            let needs_key = operation["security"] != json!([]);
            assert!(needs_key || !path.starts_with("/admin/"), "{method} {path}");
            assert!(needs_key <= operation["responses"].get("401").is_some(), "{method} {path}");
        }
    }
}

/// What reads entries and what describes them are two lists of fields.
#[test]
fn entries_are_described_with_all_their_fields() {
    let document = document();
    let endpoint = [ENDPOINT_FIELDS, GLOBUS_FIELDS].concat();
    for (name, fields) in
        [("Cluster", CLUSTER_FIELDS), ("Endpoint", &endpoint), ("Federated", FEDERATED_FIELDS)]
    {
        let described = document["components"]["schemas"][name]["properties"].as_object().unwrap();
        let described: BTreeSet<&str> = described.keys().map(String::as_str).collect();
        assert_eq!(described, fields.iter().copied().collect::<BTreeSet<_>>(), "{name}");
    }
}

/// Neither database is asked for what it cannot hold, and no framework's own text answers.
async fn what_no_name_can_hold_is_refused_everywhere(database: Database) {
    let gateway =
        TestGateway::builder().database(&database).endpoint("m", guest("echo"), json!({})).start().await;
    let operator = gateway.person("default", Role::Operator).await;
    for (path, _) in described(&document()).iter().filter(|(path, _)| path.contains('{')) {
        for odd in ["%FF", "%00", "a%00b"] {
            let path = path.replace(['{', '}'], "").replace("tenant/", "default/");
            let last = path.rfind('/').unwrap();
            let odd_path = format!("{}/{odd}", &path[..last]);
            let asked = gateway.anonymous("GET", &odd_path).bearer_auth(&operator.key);
            let response = within(asked.send()).await.unwrap();
            let status = response.status().as_u16();
            error(response, 404, "not_found").await;
            assert_eq!(status, 404, "{odd_path}");
        }
    }
    for path in
        ["/tenants/default/clusters?after=%00", "/tenants?after=%00", "/tenants/default/audit?after=%00"]
    {
        error(operator.get(path).await, 400, "invalid_value").await;
    }
    for member in ["a\0", "\0"] {
        let order = json!({ "name": "k", "member": member });
        error(operator.post("/tenants/default/keys", &order).await, 400, "invalid_value").await;
    }
}
