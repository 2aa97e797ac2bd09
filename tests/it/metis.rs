//! The adaptor `metis`: clusters and endpoints behind a status manifest.

use airlock_sandbox::{Fault, Job};
use airlock_tests::{
    Body, GatewayBuilder, RawUpstream, TestGateway, Upstream, chunks, completion, error, eventually, json,
    log_of, logs, refused_address, sse, stream_error, within,
};
use http::Response;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

const ONE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Tasks that are enough to meet each of two places: one of 2^30 runs would fail for nothing.
const MANY: usize = 30;

/// The fixtures of a cluster whose manifest is there; endpoints are added by the test.
fn behind(status: &Upstream) -> GatewayBuilder {
    let config = json!({ "status_url": format!("http://{}/status", status.address) });
    TestGateway::builder().cluster(json!({ "cluster_adapter": "metis", "config": config }))
}

/// A manifest in which model `m` is live at these URLs.
fn live_at(urls: &[String]) -> Value {
    let entry = |url: &String| json!({ "model": "m", "status": "Live", "description": "D", "url": url });
    urls.iter().enumerate().map(|(at, url)| (format!("key-{at}"), entry(url))).collect()
}

/// A gateway whose endpoint `m` may reach these URLs, all of which the manifest calls live.
async fn over(urls: &[String]) -> (TestGateway, Upstream) {
    let status = Upstream::json(live_at(urls)).await;
    let hosts: Vec<&str> = urls.iter().map(|url| url.trim_end_matches("/v1")).collect();
    let gateway = behind(&status).endpoint("m", "metis", json!({ "allowed_hosts": hosts })).start().await;
    (gateway, status)
}

type Answer = fn() -> Response<Body>;

async fn answering(answer: Answer) -> Upstream {
    Upstream::start(move |_| async move { answer() }).await
}

fn names(list: &[Job]) -> Vec<&str> {
    list.iter().map(|job| job.models.as_str()).collect()
}

fn reported(fault: &Fault) -> (u16, &str, &str) {
    let Fault::Reported(error) = fault else { panic!("{fault}") };
    (error.status, &error.code, &error.message)
}

#[tokio::test]
async fn a_manifest_becomes_jobs_and_shows_nothing_else() {
    let status = Upstream::json(json!({
        "secret-key-1": { "status": "Live", "model": "big", "description": "the big one", "model_version": 4,
            "experts": ["secret-name"], "url": "https://secret.example/v1", "endpoint_id": "secret-id" },
        "secret-key-2": { "status": "Stopped", "model": "small", "url": "https://secret.example/v1" },
        "secret-key-3": { "status": "Maintenance", "model": "new", "description": "soon" },
    }))
    .await;
    let gateway = behind(&status).start().await;
    let jobs = gateway.jobs("metis-jobs").await.unwrap();
    assert_eq!(names(&jobs.running), ["big"]);
    assert_eq!(names(&jobs.stopped), ["small"]);
    assert_eq!(names(&jobs.queued), ["new"]);
    let others = [&jobs.others, &jobs.private_batch_running, &jobs.private_batch_queued];
    assert!(others.iter().all(|list| list.is_empty()));
    assert_eq!((jobs.running[0].framework.as_str(), jobs.running[0].cluster.as_str()), ("api", "c"));
    let extra: Value = serde_json::from_str(&jobs.running[0].extra).unwrap();
    let expected =
        json!({ "Model Status": "running", "Description": "big - the big one", "Model Version": 4 });
    assert_eq!(extra, expected);
    let queued: Value = serde_json::from_str(&jobs.queued[0].extra).unwrap();
    assert_eq!(queued["Model Status"], "maintenance");
    let facts: Value = serde_json::from_str(&jobs.cluster_status).unwrap();
    assert_eq!(facts, json!({ "cluster": "c", "total_models": 3, "live_models": 1, "stopped_models": 1 }));
    assert_eq!(jobs.cache_ms, Some(60_000));
    assert!(!format!("{jobs:?}").contains("secret"), "{jobs:?}");
    assert_eq!((status.only().uri.path(), status.only().method.as_str()), ("/status", "GET"));
    assert_eq!(gateway.live_instances(), 0);
}

