//! What was used, by tenant, user, model and day: over the API and on the command line.

use airlock::auth::{Role, Scope};
use airlock_tests::{
    Airlock, Database, TestGateway, Upstream, chat_body, completion, error, guest, on_both_databases,
    target_dir, tenant_cluster, tenant_endpoint, unix_now, until, within,
};
use serde_json::{Value, json};

on_both_databases!(
    a_report_is_broken_down_and_filtered,
    a_report_comes_in_pages,
    a_tenants_admin_sees_their_own_and_nobody_elses,
    a_tenant_that_is_made_anew_has_used_nothing,
    endpoints_that_others_share_are_not_named,
    names_in_a_csv_are_never_formulas,
);

/// Models `m` and `=1+1`, shared with everybody, of which each answer has seven tokens.
async fn gateway(database: &Database) -> (TestGateway, Upstream) {
    let upstream = Upstream::json(completion()).await;
    let config = || json!({ "api_url": upstream.url() });
    let gateway = TestGateway::builder()
        .database(database)
        .endpoint("m", "direct-api", config())
        .fields(json!({ "shared_with": ["*"] }))
        .endpoint("=1+1", "direct-api", config())
        .fields(json!({ "shared_with": ["*"] }))
        .settings(|s| s.egress.allow_networks = vec!["127.0.0.0/8".parse().unwrap()])
        .start()
        .await;
    (gateway, upstream)
}

async fn ask(gateway: &TestGateway, key: &str, model: &str) {
    let mut body = chat_body(false);
    body["model"] = json!(model);
    let request = gateway.anonymous("POST", "/v1/chat/completions").bearer_auth(key).json(&body);
    let response = within(request.send()).await.unwrap();
    assert_eq!(response.status(), 200);
    within(response.bytes()).await.unwrap();
}

/// Two requests of `default` for `m`, one for `=1+1`, and one of tenant `t` for `m`. Gives the key of `t`.
async fn used(gateway: &TestGateway) -> String {
    gateway.tenant("t").await;
    let user = gateway.person("t", Role::User).await;
    for (key, model) in [(&gateway.key, "m"), (&gateway.key, "m"), (&gateway.key, "=1+1"), (&user.key, "m")] {
        ask(gateway, key, model).await;
    }
    gateway.ledger.nth(4).await;
    gateway.gateway.settle().await.unwrap();
    user.key
}

/// The lines of a report: what each is for, and its requests and tokens.
fn lines(report: &Value, keys: &[&str]) -> Vec<(Vec<String>, u64, u64)> {
    let text = |line: &Value, key: &&str| line[*key].as_str().unwrap_or("MISSING").to_owned();
    let line = |line: &Value| {
        let keys = keys.iter().map(|key| text(line, key)).collect();
        (keys, line["requests"].as_u64().unwrap(), line["total_tokens"].as_u64().unwrap())
    };
    report["data"].as_array().unwrap().iter().map(line).collect()
}

fn line(keys: &[&str], requests: u64) -> (Vec<String>, u64, u64) {
    (keys.iter().map(|key| (*key).to_owned()).collect(), requests, 7 * requests)
}

async fn a_report_is_broken_down_and_filtered(database: Database) {
    let (gateway, _upstream) = gateway(&database).await;
    used(&gateway).await;
    let operator = gateway.person("default", Role::Operator).await;
    let by_tenant = operator.read("/usage?by=tenant").await;
    assert_eq!(lines(&by_tenant, &["tenant"]), [line(&["default"], 3), line(&["t"], 1)]);
    assert_eq!(by_tenant["data"][0].get("model"), None, "{by_tenant}");
    let both = operator.read("/usage?by=model,tenant").await;
    let expected = [line(&["=1+1", "default"], 1), line(&["m", "default"], 2), line(&["m", "t"], 1)];
    assert_eq!(lines(&both, &["model", "tenant"]), expected);
    let one = operator.read("/usage?by=endpoint,operation&tenant=default&model=m").await;
    assert_eq!(lines(&one, &["endpoint", "operation"]), [line(&["c-api-m", "chat/completions"], 2)]);
    let days = operator.read("/usage?by=day").await;
    let today = days["data"][0]["day"].as_str().unwrap().to_owned();
    let within_day = operator.read(&format!("/usage?by=day&from={today}&to={today}")).await;
    assert_eq!(lines(&within_day, &["day"]), [line(&[&today], 4)]);
    assert_eq!(lines(&operator.read("/usage?by=day&from=2999-01-01").await, &["day"]), []);
    assert_eq!(lines(&operator.read("/usage?by=day&to=1999-12-31").await, &["day"]), []);
    for bad in [
        "by=",
        "by=tenant,tenant",
        "by=secret",
        "from=x",
        "to=2026-13-01",
        "page=1",
        "limit=0",
        "format=xml",
        "user=%00",
        "after=x",
        "after=%5B%22a%22%5D",
        "format=csv&limit=1",
    ] {
        error(operator.get(&format!("/usage?{bad}")).await, 400, "invalid_value").await;
    }
}

