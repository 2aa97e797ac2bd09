//! The admin API: who may do what, what is refused, and that nobody's writes are lost.

use airlock::auth::{Role, Scope};
use airlock_tests::{
    Database, Person, TestGateway, Upstream, adaptor, completion, error, guest, json as answer,
    on_both_databases, tenant_cluster, tenant_endpoint, within,
};
use serde_json::{Value, json};

on_both_databases!(
    a_tenant_does_not_exist_for_another,
    a_role_and_a_scope_are_needed_for_each_thing,
    no_write_is_lost_to_another,
    what_cannot_be_used_is_refused_with_every_mistake_and_changes_nothing,
    a_secret_reaches_its_backend_and_nobody_else,
    endpoints_are_shared_by_their_owner_alone,
    a_cluster_is_taken_down_and_up_again,
    keys_are_made_used_and_revoked,
    a_tenant_goes_with_all_that_it_has,
    a_tenant_finds_nothing_of_one_that_had_its_name,
    lists_come_in_pages,
);

async fn gateway(database: &Database) -> TestGateway {
    let loopback = "127.0.0.0/8".parse().unwrap();
    TestGateway::builder()
        .database(database)
        .env("AIRLOCK_MASTER_KEY", &"07".repeat(32))
        .settings(move |s| s.egress.allow_networks = vec![loopback])
        .start()
        .await
}

/// Everything that can be asked about a tenant, with a body where it takes one.
fn routes(tenant: &str) -> Vec<(&'static str, String, Value)> {
    let own = format!("/tenants/{tenant}");
    let mut routes = vec![
        ("GET", own.clone(), Value::Null),
        ("PUT", own.clone(), json!({})),
        ("DELETE", own.clone(), Value::Null),
        ("GET", format!("{own}/audit"), Value::Null),
        ("GET", format!("{own}/routes/m"), Value::Null),
        ("GET", format!("{own}/keys"), Value::Null),
        ("POST", format!("{own}/keys"), json!({ "name": "n" })),
        ("DELETE", format!("{own}/keys/n"), Value::Null),
        ("GET", format!("{own}/secrets"), Value::Null),
        ("GET", format!("{own}/secrets/s"), Value::Null),
        ("PUT", format!("{own}/secrets/s"), json!({ "value": "v", "origin": "https://x" })),
        ("DELETE", format!("{own}/secrets/s"), Value::Null),
        ("GET", format!("{own}/adaptors"), Value::Null),
        ("GET", format!("{own}/adaptors/a"), Value::Null),
        ("DELETE", format!("{own}/adaptors/a"), Value::Null),
        ("GET", format!("{own}/adaptors/a/versions"), Value::Null),
        ("GET", format!("{own}/usage"), Value::Null),
        ("POST", format!("{own}/adaptors/a/versions"), json!("no wasm")),
        ("POST", format!("{own}/adaptors/a/versions"), json!({ "reference": "registry.invalid/x:1" })),
        ("POST", format!("{own}/adaptors/a/rollout"), json!({ "version": "x" })),
        ("POST", format!("{own}/adaptors/a/rollback"), json!({})),
    ];
    for (path, name, spec) in [
        ("clusters", "c", tenant_cluster("c")),
        ("endpoints", "c-api-m", tenant_endpoint("c", "m", "direct-api", json!({ "api_url": "https://x" }))),
        ("federated", "f", json!({ "name": "f", "target_model_name": "f", "targets": [] })),
        ("maintenance", "c", json!({ "notice": "down" })),
        ("members", "someone", json!({ "role": "user" })),
        ("signers", "someone", json!({ "public_key": "none" })),
    ] {
        routes.push(("GET", format!("{own}/{path}"), Value::Null));
        // The others are called as their path says.
        if matches!(path, "clusters" | "endpoints" | "federated") {
            routes.push(("POST", format!("{own}/{path}"), spec.clone()));
        }
        routes.push(("GET", format!("{own}/{path}/{name}"), Value::Null));
        routes.push(("PUT", format!("{own}/{path}/{name}"), spec));
        routes.push(("DELETE", format!("{own}/{path}/{name}"), Value::Null));
    }
    routes
}

async fn ask(person: &Person<'_>, (method, path, body): &(&str, String, Value)) -> reqwest::Response {
    let request = person.request(method, path);
    let request = if body.is_null() { request } else { request.json(body) };
    within(request.send()).await.unwrap()
}

