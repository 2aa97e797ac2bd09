//! FIRST's batches: started by an adaptor, followed in the background, kept in the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use airlock_tests::{
    Database, GatewayBuilder, TestGateway, Upstream, eventually, guest, json, on_both_databases,
    refused_address, until, within,
};
use serde_json::{Value, json};

on_both_databases!(
    a_batch_goes_from_submit_to_result,
    a_result_that_is_read_once_only_is_kept,
    failures_are_told_and_passing_ones_are_waited_out,
    a_caller_has_two_active_batches_and_one_for_each_file,
    a_batch_is_its_owners_alone,
    wrong_orders_are_refused_and_start_nothing,
    a_batch_that_is_not_accepted_takes_no_place,
    a_restart_goes_on_with_active_batches_and_fails_those_half_started,
    a_client_that_leaves_while_it_submits_finds_its_batch_in_the_list,
);

const SUBMIT: &str = "/resource_server/c/api/v1/batches";
const LIST: &str = "/resource_server/v1/batches";

/// A backend whose batches stand where the test puts them.
#[derive(Clone, Default)]
struct Backend {
    /// What the next status call of a handle says.
    says: Arc<Mutex<HashMap<String, Value>>>,
    /// Results that are handed out once.
    results: Arc<Mutex<HashMap<String, String>>>,
}

impl Backend {
    async fn start(&self) -> Upstream {
        let this = self.clone();
        Upstream::start(move |seen| {
            let this = this.clone();
            async move {
                let path = seen.uri.path().split("/batches/").nth(1).unwrap_or_default();
                let handle = path.trim_end_matches("/result").to_owned();
                match (seen.method.as_str(), seen.uri.path().ends_with("/result")) {
                    ("POST", _) => {
                        let handle = seen.json()["input"].as_str().unwrap().trim_matches('/').to_owned();
                        let tasks = [format!("{handle}-1"), format!("{handle}-2")];
                        json(200, &json!({ "handle": handle, "tasks": tasks, "state": "pending" }))
                    }
                    (_, true) => match this.results.lock().unwrap().remove(&handle) {
                        Some(result) => json(200, &Value::String(result)),
                        None => json(500, &json!({})),
                    },
                    _ => match this.says.lock().unwrap().get(&handle) {
                        Some(said) => json(said["status"].as_u64().unwrap_or(200) as u16, said),
                        None => json(200, &json!({ "state": "pending" })),
                    },
                }
            }
        })
        .await
    }

    fn say(&self, handle: &str, said: Value) {
        self.says.lock().unwrap().insert(handle.to_owned(), said);
    }
}

fn builder(url: &str, database: &Database) -> GatewayBuilder {
    TestGateway::builder()
        .database(database)
        .endpoint("m", guest("batch"), json!({ "api_url": url, "batch": true }))
        .endpoint("off", guest("batch"), json!({ "api_url": url }))
        .endpoint("plain", guest("echo"), json!({}))
        .settings(|s| s.batch.poll_seconds = 1)
}