#[tokio::test]
async fn entries_that_cannot_be_read_are_skipped_and_logged() {
    logs();
    let manifest =
        json!({ "bad": 7, "worse": { "status": "Live" }, "good": { "status": "Live", "model": "m" } });
    let status = Upstream::json(manifest).await;
    let jobs = behind(&status).start().await.jobs("metis-skipped").await.unwrap();
    assert_eq!(names(&jobs.running), ["m"]);
    assert!(jobs.cluster_status.contains("\"total_models\":1"), "{}", jobs.cluster_status);
    let lines = log_of("metis-skipped");
    for key in ["bad", "worse"] {
        let says = format!("the entry `{key}` is skipped");
        assert!(lines.iter().any(|line| line.message().contains(&says)), "{key}: {lines:?}");
    }
}

#[tokio::test]
async fn a_manifest_that_is_none_is_a_clear_error() {
    let cases: [(Answer, &str); 5] = [
        (|| json(200, &json!(["m"])), "expected an object of entries"),
        (|| airlock_tests::bytes(200, "text/html", "<html>"), "the answer is not what was expected"),
        (|| json(200, &json!({ "detail": "moved" })), "holds no entry that can be read"),
        (|| json(404, &json!({})), "the server answered 404"),
        (|| json(503, &json!({})), "the server answered 503"),
    ];
    for (answer, why) in cases {
        let status = answering(answer).await;
        let gateway = behind(&status).start().await;
        let fault = gateway.jobs("metis-malformed").await.map(drop).unwrap_err();
        let (status, code, message) = reported(&fault);
        assert_eq!((status, code), (502, "upstream_bad_response"), "{message}");
        assert!(message.contains("the status manifest") && message.contains(why), "{message}");
        assert!(!message.contains("127.0.0.1"), "{message}");
    }
}