/// Every route and verb with another tenant's most powerful key: the answer is the one for a tenant that does not exist.
async fn a_tenant_does_not_exist_for_another(database: Database) {
    let gateway = gateway(&database).await;
    for name in ["a", "b"] {
        gateway.tenant(name).await;
    }
    let (owner, other) = (gateway.person("a", Role::Admin).await, gateway.person("b", Role::Admin).await);
    let made = owner.put("/tenants/a/clusters/c", &tenant_cluster("c")).await;
    assert_eq!(made.status(), 201);
    for (theirs, nobodys) in routes("a").iter().zip(routes("nobody")) {
        let told = ask(&other, theirs).await;
        let told = (told.status(), told.text().await.unwrap().replace("`a`", "`nobody`"));
        let untold = ask(&other, &nobodys).await;
        assert_eq!(told, (untold.status(), untold.text().await.unwrap()), "{theirs:?}");
        assert_eq!(told.0, 404, "{theirs:?}");
    }
    let names = other.read("/tenants").await;
    assert_eq!(names["data"].as_array().unwrap().len(), 1, "{names}");
    assert_eq!(
        owner.read("/tenants/a/clusters").await["data"].as_array().unwrap().len(),
        1,
        "nothing was done"
    );
}

async fn a_role_and_a_scope_are_needed_for_each_thing(database: Database) {
    let gateway = gateway(&database).await;
    gateway.tenant("t").await;
    let admin_only = |path: &str| ["/keys", "/members", "/signers"].iter().any(|part| path.contains(part));
    let operator_only = |method: &str, path: &str| path == "/tenants/t" && method != "GET";
    for (role, scopes) in [
        (Role::User, &Scope::ALL[..]),
        (Role::Developer, &Scope::ALL),
        (Role::Admin, &Scope::ALL),
        (Role::Admin, &[Scope::Inference, Scope::Read]),
        (Role::Admin, &[Scope::Write]),
        (Role::Operator, &[Scope::Inference]),
    ] {
        let person = gateway.person_with("t", role, scopes).await;
        for route in routes("t") {
            let (method, path, _) = &route;
            let is_read = *method == "GET" && !path.ends_with("/keys");
            let needed = match () {
                () if operator_only(method, path) => Role::Operator,
                () if admin_only(path) && !is_read => Role::Admin,
                () => Role::Developer,
            };
            let scope = if is_read { Scope::Read } else { Scope::Write };
            let may = role >= needed && scopes.contains(&scope);
            let status = ask(&person, &route).await.status();
            assert_eq!(status != 403, may, "{role:?} {scopes:?} {method} {path}: {status}");
            if role == Role::Operator && may {
                break;
            }
        }
    }
    let admin = gateway.person("t", Role::Admin).await;
    let above = admin.post("/tenants/t/keys", &json!({ "name": "x", "role": "operator" })).await;
    assert_eq!(error(above, 403, "forbidden").await["param"], "role");
    let above = admin.put("/tenants/t/members/x", &json!({ "role": "operator" })).await;
    error(above, 403, "forbidden").await;
    error(admin.post("/tenants", &json!({ "name": "mine" })).await, 404, "resource_not_found").await;
}

async fn no_write_is_lost_to_another(database: Database) {
    let gateway = gateway(&database).await;
    gateway.tenant("t").await;
    let admin = gateway.person("t", Role::Admin).await;
    let path = "/tenants/t/clusters/c";
    let made = admin.put(path, &tenant_cluster("c")).await;
    let tag = made.headers()["etag"].clone();
    let mut changed = tenant_cluster("c");
    changed["frameworks"] = json!(["api", "vllm"]);
    let write = async |tag: &http::HeaderValue, spec: &Value| {
        within(admin.request("PUT", path).header("if-match", tag).json(spec).send()).await.unwrap()
    };
    let first = write(&tag, &changed).await;
    assert_eq!(first.status(), 200);
    error(write(&tag, &tenant_cluster("c")).await, 409, "conflict").await;
    let seen = admin.read(path).await;
    assert_eq!(seen["spec"]["frameworks"], json!(["api", "vllm"]));
    // Making the same twice is no mistake, making another is.
    assert_eq!(admin.post("/tenants/t/clusters", &changed).await.status(), 200);
    error(admin.post("/tenants/t/clusters", &tenant_cluster("c")).await, 409, "conflict").await;
    let stale = within(admin.request("DELETE", path).header("if-match", &tag).send()).await.unwrap();
    error(stale, 409, "conflict").await;
    assert_eq!(admin.delete(path).await.status(), 204);
    error(admin.delete(path).await, 404, "resource_not_found").await;
}

