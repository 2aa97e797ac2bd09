//! Records of requests in the store: written behind the requests, bounded, and lost by nobody's silence.

use std::{sync::Arc, time::Duration};

use airlock::{
    accounts::{Accounts, CAPACITY, Whereabouts},
    gauge::Gauge,
    ledger::{Entry, Ledger, MAX_EXCERPT, Outcome},
    store::{StoredRecord, UsageKey, UsageQuery},
};
use airlock_sandbox::Operation;
use airlock_tests::{
    Database, PostgresServer, TestGateway, Upstream, chat_body, completion, guest, json as answer,
    on_both_databases, sse, until, within,
};
use serde_json::{Value, json};

on_both_databases!(
    each_request_leaves_one_record,
    what_clients_write_does_not_stop_the_ledger,
    names_that_clients_make_up_are_no_rows_that_stay,
    prompts_and_results_are_kept_where_the_cluster_wants_it,
    prompts_and_results_are_kept_nowhere_else,
    long_prompts_are_cut_and_marked,
    old_records_go_and_their_sums_stay,
    who_has_no_key_does_not_fill_the_store,
);

async fn gateway(database: &Database, upstream: &Upstream, cluster: Value) -> TestGateway {
    TestGateway::builder()
        .database(database)
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .cluster(cluster)
        .start()
        .await
}

/// Sends it, reads the answer to its end, and waits for the `n`th record.
async fn settled(gateway: &TestGateway, request: reqwest::RequestBuilder, n: usize) {
    let response = within(request.send()).await.unwrap();
    within(response.bytes()).await.unwrap();
    gateway.ledger.nth(n).await;
}

/// All that is stored, newest first.
async fn stored(gateway: &TestGateway) -> Vec<StoredRecord> {
    gateway.gateway.settle().await.unwrap();
    gateway.store.newest_records(None, 1000).await.unwrap()
}

fn body(model: &str, text: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
}

async fn each_request_leaves_one_record(database: Database) {
    let upstream = Upstream::start(|seen| async move {
        let is_bad = seen.json()["messages"][0]["content"] == "fail";
        if is_bad {
            answer(500, &json!({ "error": { "message": "no" } }))
        } else {
            answer(200, &completion())
        }
    })
    .await;
    let gateway = gateway(&database, &upstream, json!({})).await;
    settled(&gateway, gateway.chat().header("x-request-id", "good"), 1).await;
    settled(&gateway, gateway.post("/v1/chat/completions", &body("m", "fail")), 2).await;
    settled(&gateway, gateway.post("/v1/chat/completions", &body("other", "x")), 3).await;
    settled(&gateway, gateway.anonymous("POST", "/v1/chat/completions").json(&chat_body(false)), 4).await;
    let [anonymous, unknown, failed, good] = stored(&gateway).await.try_into().unwrap();
    let key = gateway.ledger.nth(1).await;
    assert_eq!((good.request_id.as_str(), good.status, good.cause.as_str()), ("good", 200, "none"));
    assert_eq!(good.tenant.as_deref(), Some("default"));
    assert_eq!(good.user.as_deref(), key.user.as_deref());
    assert_eq!((good.model.as_deref(), good.endpoint.as_deref()), (Some("m"), Some("c-api-m")));
    assert_eq!((good.total_tokens, good.error), (Some(7), None));
    assert!(good.cpu_us > 0 && good.memory_bytes >= 65_536, "{} {}", good.cpu_us, good.memory_bytes);
    assert_eq!(good.egress_bytes, i64::try_from(upstream.seen()[0].body.len()).unwrap());
    assert_eq!((failed.status, failed.error.as_deref()), (500, Some("upstream_error")));
    assert_eq!(failed.cause, "upstream");
    assert_eq!((unknown.status, unknown.cause.as_str(), unknown.endpoint), (404, "caller", None));
    assert_eq!((anonymous.status, anonymous.tenant, anonymous.user), (401, None, None));
    let Whereabouts { written, dropped, waiting } =
        gateway.gateway.records().accounts().unwrap().whereabouts();
    assert_eq!((written, dropped, waiting), (4, 0, 0));
}