#[tokio::test]
async fn a_status_server_that_is_dead_is_a_clear_error() {
    logs();
    let url = format!("http://{}/status", refused_address());
    let cluster = json!({ "cluster_adapter": "metis", "config": { "status_url": url } });
    let gateway = TestGateway::builder()
        .cluster(cluster)
        .endpoint("m", "metis", json!({ "api_url": "http://127.0.0.1:1/v1" }))
        .start()
        .await;
    let fault = gateway.jobs("metis-dead").await.map(drop).unwrap_err();
    let (status, code, message) = reported(&fault);
    assert_eq!((status, code), (502, "upstream_unreachable"), "{message}");
    assert!(message.starts_with("the status manifest could not be read"), "{message}");
    let lines = log_of("metis-dead");
    assert!(
        lines.iter().any(|line| line.message().contains(&url)),
        "the operator is not told where: {lines:?}"
    );
    let told = error(gateway.chat().send().await.unwrap(), 503, "model_status_unknown").await;
    assert!(told["message"].as_str().unwrap().contains("try again in a few seconds"), "{told}");
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_moment() {
    let status = answering(|| json(500, &json!({}))).await;
    let gateway =
        behind(&status).endpoint("m", "metis", json!({ "api_url": "http://127.0.0.1:1/v1" })).start().await;
    for _ in 0..3 {
        let response = gateway.chat().send().await.unwrap();
        assert_eq!(response.headers()["retry-after"], "10");
        error(response, 503, "model_status_unknown").await;
    }
    assert_eq!(status.seen().len(), 1);
    assert!(gateway.jobs("metis-asked-again").await.is_err());
    assert_eq!(status.seen().len(), 2);
}

/// What a report could not read anew, tasks still have.
#[tokio::test]
async fn a_failure_does_not_take_the_place_of_a_manifest_that_is_known() {
    let backend = Upstream::json(completion()).await;
    let status = Upstream::start({
        let asked = std::sync::atomic::AtomicUsize::new(0);
        move |_| {
            let first = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            let manifest = json!({ "1": { "model": "m", "status": "Live" } });
            async move { if first { json(200, &manifest) } else { json(500, &json!({})) } }
        }
    })
    .await;
    let gateway = behind(&status).endpoint("m", "metis", json!({ "api_url": backend.url() })).start().await;
    assert!(gateway.jobs("metis-first").await.is_ok());
    assert!(gateway.jobs("metis-second").await.is_err());
    assert_eq!(gateway.chat().send().await.unwrap().status(), 200);
    assert_eq!(status.seen().len(), 2);
}

#[tokio::test]
async fn a_model_that_is_not_live_is_refused_before_its_backend_is_asked() {
    let backend = Upstream::json(completion()).await;
    let status = Upstream::json(json!({
        "1": { "model": "m", "status": "Stopped" },
        "2": { "model": "other", "status": "Live" },
    }))
    .await;
    let config = json!({ "api_url": backend.url() });
    let gateway = behind(&status)
        .endpoint("m", "metis", config.clone())
        .endpoint("absent", "metis", config.clone())
        .endpoint("other", "metis", config)
        .start()
        .await;
    for (model, says) in [("m", "its status is \"Stopped\""), ("absent", "does not name it")] {
        for stream in [false, true] {
            let mut body = airlock_tests::chat_body(stream);
            body["model"] = json!(model);
            let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
            assert_eq!(response.headers()["retry-after"], "60");
            let told = error(response, 503, "model_not_running").await;
            let message = told["message"].as_str().unwrap();
            assert!(message.contains(&format!("`{model}` is not running on c")), "{message}");
            assert!(message.contains(says), "{message}");
        }
    }
    assert!(backend.seen().is_empty());
    let mut body = airlock_tests::chat_body(false);
    body["model"] = json!("other");
    assert_eq!(gateway.post("/v1/chat/completions", &body).send().await.unwrap().status(), 200);
    assert_eq!((backend.seen().len(), status.seen().len()), (1, 1), "the manifest is read once");
}

/// As FIRST's fixtures have it: the manifest at the cluster, `api_url` and key at the endpoint.
#[tokio::test]
async fn firsts_fixtures_work_as_they_are() {
    let backend = Upstream::json(completion()).await;
    let status =
        Upstream::json(json!({ "1": { "model": "m", "status": "Live", "url": "http://10.0.0.1/v1" } })).await;
    for cluster in ["clusters.metis.MetisCluster", "clusters.direct_api.DirectAPICluster"] {
        let config =
            json!({ "status_url": format!("http://{}/status", status.address), "api_request_timeout": 10 });
        let endpoint =
            json!({ "api_url": backend.url(), "api_key_env_name": "METIS_KEY", "api_request_timeout": 120 });
        let gateway = TestGateway::builder()
            .cluster(
                json!({ "cluster_adapter": format!("resource_server_async.{cluster}"), "config": config }),
            )
            .endpoint("m", "resource_server_async.endpoints.metis.MetisEndpoint", endpoint)
            .env("METIS_KEY", "sk-metis")
            .start()
            .await;
        let mut body = airlock_tests::chat_body(false);
        body["api_port"] = json!(8000);
        let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{cluster}: {}", response.text().await.unwrap());
        assert_eq!(names(&gateway.jobs("metis-first").await.unwrap().running), ["m"]);
    }
    let seen = backend.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].uri.path(), "/v1/chat/completions");
    assert_eq!(seen[0].headers["authorization"], "Bearer sk-metis");
    assert_eq!((&seen[0].json()["stream"], seen[0].json().get("api_port")), (&json!(false), None));
    assert!(status.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
}