async fn what_cannot_be_used_is_refused_with_every_mistake_and_changes_nothing(database: Database) {
    let gateway = gateway(&database).await;
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    developer.put("/tenants/t/clusters/c", &tenant_cluster("c")).await;
    for (adaptor, config, says) in [
        ("direct-apy", json!({ "api_url": "https://x" }), "direct-apy"),
        ("../../secret.wasm", json!({ "api_url": "https://x" }), "only the operator can name"),
        ("direct-api", json!({}), "api_url"),
        (
            "direct-api",
            json!({ "api_url": "https://x", "api_key_env_name": "PATH" }),
            "only the operator can",
        ),
        ("direct-api", json!({ "api_url": "https://x", "api_key_secret": "none" }), "no secret"),
    ] {
        let spec = tenant_endpoint("c", "m", adaptor, config);
        let refused = developer.put("/tenants/t/endpoints/c-api-m", &spec).await;
        assert_eq!(refused.status(), 422, "{says}");
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["error"]["code"], "invalid_definition");
        let mistakes = &refused["error"]["details"]["mistakes"];
        assert!(mistakes.to_string().contains(says), "{says}: {refused}");
        assert!(mistakes[0]["remedy"].is_string());
    }
    assert_eq!(developer.read("/tenants/t/endpoints").await["data"], json!([]));
    let other_name = developer.put("/tenants/t/clusters/d", &tenant_cluster("c")).await;
    assert_eq!(error(other_name, 400, "invalid_value").await["param"], "name");
    let used = tenant_endpoint("c", "m", "direct-api", json!({ "api_url": "https://x.example" }));
    assert_eq!(developer.post("/tenants/t/endpoints", &used).await.status(), 201);
    assert_eq!(developer.delete("/tenants/t/clusters/c").await.status(), 422, "an endpoint is on it");
}

/// A tenant's secret goes to its origin, and can be read by nobody.
async fn a_secret_reaches_its_backend_and_nobody_else(database: Database) {
    let backend = Upstream::start(|_| async { answer(200, &completion()) }).await;
    let gateway = gateway(&database).await;
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    let origin = format!("http://{}", backend.address);
    let stored =
        developer.put("/tenants/t/secrets/key", &json!({ "value": "sk-4711", "origin": origin })).await;
    assert_eq!(stored.status(), 200, "{}", stored.text().await.unwrap());
    developer.put("/tenants/t/clusters/c", &tenant_cluster("c")).await;
    let config = json!({ "api_url": backend.url(), "api_key_secret": "key" });
    let made = developer.post("/tenants/t/endpoints", &tenant_endpoint("c", "m", "direct-api", config)).await;
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
    assert_eq!(within(developer.chat("m").send()).await.unwrap().status(), 200);
    assert_eq!(backend.only().headers["authorization"], "Bearer sk-4711");

    let elsewhere = json!({ "api_url": "https://elsewhere.example", "api_key_secret": "key" });
    let refused =
        developer.post("/tenants/t/endpoints", &tenant_endpoint("c", "n", "direct-api", elsewhere)).await;
    let refused = refused.text().await.unwrap();
    assert!(refused.contains("is for http://127.0.0.1"), "{refused}");
    let mut told = developer.read("/tenants/t/secrets").await.to_string();
    told += &developer.read("/tenants/t/secrets/key").await.to_string();
    told += &developer.read("/tenants/t/audit").await.to_string();
    let rows = gateway.store.documents(None, None).await.unwrap();
    told += &format!("{rows:?}");
    assert!(!told.contains("4711"), "{told}");
    assert!(!developer.read("/tenants/t/secrets/key").await.to_string().contains("ciphertext"));
    assert_eq!(developer.delete("/tenants/t/secrets/key").await.status(), 422, "an endpoint needs it");

    let keyless = TestGateway::builder().start().await;
    keyless.tenant("t").await;
    let developer = keyless.person("t", Role::Developer).await;
    let refused = developer.put("/tenants/t/secrets/key", &json!({ "value": "v", "origin": origin })).await;
    error(refused, 501, "secrets_unavailable").await;
}