/// A NUL cannot be stored in PostgreSQL, and numbers of backends may be larger than any sum.
async fn what_clients_write_does_not_stop_the_ledger(database: Database) {
    let mut told = completion();
    told["usage"]["total_tokens"] = json!(u64::MAX);
    let upstream = Upstream::json(told).await;
    let gateway = gateway(&database, &upstream, json!({ "log_content": true })).await;
    for (n, model) in ["a\0b".to_owned(), "é".repeat(200_000)].iter().enumerate() {
        settled(&gateway, gateway.post("/v1/chat/completions", &body(model, "x")), n + 1).await;
    }
    settled(&gateway, gateway.post("/v1/chat/completions", &body("m", "a\0b")), 3).await;
    settled(&gateway, gateway.chat(), 4).await;
    let found = stored(&gateway).await;
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(found[3].model.as_deref(), Some("a\u{fffd}b"));
    assert!(found[2].model.as_ref().is_some_and(|model| model.len() <= 256));
}

async fn names_that_clients_make_up_are_no_rows_that_stay(database: Database) {
    let upstream = Upstream::json(completion()).await;
    let gateway = gateway(&database, &upstream, json!({})).await;
    for n in 1..=20 {
        settled(&gateway, gateway.post("/v1/chat/completions", &body(&format!("made-up-{n}"), "x")), n).await;
    }
    settled(&gateway, gateway.chat(), 21).await;
    assert_eq!(stored(&gateway).await.len(), 21);
    let query = UsageQuery { by: vec![UsageKey::Model], ..UsageQuery::default() };
    let lines = gateway.store.usage_report(&query, None, 100).await.unwrap();
    let lines: Vec<_> = lines.iter().map(|line| (line.keys[0].as_str(), line.sums.requests)).collect();
    assert_eq!(lines, [("", 20), ("m", 1)]);
}

/// A backend that repeats what it was asked where it refuses it.
async fn repeating() -> Upstream {
    Upstream::start(|seen| async move {
        let asked = seen.json();
        match asked["messages"][0]["content"].as_str() {
            Some("fail-secret") => answer(400, &json!({ "error": { "message": "fail-secret is bad" } })),
            _ if asked["stream"] == true => {
                sse(airlock_tests::chunks(["data: {\"a\":\"secret\"}\n\n", "data: [DONE]\n\n"]))
            }
            _ => answer(200, &completion()),
        }
    })
    .await
}

/// The records of a whole answer, a stream and a refusal.
async fn spoken(gateway: &TestGateway) -> [StoredRecord; 3] {
    settled(gateway, gateway.post("/v1/chat/completions", &body("m", "a-secret")), 1).await;
    settled(gateway, gateway.chat_stream(), 2).await;
    settled(gateway, gateway.post("/v1/chat/completions", &body("m", "fail-secret")), 3).await;
    let mut found = stored(gateway).await;
    found.reverse();
    found.try_into().unwrap()
}

async fn prompts_and_results_are_kept_where_the_cluster_wants_it(database: Database) {
    let upstream = repeating().await;
    let gateway = gateway(&database, &upstream, json!({ "log_content": true })).await;
    let [whole, streamed, failed] = spoken(&gateway).await;
    let [(prompt, is_cut), (result, _)] = whole.content.unwrap();
    assert!(prompt.contains("a-secret") && !is_cut, "{prompt}");
    assert_eq!(result, completion().to_string());
    let [_, (result, _)] = streamed.content.unwrap();
    assert_eq!(result, "data: {\"a\":\"secret\"}\n\ndata: [DONE]\n\n");
    let [(prompt, _), (result, _)] = failed.content.unwrap();
    assert!(prompt.contains("fail-secret") && result.is_empty());
}

async fn prompts_and_results_are_kept_nowhere_else(database: Database) {
    let upstream = repeating().await;
    let gateway = gateway(&database, &upstream, json!({})).await;
    for record in spoken(&gateway).await {
        assert_eq!(record.content, None);
    }
    if database.url().is_none() {
        let files = std::fs::read_dir(gateway.data())
            .unwrap()
            .filter_map(|file| std::fs::read(file.unwrap().path()).ok());
        for file in files {
            assert!(!String::from_utf8_lossy(&file).contains("secret"));
        }
    }
}

async fn long_prompts_are_cut_and_marked(database: Database) {
    let upstream = Upstream::json(completion()).await;
    let gateway = gateway(&database, &upstream, json!({ "log_content": true })).await;
    let long = "x".repeat(3 * MAX_EXCERPT);
    settled(&gateway, gateway.post("/v1/chat/completions", &body("m", &long)), 1).await;
    let [record] = stored(&gateway).await.try_into().unwrap();
    let [(prompt, prompt_cut), (_, result_cut)] = record.content.unwrap();
    assert_eq!((prompt.len(), prompt_cut, result_cut), (MAX_EXCERPT, true, false));
}