#[tokio::test]
async fn live_entries_share_the_tasks() {
    let (one, two) = (Upstream::json(completion()).await, Upstream::json(completion()).await);
    let (gateway, status) = over(&[one.url(), two.url()]).await;
    for _ in 0..MANY {
        assert_eq!(gateway.chat().send().await.unwrap().status(), 200);
    }
    let counts = (one.seen().len(), two.seen().len());
    assert!(counts.0 > 0 && counts.1 > 0 && counts.0 + counts.1 == MANY, "{counts:?}");
    assert_eq!(status.seen().len(), 1);
}

#[tokio::test]
async fn a_live_entry_that_fails_is_passed_over() {
    logs();
    let good = Upstream::start(|seen| async move {
        if seen.json()["stream"] == true { sse(chunks([ONE, DONE])) } else { json(200, &completion()) }
    })
    .await;
    let closing = RawUpstream::start(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await; // and then the connection is dropped
    })
    .await;
    let busy = [
        answering(|| json(502, &json!({}))).await,
        answering(|| json(503, &json!({}))).await,
        answering(|| json(504, &json!({}))).await,
    ];
    let mut urls = vec![good.url(), closing.url(), format!("http://{}/v1", refused_address())];
    urls.extend(busy.iter().map(Upstream::url));
    let (gateway, _status) = over(&urls).await;
    for _ in 0..MANY {
        assert_eq!(gateway.chat().send().await.unwrap().status(), 200);
        let request = gateway.chat_stream().header("x-request-id", "metis-failover");
        let text = within(within(request.send()).await.unwrap().text()).await.unwrap();
        assert_eq!(text, [ONE, DONE].concat());
    }
    assert_eq!(good.seen().len(), 2 * MANY);
    assert!(busy.iter().all(|upstream| !upstream.seen().is_empty()));
    let lines = log_of("metis-failover");
    assert!(lines.iter().any(|line| line.message().ends_with("failed: it answered 503")), "{lines:?}");
    gateway.idle().await;
}

#[tokio::test]
async fn when_all_live_entries_fail_the_client_gets_a_backends_error() {
    let answer = || json(503, &json!({ "error": { "message": "full", "code": "no_room" } }));
    let (one, two) = (answering(answer).await, answering(answer).await);
    let (gateway, _status) = over(&[one.url(), two.url()]).await;
    error(gateway.chat().send().await.unwrap(), 503, "no_room").await;
    assert_eq!((one.seen().len(), two.seen().len()), (1, 1));
    let refused = [refused_address(), refused_address()].map(|address| format!("http://{address}/v1"));
    let (gateway, _status) = over(&refused).await;
    error(gateway.chat().send().await.unwrap(), 502, "upstream_unreachable").await;
}

#[tokio::test]
async fn an_answer_that_another_entry_would_give_too_is_given() {
    let answer = || json(400, &json!({ "error": { "message": "no such thing", "code": "bad" } }));
    let (one, two) = (answering(answer).await, answering(answer).await);
    let (gateway, _status) = over(&[one.url(), two.url()]).await;
    error(gateway.chat().send().await.unwrap(), 400, "bad").await;
    assert_eq!(one.seen().len() + two.seen().len(), 1);
}