async fn a_report_comes_in_pages(database: Database) {
    let (gateway, _upstream) = gateway(&database).await;
    used(&gateway).await;
    let operator = gateway.person("default", Role::Operator).await;
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = operator.read(&format!("/usage?by=model,tenant&limit=1{next}")).await;
        found.extend(lines(&page, &["model", "tenant"]));
        let Some(after) = page["next"].as_str() else { break };
        assert_eq!(page["has_more"], true);
        let after: String = url::form_urlencoded::byte_serialize(after.as_bytes()).collect();
        next = format!("&after={after}");
    }
    let all = operator.read("/usage?by=model,tenant").await;
    assert_eq!(found, lines(&all, &["model", "tenant"]));
    assert_eq!(found.len(), 3);
}

async fn a_tenants_admin_sees_their_own_and_nobody_elses(database: Database) {
    let (gateway, _upstream) = gateway(&database).await;
    used(&gateway).await;
    let admin = gateway.person("t", Role::Admin).await;
    let own = admin.read("/tenants/t/usage/report?by=tenant").await;
    assert_eq!(lines(&own, &["tenant"]), [line(&["t"], 1)]);
    error(admin.get("/tenants/default/usage/report").await, 404, "resource_not_found").await;
    error(admin.get("/tenants/t/usage/report?tenant=default").await, 400, "invalid_value").await;
    error(admin.get("/usage").await, 403, "forbidden").await;
    error(admin.get("/usage?tenant=t").await, 403, "forbidden").await;
    let operator = gateway.person("default", Role::Operator).await;
    assert_eq!(
        lines(&operator.read("/tenants/t/usage/report?by=tenant").await, &["tenant"]),
        [line(&["t"], 1)]
    );
    for (role, scopes, code) in [
        (Role::Developer, &[Scope::Read][..], "forbidden"),
        (Role::User, &[Scope::Read], "forbidden"),
        (Role::Admin, &[Scope::Inference, Scope::Write], "insufficient_scope"),
    ] {
        let other = gateway.person_with("t", role, scopes).await;
        error(other.get("/tenants/t/usage/report").await, 403, code).await;
    }
    assert_eq!(gateway.anonymous("GET", "/admin/v1/usage").send().await.unwrap().status(), 401);
}

/// What it used was partly written down before it went, and partly after that.
async fn a_tenant_that_is_made_anew_has_used_nothing(database: Database) {
    let (gateway, _upstream) = gateway(&database).await;
    let old = used(&gateway).await;
    let operator = gateway.person("default", Role::Operator).await;
    ask(&gateway, &old, "m").await;
    gateway.ledger.nth(5).await;
    let gone_at = unix_now();
    assert_eq!(operator.delete("/tenants/t").await.status(), 204);
    // Tenants of one name are told apart by the second in which they were made.
    until(async || unix_now() > gone_at).await;
    gateway.tenant("t").await;
    gateway.gateway.settle().await.unwrap();
    let admin = gateway.person("t", Role::Admin).await;
    let own = "/tenants/t/usage/report?by=tenant,model";
    assert_eq!(lines(&admin.read(own).await, &["tenant", "model"]), []);
    ask(&gateway, &admin.key, "m").await;
    gateway.ledger.nth(6).await;
    gateway.gateway.settle().await.unwrap();
    assert_eq!(lines(&admin.read(own).await, &["tenant", "model"]), [line(&["t", "m"], 1)]);
    let all = operator.read("/usage?by=tenant").await;
    assert_eq!(lines(&all, &["tenant"]), [line(&["default"], 3), line(&["t"], 1), line(&["t (deleted)"], 2)]);
    for (tenant, requests) in [("t", 1), ("t%20(deleted)", 2)] {
        let one = operator.read(&format!("/usage?by=model&tenant={tenant}")).await;
        assert_eq!(lines(&one, &["model"]), [line(&["m"], requests)]);
    }
}

/// A slug tells cluster and framework. The tenant's own has the same one.
async fn endpoints_that_others_share_are_not_named(database: Database) {
    let (gateway, upstream) = gateway(&database).await;
    used(&gateway).await;
    let admin = gateway.person("t", Role::Admin).await;
    let own = "/tenants/t/usage/report?by=endpoint,model";
    assert_eq!(lines(&admin.read(own).await, &["endpoint", "model"]), [line(&["", "m"], 1)]);
    admin.put("/tenants/t/clusters/c", &tenant_cluster("c")).await;
    let spec = tenant_endpoint("c", "m", "direct-api", json!({ "api_url": upstream.url() }));
    assert_eq!(admin.post("/tenants/t/endpoints", &spec).await.status(), 201);
    ask(&gateway, &admin.key, "m").await;
    gateway.ledger.nth(5).await;
    gateway.gateway.settle().await.unwrap();
    let seen = lines(&admin.read(own).await, &["endpoint", "model"]);
    assert_eq!(seen, [line(&["", "m"], 1), line(&["c-api-m", "m"], 1)]);
    let operator = gateway.person("default", Role::Operator).await;
    for path in [own, "/usage?tenant=t&by=endpoint,model"] {
        let seen = lines(&operator.read(path).await, &["endpoint", "model"]);
        assert_eq!(seen, [line(&["c-api-m", "m"], 2)]);
    }
}