async fn a_cluster_is_taken_down_and_up_again(database: Database) {
    let upstream = Upstream::json(completion()).await;
    let gateway = gateway(&database).await;
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    for (path, spec) in [
        ("clusters/c", tenant_cluster("c")),
        ("endpoints/c-api-m", tenant_endpoint("c", "m", "direct-api", json!({ "api_url": upstream.url() }))),
    ] {
        assert_eq!(developer.put(&format!("/tenants/t/{path}"), &spec).await.status(), 201);
    }
    let chat = async || within(developer.chat("m").send()).await.unwrap();
    assert_eq!(chat().await.status(), 200);
    let notice = json!({ "notice": "New cooling until Monday." });
    assert_eq!(developer.put("/tenants/t/maintenance/c", &notice).await.status(), 201);
    let told = error(chat().await, 503, "cluster_under_maintenance").await.to_string();
    assert!(told.contains("New cooling until Monday."), "{told}");
    assert_eq!(developer.read("/tenants/t/maintenance").await["data"][0]["spec"], notice);
    let user = gateway.person("t", Role::User).await;
    error(user.request("DELETE", "/tenants/t/maintenance/c").send().await.unwrap(), 403, "forbidden").await;
    assert_eq!(developer.request("DELETE", "/tenants/t/maintenance/c").send().await.unwrap().status(), 204);
    assert_eq!(chat().await.status(), 200);

    error(developer.put("/tenants/t/maintenance/x", &notice).await, 404, "resource_not_found").await;
    for wrong in [json!({ "notice": " " }), json!({}), json!({ "notice": "x", "until": 1 })] {
        error(developer.put("/tenants/t/maintenance/c", &wrong).await, 400, "invalid_value").await;
    }
    // What the operator's files define is taken down in the same way, by an operator.
    let operator = gateway.person("default", Role::Operator).await;
    error(operator.put("/tenants/default/maintenance/x", &notice).await, 404, "resource_not_found").await;
    assert_eq!(operator.put("/tenants/default/maintenance/c", &notice).await.status(), 201);
    assert_eq!(
        gateway.gateway.catalog("default").cluster("c").unwrap().maintenance.as_deref(),
        notice["notice"].as_str()
    );
}

async fn endpoints_are_shared_by_their_owner_alone(database: Database) {
    let backend = Upstream::start(|_| async { answer(200, &completion()) }).await;
    let gateway = gateway(&database).await;
    for tenant in ["a", "b", "c"] {
        gateway.tenant(tenant).await;
    }
    let owner = gateway.person("a", Role::Developer).await;
    owner.put("/tenants/a/clusters/c", &tenant_cluster("c")).await;
    let mut spec = tenant_endpoint("c", "m", "direct-api", json!({ "api_url": backend.url() }));
    spec["shared_with"] = json!(["b"]);
    assert_eq!(owner.post("/tenants/a/endpoints", &spec).await.status(), 201);
    let (friend, stranger) =
        (gateway.person("b", Role::Developer).await, gateway.person("c", Role::User).await);
    assert_eq!(within(friend.chat("m").send()).await.unwrap().status(), 200);
    assert_eq!(within(stranger.chat("m").send()).await.unwrap().status(), 404);
    // What is the friend's own comes first, and the owner's clusters are no part of its paths.
    assert!(friend.read("/tenants/b/routes/m").await["why"].as_str().unwrap().contains("share"));
    spec["shared_with"] = json!([]);
    owner.put("/tenants/a/endpoints/c-api-m", &spec).await;
    assert_eq!(within(friend.chat("m").send()).await.unwrap().status(), 404);
}

