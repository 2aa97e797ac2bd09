//! Members decide: a key is for somebody who is there, may what they may now, and goes when they go.

use airlock::{
    auth::{Role, Scope},
    store::{KeyOrder, StoreError},
};
use airlock_tests::{
    Database, Person, TestGateway, Upstream, error, guest, on_both_databases, tenant_cluster, until, within,
};
use serde_json::{Value, json};

on_both_databases!(
    a_key_is_for_a_member_who_is_there,
    a_key_may_no_more_than_its_member_may_now,
    a_member_takes_their_keys_along_on_all_gateways_and_no_namesake_finds_them,
    the_audit_names_the_member_beside_the_key,
);

async fn gateway(database: &Database) -> TestGateway {
    let gateway =
        TestGateway::builder().endpoint("m", guest("echo"), json!({})).database(database).start().await;
    for tenant in ["t", "u"] {
        gateway.tenant(tenant).await;
    }
    gateway
}

async fn set(admin: &Person<'_>, member: &str, role: &str) {
    let done = admin.put(&format!("/tenants/t/members/{member}"), &json!({ "role": role })).await;
    assert!(done.status().is_success(), "{}", done.text().await.unwrap());
}

/// A key of `t` for everything that its role may.
fn order(name: &str, role: &str, member: Option<&str>) -> Value {
    json!({ "name": name, "role": role, "scopes": ["read", "write", "inference"], "member": member })
}

async fn key(admin: &Person<'_>, name: &str, role: &str, member: Option<&str>) -> String {
    let made = admin.post("/tenants/t/keys", &order(name, role, member)).await;
    let (status, made) = (made.status(), made.json::<Value>().await.unwrap());
    assert_eq!((status.as_u16(), &made["member"]), (201, &json!(member)), "{made}");
    made["key"].as_str().unwrap().to_owned()
}

async fn status(gateway: &TestGateway, key: &str, path: &str) -> u16 {
    let asked = gateway.anonymous("GET", path).bearer_auth(key).send();
    within(asked).await.unwrap().status().as_u16()
}

/// What takes a developer, and what takes an admin.
const CLUSTERS: &str = "/admin/v1/tenants/t/clusters";
const KEYS: &str = "/admin/v1/tenants/t/keys";

async fn a_key_is_for_a_member_who_is_there(database: Database) {
    let gateway = gateway(&database).await;
    let admin = gateway.person("t", Role::Admin).await;
    set(&admin, "ann", "developer").await;
    // Nobody, and somebody of another tenant.
    let elsewhere = gateway.person("u", Role::Admin).await;
    elsewhere.put("/tenants/u/members/bob", &json!({ "role": "user" })).await;
    for (name, says) in [("nobody", "airlock member add"), ("bob", "airlock member add"), ("", "is no name")]
    {
        let refused = admin.post("/tenants/t/keys", &order("k", "user", Some(name))).await;
        let told = error(refused, 400, "invalid_value").await;
        assert_eq!(told["param"], "member");
        assert!(told["message"].as_str().unwrap().contains(says), "{told}");
    }
    assert_eq!(admin.read("/tenants/t/keys").await["data"].as_array().unwrap().len(), 1, "the admin's own");
    key(&admin, "k", "developer", Some("ann")).await;
    let listed = admin.read("/tenants/t/keys").await;
    let listed = listed["data"].as_array().unwrap().iter().find(|key| key["name"] == "k").unwrap().clone();
    assert_eq!(listed["member"], "ann", "{listed}");

    let nowhere = KeyOrder { tenant: "nowhere".into(), ..KeyOrder::named("k") };
    let refused = gateway.store.create_key(&nowhere).await.map(drop).unwrap_err();
    assert!(matches!(refused, StoreError::UnknownTenant(_)), "{refused}");
}

async fn a_key_may_no_more_than_its_member_may_now(database: Database) {
    let gateway = gateway(&database).await;
    let admin = gateway.person("t", Role::Admin).await;
    set(&admin, "ann", "admin").await;
    let (strong, weak) =
        (key(&admin, "strong", "admin", Some("ann")).await, key(&admin, "weak", "user", Some("ann")).await);
    let may = async |key: &str| [status(&gateway, key, CLUSTERS).await, status(&gateway, key, KEYS).await];
    assert_eq!([may(&strong).await, may(&weak).await], [[200, 200], [403, 403]], "the key's role is lower");
    for (role, expected) in
        [("developer", [200, 403]), ("user", [403, 403]), ("developer", [200, 403]), ("admin", [200, 200])]
    {
        set(&admin, "ann", role).await;
        assert_eq!([may(&strong).await, may(&weak).await], [expected, [403, 403]], "at once: {role}");
        assert_eq!(status(&gateway, &strong, "/v1/models").await, 200, "models are everybody's");
    }
    // Nobody raises others above themselves, and a demoted key gives nobody what it has lost.
    set(&admin, "ann", "developer").await;
    let ann = admin.with_key(strong);
    let refused = ann.put("/tenants/t/members/ann", &json!({ "role": "admin" })).await;
    error(refused, 403, "forbidden").await;
}

