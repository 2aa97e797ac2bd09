//! One name in front of several endpoints: the model's name on the way, spreading, and failover.

use airlock_tests::{
    Body, TestGateway, Upstream, completion, error, guest, json, refused_address, stream_error,
};
use http::Response;
use serde_json::{Value, json};

fn chat(gateway: &TestGateway, stream: bool) -> reqwest::RequestBuilder {
    let mut body = json!({ "model": "big", "messages": [{ "role": "user", "content": "big" }] });
    if stream {
        body["stream"] = json!(true);
    }
    gateway.post("/v1/chat/completions", &body)
}

/// `big` in front of `one` and `two`, with these backends.
async fn over(adaptor: &str, urls: [&str; 2]) -> TestGateway {
    TestGateway::builder()
        .endpoint("one", adaptor, json!({ "api_url": urls[0] }))
        .endpoint("two", adaptor, json!({ "api_url": urls[1] }))
        .federated("big", &["one", "two"])
        .start()
        .await
}

type Answer = fn() -> Response<Body>;

async fn answering(answer: Answer) -> Upstream {
    Upstream::start(move |_| async move { answer() }).await
}

#[tokio::test]
async fn the_backend_is_asked_for_its_own_name_of_the_model_and_nothing_else_changes() {
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let upstream = Upstream::json(completion()).await;
        let gateway = TestGateway::builder()
            .endpoint("org/one", adaptor, json!({ "api_url": upstream.url() }))
            .federated("big", &["org/one"])
            .start()
            .await;
        let text = r#"{ "x":[1, 2.50,{"model":"big"}], "model" : "big", "messages":[{"role":"user","content":"b\u00efg"}], "z":1e400 }"#;
        let response = gateway.request("POST", "/v1/chat/completions").body(text).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        let sent = String::from_utf8(upstream.only().body.to_vec()).unwrap();
        assert!(sent.contains(r#""model":"org/one""#), "{sent}");
        for kept in [r#"[1, 2.50,{"model":"big"}]"#, r#""b\u00efg""#, "1e400"] {
            assert!(sent.contains(kept), "{kept}: {sent}");
        }
        let record = gateway.ledger.one().await;
        assert_eq!(record.model.as_deref(), Some("big"));
        assert_eq!(record.endpoint.as_deref(), Some("c-api-orgone"));
    }
}

#[tokio::test]
async fn targets_share_the_requests() {
    let (one, two) = (Upstream::json(completion()).await, Upstream::json(completion()).await);
    let gateway = over("direct-api", [&one.url(), &two.url()]).await;
    for _ in 0..10 {
        assert_eq!(chat(&gateway, false).send().await.unwrap().status(), 200);
    }
    assert_eq!((one.seen().len(), two.seen().len()), (5, 5));
    assert_eq!(one.seen()[0].json()["model"], "one");
    assert_eq!(two.seen()[0].json()["model"], "two");
}

#[tokio::test]
async fn a_target_that_is_down_or_busy_is_passed_over() {
    let refusing = format!("http://{}/v1", refused_address());
    let busy: [Answer; 3] = [|| json(503, &json!({})), || json(429, &json!({})), || json(502, &json!({}))];
    let mut bad = vec![(None, refusing)];
    for answer in busy {
        let upstream = answering(answer).await;
        bad.push((Some(upstream), String::new()));
    }
    for (upstream, url) in &bad {
        let url = upstream.as_ref().map_or_else(|| url.clone(), Upstream::url);
        let good = Upstream::start(|seen| async move {
            if seen.json()["stream"] == true {
                return airlock_tests::sse(airlock_tests::chunks(["data: [DONE]\n\n"]));
            }
            json(200, &completion())
        })
        .await;
        let gateway = over("direct-api", [&url, &good.url()]).await;
        for i in 1..=4 {
            let response = chat(&gateway, i > 2).send().await.unwrap();
            assert_eq!(response.status(), 200, "{url} {}", response.text().await.unwrap());
            assert_eq!(gateway.ledger.nth(i).await.endpoint.as_deref(), Some("c-api-two"));
        }
    }
}

/// The refusal comes to the adaptor, which reports it.
#[tokio::test]
async fn a_target_that_is_down_is_passed_over_whoever_meets_it() {
    let refusing = format!("http://{}/v1", refused_address());
    let good = Upstream::json(completion()).await;
    for adaptor in ["direct-api-wasi".into(), guest("rewrite")] {
        let gateway = TestGateway::builder()
            .endpoint("one", &adaptor, json!({ "api_url": refusing }))
            .endpoint("two", &adaptor, json!({ "api_url": good.url() }))
            .federated("big", &["one", "two"])
            .start()
            .await;
        for _ in 0..2 {
            let response = chat(&gateway, false).send().await.unwrap();
            assert_eq!(response.status(), 200, "{adaptor:?} {}", response.text().await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_target_whose_sandbox_fails_is_passed_over() {
    for (name, config) in
        [("trap", json!({})), ("bad-output", json!({ "kind": "status" })), ("grow", json!({}))]
    {
        let good = Upstream::json(completion()).await;
        let gateway = TestGateway::builder()
            .endpoint("one", guest(name), config)
            .endpoint("two", "direct-api", json!({ "api_url": good.url() }))
            .federated("big", &["one", "two"])
            .settings(|s| s.sandbox.memory_mib = 16)
            .start()
            .await;
        let mut served = 0;
        for _ in 0..4 {
            served += usize::from(chat(&gateway, false).send().await.unwrap().status() == 200);
        }
        assert_eq!(served, 4, "{name}");
        gateway.idle().await;
    }
}

#[tokio::test]
async fn an_answer_that_another_target_would_give_too_is_given() {
    let cases: [(Answer, u16, &str); 3] = [
        (|| json(400, &json!({ "error": { "message": "m", "code": "bad" } })), 400, "bad"),
        (|| json(422, &json!({ "error": { "message": "m", "code": "broken" } })), 422, "broken"),
        (|| json(404, &json!({ "error": { "message": "m", "code": "no" } })), 404, "no"),
    ];
    for (answer, status, code) in cases {
        let (one, two) = (answering(answer).await, answering(answer).await);
        let gateway = over("direct-api", [&one.url(), &two.url()]).await;
        error(chat(&gateway, false).send().await.unwrap(), status, code).await;
        assert_eq!(one.seen().len() + two.seen().len(), 1);
    }
}

#[tokio::test]
async fn when_all_targets_fail_the_last_error_is_told() {
    let busy = answering(|| json(429, &json!({ "error": { "message": "slow down", "code": "rate" } }))).await;
    let gateway = over("direct-api", [&busy.url(), &busy.url()]).await;
    let response = chat(&gateway, false).send().await.unwrap();
    assert!(response.headers().contains_key("retry-after"));
    error(response, 429, "rate").await;
    assert_eq!(busy.seen().len(), 2);
    let record = gateway.ledger.one().await;
    assert_eq!((record.status, record.error.as_deref()), (429, Some("rate")));
}

/// Once the client has a byte, nobody else is asked.
#[tokio::test]
async fn a_stream_that_breaks_is_not_begun_again_elsewhere() {
    let breaking = answering(|| airlock_tests::sse(airlock_tests::chunks(["data: {}\n\n"]))).await;
    let gateway = over("direct-api", [&breaking.url(), &breaking.url()]).await;
    let text = chat(&gateway, true).send().await.unwrap().text().await.unwrap();
    stream_error(&text, "upstream_bad_response");
    assert_eq!(breaking.seen().len(), 1);
}

#[tokio::test]
async fn two_endpoints_of_one_model_are_federated_by_themselves() {
    let (one, two) = (Upstream::json(completion()).await, Upstream::json(completion()).await);
    let gateway = TestGateway::builder()
        .cluster(json!({ "frameworks": ["api", "vllm"] }))
        .endpoint("big", "direct-api", json!({ "api_url": one.url() }))
        .endpoint("big", "direct-api", json!({ "api_url": two.url() }))
        .fields(json!({ "framework": "vllm" }))
        .start()
        .await;
    for _ in 0..4 {
        assert_eq!(chat(&gateway, false).send().await.unwrap().status(), 200);
    }
    assert_eq!((one.seen().len(), two.seen().len()), (2, 2));
    let body = json!({ "model": "big", "messages": [{ "role": "user", "content": "hi" }] });
    for _ in 0..3 {
        gateway.post("/c/vllm/v1/chat/completions", &body).send().await.unwrap();
    }
    assert_eq!((one.seen().len(), two.seen().len()), (2, 5));
    let list: Value = gateway.request("GET", "/v1/models").send().await.unwrap().json().await.unwrap();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}