async fn keys_are_made_used_and_revoked(database: Database) {
    let gateway = gateway(&database).await;
    gateway.tenant("t").await;
    let admin = gateway.person("t", Role::Admin).await;
    let order =
        json!({ "name": "ci", "role": "developer", "scopes": ["read", "write"], "expires_in_seconds": 3600 });
    let made = admin.post("/tenants/t/keys", &order).await;
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    let secret = made["key"].as_str().unwrap();
    let with = async |path: &str| {
        let request = gateway.anonymous("GET", path).bearer_auth(secret);
        within(request.send()).await.unwrap().status().as_u16()
    };
    assert_eq!(with("/admin/v1/tenants/t/clusters").await, 200, "at once");
    assert_eq!(with("/v1/models").await, 403, "it is not for inference");
    let listed = admin.read("/tenants/t/keys").await;
    assert!(!listed.to_string().contains(secret), "{listed}");
    error(admin.post("/tenants/t/keys", &order).await, 409, "conflict").await;
    assert_eq!(admin.delete("/tenants/t/keys/ci").await.status(), 204);
    assert_eq!(with("/admin/v1/tenants/t/clusters").await, 401, "at once");
    for (bad, param) in [
        (json!({ "name": "a/b" }), "name"),
        (json!({ "name": "x", "role": "king" }), "role"),
        (json!({ "name": "x", "scopes": ["all"] }), "scopes"),
        (json!({ "name": "x", "expires_in_seconds": 0 }), "expires_in_seconds"),
    ] {
        assert_eq!(
            error(admin.post("/tenants/t/keys", &bad).await, 400, "invalid_value").await["param"],
            param
        );
    }
}

async fn a_tenant_goes_with_all_that_it_has(database: Database) {
    let gateway = gateway(&database).await;
    gateway.tenant("t").await;
    let operator = gateway.person("default", Role::Operator).await;
    let developer = gateway.person("t", Role::Developer).await;
    developer.put("/tenants/t/clusters/c", &tenant_cluster("c")).await;
    developer.push("/tenants/t/adaptors/mine/versions", std::fs::read(adaptor("direct-api")).unwrap()).await;
    let stale = operator.request("DELETE", "/tenants/t").header("if-match", "\"1\"").send();
    error(within(stale).await.unwrap(), 409, "conflict").await;
    assert_eq!(developer.get("/tenants/t/clusters").await.status(), 200, "its keys are as they were");
    assert_eq!(operator.delete("/tenants/t").await.status(), 204);
    assert_eq!(operator.get("/tenants/t").await.status(), 404);
    assert_eq!(developer.get("/tenants/t/clusters").await.status(), 401, "its keys are revoked");
    assert!(gateway.store.documents(Some("t"), None).await.unwrap().is_empty());
    error(operator.delete("/tenants/default").await, 403, "forbidden").await;
    // A name can be used again, and nothing of the old one is there.
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    assert_eq!(developer.read("/tenants/t/clusters").await["data"], json!([]));
}

async fn a_tenant_finds_nothing_of_one_that_had_its_name(database: Database) {
    let gateway = gateway(&database).await;
    let operator = gateway.person("default", Role::Operator).await;
    let run = async |script: Value| {
        let developer = gateway.person("t", Role::Developer).await;
        developer.push("/tenants/t/adaptors/kv/versions", std::fs::read(guest("kv")).unwrap()).await;
        developer.put("/tenants/t/clusters/c", &tenant_cluster("c")).await;
        developer.post("/tenants/t/endpoints", &tenant_endpoint("c", "m", "kv", json!({}))).await;
        let mut body = airlock_tests::chat_body(false);
        body["script"] = json!([script]);
        let answer: Value =
            within(developer.chat("m").json(&body).send()).await.unwrap().json().await.unwrap();
        answer["results"][0].clone()
    };
    gateway.tenant("t").await;
    assert_eq!(run(json!({ "op": "set", "key": "a", "value": "1" })).await, true);
    assert_eq!(run(json!({ "op": "get", "key": "a" })).await, "1");
    assert_eq!(operator.delete("/tenants/t").await.status(), 204);
    gateway.tenant("t").await;
    assert_eq!(run(json!({ "op": "get", "key": "a" })).await, Value::Null);
}

async fn lists_come_in_pages(database: Database) {
    let gateway = gateway(&database).await;
    gateway.tenant("t").await;
    let developer = gateway.person("t", Role::Developer).await;
    for n in 0..5 {
        let name = format!("c{n}");
        developer.put(&format!("/tenants/t/clusters/{name}"), &tenant_cluster(&name)).await;
    }
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let page = developer.read(&format!("/tenants/t/clusters?limit=2{after}")).await;
        names.extend(page["data"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()));
        if page["has_more"] == false {
            break;
        }
        after = format!("&after={}", page["next"].as_str().unwrap());
    }
    assert_eq!(names, ["c0", "c1", "c2", "c3", "c4"]);
    error(developer.get("/tenants/t/clusters?limit=0").await, 400, "invalid_value").await;
}