async fn a_member_takes_their_keys_along_on_all_gateways_and_no_namesake_finds_them(database: Database) {
    let here = gateway(&database).await;
    let there = TestGateway::builder().beside(&here).start().await;
    let admin = here.person("t", Role::Admin).await;
    set(&admin, "ann", "developer").await;
    let (anns, nobodys) = (key(&admin, "a", "user", Some("ann")).await, key(&admin, "b", "user", None).await);
    until(async || status(&there, &anns, "/v1/models").await == 200).await;
    assert_eq!(admin.delete("/tenants/t/members/ann").await.status(), 204);
    let refused = here.anonymous("GET", "/v1/models").bearer_auth(&anns).send();
    let told = error(within(refused).await.unwrap(), 401, "invalid_api_key").await;
    assert!(told["message"].as_str().unwrap().contains("has not been revoked"), "{told}");
    until(async || status(&there, &anns, "/v1/models").await == 401).await;
    for gateway in [&here, &there] {
        assert_eq!(status(gateway, &nobodys, "/v1/models").await, 200, "other keys go on");
    }
    let keys = admin.read("/tenants/t/keys").await;
    let of = |name: &str| keys["data"].as_array().unwrap().iter().find(|key| key["name"] == name).unwrap();
    assert!(of("a")["revoked_at"].is_string() && of("b")["revoked_at"].is_null(), "{keys}");

    set(&admin, "ann", "admin").await;
    assert_eq!(status(&here, &anns, "/v1/models").await, 401, "a namesake");
    key(&admin, "a", "user", Some("ann")).await;
    // Whoever is replaced stays the same person.
    let kept = key(&admin, "c", "user", Some("ann")).await;
    set(&admin, "ann", "user").await;
    assert_eq!(status(&here, &kept, "/v1/models").await, 200);
}

async fn the_audit_names_the_member_beside_the_key(database: Database) {
    let gateway = gateway(&database).await;
    let admin = gateway.person("t", Role::Admin).await;
    set(&admin, "ann", "developer").await;
    let ann = admin.with_key(key(&admin, "k", "developer", Some("ann")).await);
    ann.put("/tenants/t/clusters/c", &tenant_cluster("c")).await;
    admin.delete("/tenants/t/members/ann").await;
    let audit = admin.read("/tenants/t/audit").await;
    let told: Vec<_> =
        audit["data"].as_array().unwrap().iter().map(|line| [&line["kind"], &line["member"]]).collect();
    let expected = [("member", None), ("cluster", Some("ann")), ("key", None), ("member", None)];
    assert_eq!(
        told[..4],
        expected.map(|(kind, member)| [json!(kind), json!(member)]).each_ref().map(|[a, b]| [a, b])
    );
}

#[tokio::test]
async fn a_stream_of_a_member_who_is_removed_goes_on() {
    let (upstream, feed) = Upstream::fed().await;
    let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    let admin = gateway.person("default", Role::Admin).await;
    assert_eq!(admin.put("/tenants/default/members/ann", &json!({ "role": "user" })).await.status(), 201);
    let order = KeyOrder { member: Some("ann".into()), ..KeyOrder::named("k") };
    let order = KeyOrder { scopes: Scope::Inference.into(), ..order };
    let key = gateway.store.create_key(&order).await.unwrap().secret;
    until(async || status(&gateway, &key, "/v1/models").await == 200).await;
    let asked = gateway.anonymous("POST", "/v1/chat/completions").bearer_auth(&key);
    let mut stream = within(asked.json(&airlock_tests::chat_body(true)).send()).await.unwrap();
    feed.send("data: {\"n\":1}\n\n");
    assert!(within(stream.chunk()).await.unwrap().is_some());
    assert_eq!(admin.delete("/tenants/default/members/ann").await.status(), 204);
    assert_eq!(status(&gateway, &key, "/v1/models").await, 401);
    feed.send("data: [DONE]\n\n");
    assert_eq!(&within(stream.chunk()).await.unwrap().unwrap()[..], b"data: [DONE]\n\n");
}