/// A request that is over, of this age.
fn request(accounts: &Accounts, id: &str, tenant: Option<&str>, age: Duration) {
    let ledger = Arc::new(accounts.clone()) as Arc<dyn Ledger>;
    let open = Gauge::default().count();
    let mut entry = Entry::open(ledger, open, id.into(), Operation::ChatCompletions);
    entry.note(|r| {
        r.tenant = tenant.map(Into::into);
        r.at -= age;
        r.outcome = Outcome::Completed;
    });
}

const DAY: Duration = Duration::from_secs(86_400);

async fn old_records_go_and_their_sums_stay(database: Database) {
    let store = database.open().await;
    let accounts = Accounts::new(&store, 30);
    for (id, days) in [("young", 0), ("almost", 29), ("old", 31), ("older", 400)] {
        request(&accounts, id, Some("t"), DAY * days);
    }
    accounts.flush().await.unwrap();
    accounts.prune().await.unwrap();
    let left = store.newest_records(Some("t"), 10).await.unwrap();
    let left: Vec<&str> = left.iter().map(|record| record.request_id.as_str()).collect();
    assert_eq!(left, ["young", "almost"]);
    let query = UsageQuery { by: vec![UsageKey::Day], ..UsageQuery::default() };
    assert_eq!(store.usage_report(&query, None, 10).await.unwrap().len(), 4);
}

async fn who_has_no_key_does_not_fill_the_store(database: Database) {
    let accounts = Accounts::new(&database.open().await, 30);
    for n in 0..100 {
        request(&accounts, &n.to_string(), None, Duration::ZERO);
        request(&accounts, &n.to_string(), Some("t"), Duration::ZERO);
    }
    accounts.flush().await.unwrap();
    assert_eq!(accounts.whereabouts(), Whereabouts { written: 160, dropped: 40, waiting: 0 });
}

#[tokio::test]
async fn what_does_not_fit_is_counted_and_the_rest_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = airlock::store::Store::open(folder.path()).await.unwrap();
    let accounts = Accounts::new(&store, 30);
    let (file, away) = (folder.path().join("airlock.sqlite3"), folder.path().join("away"));
    std::fs::rename(&file, &away).unwrap();
    for n in 0..CAPACITY + 123 {
        request(&accounts, &n.to_string(), Some("t"), Duration::ZERO);
    }
    accounts.flush().await.unwrap_err();
    let all = CAPACITY as u64;
    assert_eq!(accounts.whereabouts(), Whereabouts { written: 0, dropped: 123, waiting: all });
    accounts.flush().await.unwrap_err();
    std::fs::rename(&away, &file).unwrap();
    accounts.flush().await.unwrap();
    assert_eq!(accounts.whereabouts(), Whereabouts { written: all, dropped: 123, waiting: 0 });
    let query = UsageQuery { by: vec![UsageKey::Tenant], ..UsageQuery::default() };
    let lines = store.usage_report(&query, None, 10).await.unwrap();
    assert_eq!(lines[0].sums.requests, i64::try_from(CAPACITY).unwrap());
}

#[tokio::test]
async fn a_database_that_dies_under_load_costs_no_request_and_gets_the_records_when_it_is_back() {
    let Some(server) = PostgresServer::start() else { return };
    let database = Database::on(&server).await;
    let gateway =
        TestGateway::builder().database(&database).endpoint("m", guest("echo"), json!({})).start().await;
    let accounts = gateway.gateway.records().accounts().unwrap();
    let ask = async |count: u64| {
        for _ in 0..count {
            let response = within(gateway.chat().send()).await.unwrap();
            assert_eq!(response.status(), 200);
            within(response.bytes()).await.unwrap();
        }
    };
    ask(10).await;
    until(async || accounts.whereabouts().written == 10).await;
    server.stop();
    ask(30).await;
    assert_eq!(accounts.whereabouts(), Whereabouts { written: 10, dropped: 0, waiting: 30 });
    server.resume();
    until(async || accounts.whereabouts().written == 40).await;
    ask(5).await;
    until(async || accounts.whereabouts().written == 45).await;
    assert_eq!(gateway.store.newest_records(None, 100).await.unwrap().len(), 45);
}

#[tokio::test]
async fn where_records_are_not_wanted_there_are_none() {
    let gateway = TestGateway::builder()
        .endpoint("m", guest("echo"), json!({}))
        .settings(|s| s.ledger.records = false)
        .start()
        .await;
    settled(&gateway, gateway.chat(), 1).await;
    assert!(gateway.gateway.records().accounts().is_none());
    assert_eq!(stored(&gateway).await, []);
}