async fn names_in_a_csv_are_never_formulas(database: Database) {
    let (gateway, _upstream) = gateway(&database).await;
    used(&gateway).await;
    let operator = gateway.person("default", Role::Operator).await;
    let expected = "model,requests,errors,prompt_tokens,completion_tokens,total_tokens";
    let asked = operator.request("GET", "/usage?by=model").header("accept", "text/csv, */*;q=0.1");
    let by_accept = within(asked.send()).await.unwrap();
    assert_eq!(by_accept.headers()["content-type"], "text/csv; charset=utf-8");
    let text = by_accept.text().await.unwrap();
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert!(rows[0].starts_with(expected), "{text}");
    assert!(rows[1].starts_with("'=1+1,1,0,3,4,7,"), "{text}");
    assert!(rows[2].starts_with("m,3,0,9,12,21,"), "{text}");
    let by_format = operator.get("/usage?by=model&format=csv").await.text().await.unwrap();
    assert_eq!(by_format, text);
}

#[tokio::test]
async fn the_command_line_reads_the_store_and_a_gateway_alike() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("fixtures")).unwrap();
    let fixtures = TestGateway::builder().endpoint("m", guest("echo"), json!({})).write_only();
    let fixtures = fixtures.path().join("fixtures").display().to_string();
    let run = async |arguments: &[&str], env: &[(&str, &str)]| {
        let done = Airlock::run_with(folder.path(), arguments, env).await;
        assert_eq!(done.code, 0, "{done:?}");
        done.stdout
    };
    let order = ["keys", "create", "op", "--role", "operator", "--scope", "read", "--scope", "inference"];
    let key = run(&[&order[..], &["--data", "data"]].concat(), &[]).await.trim().to_owned();
    let adaptors = target_dir().join("adaptors").display().to_string();
    let guests = target_dir().join("guests").display().to_string();
    let serve = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        "data",
        "--fixtures",
        &fixtures,
        "--adaptors",
        &adaptors,
    ];
    let read = format!("[{guests:?}]");
    let mut airlock = Airlock::start(
        folder.path(),
        &serve,
        &[("AIRLOCK_PROCESS__READ_PATHS", &read), ("AIRLOCK_LOG", "off")],
    );
    let url = airlock.line().await.strip_prefix("url=").unwrap().to_owned();
    assert_eq!(airlock.line().await, "ready");
    let chat = reqwest::Client::new().post(format!("{url}/chat/completions")).bearer_auth(&key);
    let response = within(chat.json(&chat_body(false)).send()).await.unwrap();
    assert_eq!(response.status(), 200);
    let _ = within(response.bytes()).await.unwrap();
    let remote = ["usage", "--url", &url, "--by", "tenant,model", "--output", "csv"];
    let env = [("AIRLOCK_KEY", key.as_str())];
    until(async || run(&remote, &env).await.contains("default,m,1,")).await;
    let told = run(&remote, &env).await;
    // The last records are written when it stops.
    let chat = reqwest::Client::new().post(format!("{url}/chat/completions")).bearer_auth(&key);
    let _ = within(within(chat.json(&chat_body(false)).send()).await.unwrap().bytes()).await.unwrap();
    airlock.signal("TERM").await;
    assert_eq!(airlock.finished().await.code, 0);
    let local = ["usage", "--data", "data", "--by", "tenant,model"];
    let csv = run(&[&local[..], &["-o", "csv"]].concat(), &[]).await;
    assert!(csv.contains("default,m,2,") && csv.lines().next() == told.lines().next(), "{csv}");
    let json: Value = serde_json::from_str(&run(&[&local[..], &["-o", "json"]].concat(), &[]).await).unwrap();
    assert_eq!((&json[0]["model"], &json[0]["requests"]), (&json!("m"), &json!(2)));
    let table = run(&[&local[..], &["--tenant", "default", "--from", "2020-01-01"]].concat(), &[]).await;
    assert!(table.starts_with("TENANT   MODEL  REQUESTS"), "{table}");
    let bad = Airlock::run(folder.path(), &["usage", "--data", "data", "--by", "secret"]).await;
    assert!(bad.code != 0 && bad.stderr.contains("it is one of day, tenant"), "{bad:?}");
}