async fn submit(gateway: &TestGateway, file: &str) -> (u16, Value) {
    answer(gateway.post(SUBMIT, &json!({ "model": "m", "input_file": file }))).await
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn get(gateway: &TestGateway, path: &str) -> (u16, Value) {
    answer(gateway.request("GET", path)).await
}

async fn reaches(gateway: &TestGateway, id: &str, status: &str) {
    until(async || get(gateway, &format!("{LIST}/{id}")).await.1 == status).await;
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

async fn a_batch_goes_from_submit_to_result(database: Database) {
    let backend = Backend::default();
    let upstream = backend.start().await;
    let gateway = builder(&upstream.url(), &database).start().await;
    let order = json!({ "model": "m", "input_file": "/f", "output_folder_path": "/out" });
    let (status, batch) = answer(gateway.post(SUBMIT, &order)).await;
    assert_eq!(status, 200, "{batch}");
    let id = batch["batch_id"].as_str().unwrap();
    let expected = json!({ "batch_id": id, "input_file": "/f", "output_folder_path": "/out",
        "task_ids": "f-1,f-2", "status": "pending" });
    assert_eq!(batch, expected);
    let sent = upstream.seen()[0].json();
    let told = json!({ "id": id, "model": "m", "input": "/f", "output": "/out", "user": "test" });
    assert_eq!(sent, told);

    assert_eq!(get(&gateway, &format!("{LIST}/{id}")).await, (200, json!("pending")));
    let waiting = get(&gateway, &format!("{LIST}/{id}/result")).await;
    assert_eq!(code(&waiting), (400, "batch_ongoing"));

    backend.say("f", json!({ "state": "running" }));
    reaches(&gateway, id, "running").await;
    backend.say("f", json!({ "state": "completed", "results": "{\"num_responses\": 2}" }));
    reaches(&gateway, id, "completed").await;
    let result = get(&gateway, &format!("{LIST}/{id}/result")).await;
    assert_eq!(result, (200, json!("{\"num_responses\": 2}")));

    let (_, list) = get(&gateway, LIST).await;
    let [row] = list.as_array().unwrap().as_slice() else { panic!("{list}") };
    for (field, value) in
        [("id", id), ("batch_id", id), ("cluster", "c"), ("framework", "api"), ("input_file", "/f")]
    {
        assert_eq!(row[field], value, "{row}");
    }
    for (field, is_set) in [("in_progress_at", true), ("completed_at", true), ("failed_at", false)] {
        assert_eq!(row[field].as_str().is_some_and(|time| time.ends_with('Z')), is_set, "{row}");
    }
    for (query, count) in [("completed", 1), ("pending", 0), ("failed", 0)] {
        let (_, list) = get(&gateway, &format!("{LIST}?status={query}")).await;
        assert_eq!(list.as_array().unwrap().len(), count, "{query}");
    }
    assert_eq!(code(&get(&gateway, &format!("{LIST}?status=done")).await), (400, "invalid_value"));
}

async fn a_result_that_is_read_once_only_is_kept(database: Database) {
    let backend = Backend::default();
    let upstream = backend.start().await;
    let gateway = builder(&upstream.url(), &database).start().await;
    let (_, batch) = submit(&gateway, "/once").await;
    let id = batch["batch_id"].as_str().unwrap();
    backend.results.lock().unwrap().insert("once".into(), "the only copy".into());
    backend.say("once", json!({ "state": "completed" }));
    reaches(&gateway, id, "completed").await;
    for _ in 0..3 {
        let result = get(&gateway, &format!("{LIST}/{id}/result")).await;
        assert_eq!(result, (200, json!("\"the only copy\"")));
    }
    let reads = upstream.seen().iter().filter(|seen| seen.uri.path().ends_with("/result")).count();
    assert_eq!(reads, 1);
}

async fn failures_are_told_and_passing_ones_are_waited_out(database: Database) {
    let backend = Backend::default();
    let upstream = backend.start().await;
    let gateway =
        builder(&upstream.url(), &database).settings(|s| s.batch.max_active_per_user = 4).start().await;
    let mut ids = HashMap::new();
    for file in ["bad", "gone", "away", "cancelled"] {
        let (_, batch) = submit(&gateway, file).await;
        ids.insert(file, batch["batch_id"].as_str().unwrap().to_owned());
    }
    backend.say("bad", json!({ "state": "failed", "message": "out of memory on node 7" }));
    backend.say("gone", json!({ "status": 404 }));
    backend.say("cancelled", json!({ "state": "cancelled" }));
    backend.say("away", json!({ "status": 503 }));
    for file in ["bad", "gone", "cancelled"] {
        reaches(&gateway, &ids[file], "failed").await;
    }
    let result = get(&gateway, &format!("{LIST}/{}/result", ids["bad"])).await;
    assert_eq!(code(&result), (400, "batch_failed"));
    assert!(result.1["error"]["message"].as_str().unwrap().contains("out of memory on node 7"));
    let asked = |handle: &str| upstream.seen().iter().filter(|s| s.uri.path().ends_with(handle)).count();
    let before = asked("/away");
    eventually(|| asked("/away") > before + 1).await;
    assert_eq!(get(&gateway, &format!("{LIST}/{}", ids["away"])).await.1, "pending");
    backend.say("away", json!({ "state": "completed", "results": "late" }));
    reaches(&gateway, &ids["away"], "completed").await;
}

async fn a_caller_has_two_active_batches_and_one_for_each_file(database: Database) {
    let backend = Backend::default();
    let upstream = backend.start().await;
    let gateway = Arc::new(builder(&upstream.url(), &database).start().await);
    let (_, first) = submit(&gateway, "/a").await;
    assert_eq!(code(&submit(&gateway, "/a").await), (400, "batch_ongoing"));
    // Of many at once, one gets the place that is left.
    let racing: Vec<_> = (0..10)
        .map(|n| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { submit(&gateway, &format!("/r{n}")).await })
        })
        .collect();
    let mut started = 0;
    for racer in racing {
        let answer = within(racer).await.unwrap();
        match answer.0 {
            200 => started += 1,
            _ => assert_eq!(code(&answer), (400, "quota_exceeded")),
        }
    }
    assert_eq!(started, 1);
    backend.say("a", json!({ "state": "completed", "results": "done" }));
    reaches(&gateway, first["batch_id"].as_str().unwrap(), "completed").await;
    assert_eq!(submit(&gateway, "/a").await.0, 200, "the file and a place are free again");
}

async fn a_batch_is_its_owners_alone(database: Database) {
    let backend = Backend::default();
    let upstream = backend.start().await;
    let gateway = builder(&upstream.url(), &database).start().await;
    let (_, batch) = submit(&gateway, "/a").await;
    let id = batch["batch_id"].as_str().unwrap();
    let other = gateway.store.create_key(&airlock::store::KeyOrder::named("other")).await.unwrap().secret;
    let as_other = async |path: &str| answer(gateway.anonymous("GET", path).bearer_auth(&other)).await;
    until(async || as_other(LIST).await.0 == 200).await;
    assert_eq!(as_other(LIST).await.1, json!([]));
    for path in [format!("{LIST}/{id}"), format!("{LIST}/{id}/result"), format!("{LIST}/none")] {
        assert_eq!(code(&as_other(&path).await), (404, "batch_not_found"));
    }
    // The same file, for somebody else.
    let order = json!({ "model": "m", "input_file": "/a" });
    let (status, _) = answer(gateway.anonymous("POST", SUBMIT).bearer_auth(&other).json(&order)).await;
    assert_eq!(status, 200);
}