/// Grants bind: the manifest cannot lead an adaptor to a host that the operator did not name.
#[tokio::test]
async fn an_entry_outside_of_the_grant_is_passed_over_and_logged() {
    logs();
    let (good, elsewhere) = (Upstream::json(completion()).await, Upstream::json(completion()).await);
    let status = Upstream::json(live_at(&[good.url(), elsewhere.url()])).await;
    let host = format!("http://{}", good.address);
    let gateway = behind(&status).endpoint("m", "metis", json!({ "allowed_hosts": [host] })).start().await;
    for _ in 0..MANY {
        let response = gateway.chat().header("x-request-id", "metis-grant").send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!((good.seen().len(), elsewhere.seen().len()), (MANY, 0));
    let says = format!("{} is skipped", elsewhere.url());
    let lines = log_of("metis-grant");
    assert!(lines.iter().any(|line| line.message().contains(&says)), "{lines:?}");
}

#[tokio::test]
async fn where_no_entry_can_be_reached_api_url_is_the_last_resort() {
    let (good, elsewhere) = (Upstream::json(completion()).await, Upstream::json(completion()).await);
    let status = Upstream::json(live_at(&[elsewhere.url(), "no url".to_owned()])).await;
    let gateway = behind(&status)
        .endpoint("m", "metis", json!({ "api_url": good.url() }))
        .endpoint("n", "metis", json!({}))
        .start()
        .await;
    assert_eq!(gateway.chat().send().await.unwrap().status(), 200);
    assert_eq!((good.seen().len(), elsewhere.seen().len()), (1, 0));

    let status = Upstream::json(live_at(&[elsewhere.url()])).await;
    let gateway = behind(&status).endpoint("m", "metis", json!({})).start().await;
    error(gateway.chat().send().await.unwrap(), 502, "egress_denied").await;
    assert!(elsewhere.seen().is_empty());
}

/// One entry is forwarded, several are relayed: either way each event goes on as it comes.
#[tokio::test]
async fn streams_pass_as_they_come() {
    for dead in [None, Some(format!("http://{}/v1", refused_address()))] {
        let (backend, feed) = Upstream::fed().await;
        let urls: Vec<String> = dead.into_iter().chain([backend.url()]).collect();
        let (gateway, _status) = over(&urls).await;
        let mut response = within(gateway.chat_stream().send()).await.unwrap();
        for _ in 0..3 {
            feed.send(ONE);
            assert_eq!(within(response.chunk()).await.unwrap().unwrap(), ONE);
        }
        assert_eq!(gateway.live_instances(), 0, "the stream needs no sandbox");
        feed.send(DONE);
        drop(feed);
        assert_eq!(within(response.text()).await.unwrap(), DONE);
        assert_eq!(backend.only().json()["stream"], true);
    }
}

/// Once the client has a byte, nobody else is asked.
#[tokio::test]
async fn a_stream_that_breaks_is_not_begun_again() {
    let (one, two) = (answering(|| sse(chunks([ONE]))).await, answering(|| sse(chunks([ONE]))).await);
    let (gateway, _status) = over(&[one.url(), two.url()]).await;
    let text = within(gateway.chat_stream().send().await.unwrap().text()).await.unwrap();
    stream_error(&text, "upstream_bad_response");
    assert_eq!(one.seen().len() + two.seen().len(), 1);
}

#[tokio::test]
async fn what_is_missing_in_the_configuration_is_told_at_start() {
    let refused = async |builder: GatewayBuilder| builder.try_start().await.map(drop).unwrap_err();
    let endpoint = json!({ "api_url": "http://127.0.0.1:1/v1" });
    let text = refused(TestGateway::builder().endpoint("m", "metis", endpoint)).await;
    assert!(text.contains("c-api-m: config key `status_url`: is missing"), "{text}");
    let text = refused(TestGateway::builder().cluster(json!({ "cluster_adapter": "metis" }))).await;
    assert!(text.contains("the config of this cluster needs \"status_url\""), "{text}");
}

#[tokio::test]
async fn of_many_tasks_at_once_one_fetches_the_manifest() {
    let backend = Upstream::json(completion()).await;
    let manifest = live_at(&[backend.url()]);
    let (status, gate) = Upstream::gated(move |_| json(200, &manifest)).await;
    let hosts = json!({ "allowed_hosts": [format!("http://{}", backend.address)] });
    let gateway =
        behind(&status).endpoint("m", "metis", hosts).settings(|s| s.sandbox.slots = 32).start().await;
    let asking: Vec<_> = (0..20).map(|_| tokio::spawn(gateway.chat().send())).collect();
    eventually(|| gateway.live_instances() == 20).await;
    gate.open();
    for asking in asking {
        assert_eq!(within(asking).await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(status.seen().len(), 1);
}