async fn wrong_orders_are_refused_and_start_nothing(database: Database) {
    let backend = Backend::default();
    let upstream = backend.start().await;
    let gateway = builder(&upstream.url(), &database).start().await;
    let cases = [
        (json!({ "model": "m" }), 400, "missing_required_parameter"),
        (json!({ "input_file": "/f" }), 400, "missing_required_parameter"),
        (json!({ "model": "m", "input_file": "" }), 400, "invalid_value"),
        (json!({ "model": "m", "input_file": 7 }), 400, "invalid_value"),
        (json!({ "model": "m", "input_file": "/f", "priority": 1 }), 400, "invalid_value"),
        (json!([]), 400, "invalid_json"),
        (json!({ "model": "none", "input_file": "/f" }), 404, "model_not_found"),
        (json!({ "model": "off", "input_file": "/f" }), 400, "batch_unavailable"),
        (json!({ "model": "plain", "input_file": "/f" }), 400, "batch_unavailable"),
    ];
    for (order, status, expected) in cases {
        let refused = answer(gateway.post(SUBMIT, &order)).await;
        assert_eq!(code(&refused), (status, expected), "{order}");
    }
    for (path, status, expected) in [
        ("/resource_server/none/api/v1/batches", 404, "cluster_not_found"),
        ("/resource_server/c/none/v1/batches", 400, "unsupported_framework"),
    ] {
        let refused = answer(gateway.post(path, &json!({ "model": "m", "input_file": "/f" }))).await;
        assert_eq!(code(&refused), (status, expected), "{path}");
    }
    let anonymous = gateway.anonymous("POST", SUBMIT).json(&json!({ "model": "m", "input_file": "/f" }));
    assert_eq!(code(&answer(anonymous).await), (401, "invalid_api_key"));
    assert!(upstream.seen().is_empty());
    assert_eq!(get(&gateway, LIST).await.1, json!([]));
}

async fn a_batch_that_is_not_accepted_takes_no_place(database: Database) {
    let gateway = builder(&format!("http://{}", refused_address()), &database).start().await;
    for _ in 0..3 {
        assert_eq!(code(&submit(&gateway, "/a").await), (502, "upstream_unreachable"));
    }
    assert_eq!(get(&gateway, LIST).await.1, json!([]));
}

async fn a_restart_goes_on_with_active_batches_and_fails_those_half_started(database: Database) {
    use airlock::{batch::Batches, store::NewBatch};
    let store = database.open().await;
    let batch = |id: &str| NewBatch {
        tenant: "default".into(),
        id: id.into(),
        owner: "k".into(),
        endpoint: "c-api-m".into(),
        cluster: "c".into(),
        framework: "api".into(),
        model: "m".into(),
        input_file: id.into(),
        output_folder_path: None,
    };
    for id in ["half", "whole"] {
        store.reserve_batch(&batch(id), 2).await.unwrap();
    }
    store.start_batch("whole", "h", "t", airlock::batch::BatchStatus::Running).await.unwrap();
    Batches::open(store.clone(), 2).await.unwrap();
    let half = store.batch("k", "half").await.unwrap().unwrap();
    assert_eq!(half.status.as_str(), "failed");
    assert!(half.result.unwrap().contains("submit it again"));
    let active = store.active_batches().await.unwrap();
    assert_eq!(active.iter().map(|b| b.asked.id.as_str()).collect::<Vec<_>>(), ["whole"]);
    // What is finished stays as it is.
    store.advance_batch("half", airlock::batch::BatchStatus::Completed, Some("x")).await.unwrap();
    assert_eq!(store.batch("k", "half").await.unwrap().unwrap().status.as_str(), "failed");
}

/// What the adaptor has started is in the list, whoever waits for it.
async fn a_client_that_leaves_while_it_submits_finds_its_batch_in_the_list(database: Database) {
    let (upstream, gate) =
        Upstream::gated(|_| json(200, &json!({ "handle": "h", "tasks": ["t"], "state": "running" }))).await;
    let gateway = Arc::new(builder(&upstream.url(), &database).start().await);
    let asking = Arc::clone(&gateway);
    let asking = tokio::spawn(async move { submit(&asking, "/a").await });
    eventually(|| upstream.seen().len() == 1).await;
    asking.abort();
    eventually(|| asking.is_finished()).await;
    gate.open();
    until(async || get(&gateway, LIST).await.1[0]["in_progress_at"].is_string()).await;
    assert_eq!(get(&gateway, LIST).await.1[0]["status"], "running");
}
