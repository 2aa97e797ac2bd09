//! Streams from Globus Compute: what a function on a node posts to the gateway while its task runs.

use airlock_tests::{
    FakeGlobus, GatewayBuilder, TestGateway, Work, chat_body, error, events, eventually, stream_error, within,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const UUID: &str = "6a0f3cde-0000-4000-8000-000000000001";
const SECRET: &str = "a-secret-of-the-tests";
const CHUNK: &str = r#"{"choices":[{"delta":{"content":"one"}}]}"#;
const END: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;

/// A service whose functions do nothing by themselves: tests post in their place. Tasks stay on their way.
struct Stage {
    globus: FakeGlobus,
    calls: UnboundedReceiver<Value>,
}

impl Stage {
    async fn new() -> Self {
        Self::with(Work::json(&json!({ "streaming": true, "status": "completed" }))).await
    }

    /// Whose tasks come to this, once they are not held back.
    async fn with(work: Work) -> Self {
        let (send, calls) = unbounded_channel();
        let globus = FakeGlobus::start(move |_, arguments| {
            let _ = send.send(arguments[0]["model_params"].clone());
            work.clone()
        })
        .await;
        globus.hold(true);
        Self { globus, calls }
    }

    fn builder(&self, more: Value) -> GatewayBuilder {
        let mut config = json!({ "api_port": 8001, "endpoint_uuid": UUID, "function_uuid": UUID });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        TestGateway::builder()
            .env("SERVICE_ACCOUNT_ID", "id")
            .env("SERVICE_ACCOUNT_SECRET", "secret-4711")
            .env("INTERNAL_STREAMING_SECRET", SECRET)
            .endpoint("m", "globus-compute", self.globus.config(config))
            .settings(|s| s.callbacks.url = Some("https://gateway.example.org".into()))
    }

    /// A gateway, and a stream that was asked for and has not begun.
    async fn asked(&mut self, more: Value) -> (TestGateway, Asked) {
        let gateway = self.builder(more).start().await;
        let answer = tokio::spawn(gateway.chat_stream().send());
        let params = within(self.calls.recv()).await.unwrap();
        (gateway, Asked { answer, params })
    }
}

struct Asked {
    answer: tokio::task::JoinHandle<reqwest::Result<reqwest::Response>>,
    params: Value,
}

impl Asked {
    async fn response(self) -> reqwest::Response {
        within(self.answer).await.unwrap().unwrap()
    }
}

/// What a function posts, with the proofs that it has.
fn post(gateway: &TestGateway, params: &Value, kind: &str, mut body: Value) -> reqwest::RequestBuilder {
    body["task_id"] = params["stream_task_id"].clone();
    body["type"] = json!(kind);
    gateway
        .anonymous("POST", &format!("/resource_server/api/streaming/{kind}/"))
        .header("x-internal-secret", SECRET)
        .header("x-stream-task-token", params["stream_task_token"].as_str().unwrap())
        .json(&body)
}

async fn data(gateway: &TestGateway, params: &Value, payloads: &[&str]) {
    let lines: Vec<String> = payloads.iter().map(|payload| format!("data: {payload}")).collect();
    let posted = post(gateway, params, "data", json!({ "data": lines.join("\n") })).send().await.unwrap();
    assert_eq!(posted.status(), 200);
    assert_eq!(posted.json::<Value>().await.unwrap(), json!({ "status": "received" }));
}

async fn done(gateway: &TestGateway, params: &Value) {
    let posted = post(gateway, params, "done", json!({})).send().await.unwrap();
    assert_eq!(
        posted.json::<Value>().await.unwrap(),
        json!({ "status": "ok", "task_id": params["stream_task_id"] })
    );
}

#[tokio::test]
async fn what_a_function_posts_reaches_the_client_as_it_comes() {
    let mut stage = Stage::new().await;
    let (gateway, asked) = stage.asked(json!({})).await;
    let params = asked.params.clone();
    assert_eq!(params["streaming_server_protocol"], "https");
    assert_eq!(params["streaming_server_host"], "gateway.example.org");
    assert_eq!(params["streaming_server_port"], 443);
    assert_eq!((&params["stream"], &params["api_port"]), (&json!(true), &json!(8001)));
    assert_eq!(params["stream_options"], json!({ "include_usage": true }));
    data(&gateway, &params, &[CHUNK]).await;
    let mut response = asked.response().await;
    assert_eq!(response.status(), 200);
    // The next is posted only after the client has the one before.
    for _ in 0..5 {
        let got = within(response.chunk()).await.unwrap().unwrap();
        assert_eq!(got, format!("data: {CHUNK}\n\n"));
        data(&gateway, &params, &[CHUNK]).await;
    }
    within(response.chunk()).await.unwrap().unwrap();
    data(&gateway, &params, &[END, USAGE]).await;
    done(&gateway, &params).await;
    let rest = within(response.text()).await.unwrap();
    assert_eq!(events(&rest), [END, "[DONE]"], "the usage was asked for by the gateway alone");
    let record = gateway.ledger.one().await;
    assert_eq!(record.usage.map(|usage| usage.total_tokens), Some(7));
    gateway.idle().await;
    assert_eq!(gateway.gateway.sandbox().callbacks().open_inboxes(), 0);
}

#[tokio::test]
async fn many_streams_do_not_mix_and_none_of_them_asks_the_service_for_long() {
    let mut stage = Stage::new().await;
    let gateway = stage.builder(json!({})).settings(|s| s.sandbox.slots = 64).start().await;
    let mut asking = Vec::new();
    for n in 0..20 {
        let mut body = chat_body(true);
        body["user"] = json!(n.to_string());
        asking.push(tokio::spawn(gateway.post("/v1/chat/completions", &body).send()));
    }
    for _ in 0..20 {
        let params = within(stage.calls.recv()).await.unwrap();
        let own = format!(r#"{{"user":{}}}"#, params["user"]);
        data(&gateway, &params, &[&own, END]).await;
        done(&gateway, &params).await;
    }
    for (n, asking) in asking.into_iter().enumerate() {
        let text = within(asking).await.unwrap().unwrap().text().await.unwrap();
        assert_eq!(events(&text), [&*format!(r#"{{"user":"{n}"}}"#), END, "[DONE]"]);
    }
    assert_eq!(stage.globus.refused(), 0);
}

#[tokio::test]
async fn a_failure_is_told_by_a_status_before_the_first_event_and_by_an_event_after_it() {
    let said = "API request failed with status code: 400\nResponse text: {\"error\":{\"message\":\"too long\",\
                \"code\":\"context_length_exceeded\"}}\nResponse headers: {}";
    let mut stage = Stage::new().await;
    let (gateway, asked) = stage.asked(json!({})).await;
    post(&gateway, &asked.params, "error", json!({ "error": said })).send().await.unwrap();
    let told = error(asked.response().await, 400, "context_length_exceeded").await;
    assert!(told["message"].as_str().unwrap().contains("too long"), "{told}");

    let (gateway, asked) = stage.asked(json!({})).await;
    let params = asked.params.clone();
    data(&gateway, &params, &[CHUNK]).await;
    let response = asked.response().await;
    post(&gateway, &params, "error", json!({ "error": said })).send().await.unwrap();
    let text = within(response.text()).await.unwrap();
    assert_eq!(events(&text).len(), 2, "{text}");
    stream_error(&text, "context_length_exceeded");

    // The last piece was lost on the way: the function does not say so.
    let (gateway, asked) = stage.asked(json!({})).await;
    let params = asked.params.clone();
    data(&gateway, &params, &[CHUNK]).await;
    done(&gateway, &params).await;
    let text = within(asked.response().await.text()).await.unwrap();
    stream_error(&text, "upstream_bad_response");
}

#[tokio::test]
async fn silence_has_an_end_at_each_stage() {
    let mut stage = Stage::new().await;
    let (gateway, asked) = stage.asked(json!({ "stream_first_timeout": 0.2 })).await;
    let told = error(asked.response().await, 504, "upstream_timeout").await;
    assert!(told["message"].as_str().unwrap().contains("did not begin"), "{told}");
    gateway.idle().await;

    for (config, says) in [
        (json!({ "stream_idle_timeout": 0.2 }), "fell silent"),
        (json!({ "task_timeout": 3 }), "not complete in time"),
    ] {
        let (gateway, asked) = stage.asked(config).await;
        data(&gateway, &asked.params, &[CHUNK]).await;
        let text = within(asked.response().await.text()).await.unwrap();
        let told = stream_error(&text, "upstream_timeout");
        assert!(told["message"].as_str().unwrap().contains(says), "{told}");
        gateway.idle().await;
    }
}

#[tokio::test]
async fn a_task_that_ends_without_a_word_is_noticed() {
    let failed = Work::Failed("Traceback:\n  File \"/secret\"\nNameError: name 'requests'".into());
    let unreachable = Work::json(&json!({ "streaming": true, "status": "completed", "total_chunks": 3 }));
    let server = Work::json(
        &json!({ "status": "error", "error": "API request failed with status code: 404\nResponse text: none" }),
    );
    for (work, status, code) in [
        (failed, 502, "task_failed"),
        (unreachable, 502, "callback_missing"),
        (server, 404, "upstream_error"),
    ] {
        let mut stage = Stage::with(work).await;
        stage.globus.hold(false);
        let (_gateway, asked) = stage.asked(json!({})).await;
        error(asked.response().await, status, code).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_inbox_along() {
    let mut stage = Stage::new().await;
    let (gateway, asked) = stage.asked(json!({})).await;
    let params = asked.params.clone();
    data(&gateway, &params, &[CHUNK]).await;
    drop(asked.response().await);
    eventually(|| gateway.gateway.sandbox().callbacks().open_inboxes() == 0).await;
    gateway.idle().await;
    let late = post(&gateway, &params, "data", json!({ "data": "data: x" })).send().await.unwrap();
    error(late, 403, "callback_forbidden").await;
}

/// Who knows the id alone, or half of a token, gets nowhere: and the stream that they tried says so.
#[tokio::test]
async fn callbacks_are_taken_from_those_alone_who_show_secret_and_token() {
    let mut stage = Stage::new().await;
    let other = "x".repeat(43);
    for (secret, token, status, code) in [
        (Some("another-secret-of-16"), None, 401, "callback_unauthorized"),
        (Some(""), None, 401, "callback_unauthorized"),
        (None, None, 401, "callback_unauthorized"),
        (Some(SECRET), Some(""), 401, "callback_unauthorized"),
        (Some(SECRET), Some(&*other), 403, "callback_forbidden"),
        // FIRST compares 16 characters.
        (Some(SECRET), Some("first 16"), 403, "callback_forbidden"),
    ] {
        let (gateway, asked) = stage.asked(json!({})).await;
        let own = asked.params["stream_task_token"].as_str().unwrap();
        let token = match token {
            Some("first 16") => format!("{}{}", &own[..16], &other[16..]),
            Some(token) => token.to_owned(),
            None => own.to_owned(),
        };
        let mut request = gateway
            .anonymous("POST", "/resource_server/api/streaming/data/")
            .header("x-stream-task-token", token)
            .json(&json!({ "task_id": asked.params["stream_task_id"], "data": "data: forged" }));
        if let Some(secret) = secret {
            request = request.header("x-internal-secret", secret);
        }
        error(request.send().await.unwrap(), status, code).await;
        let text = asked.response().await.text().await.unwrap();
        assert!(text.contains("callback_refused") && !text.contains("forged"), "{text}");
    }
}

#[tokio::test]
async fn malformed_and_large_callbacks_are_refused() {
    let mut stage = Stage::new().await;
    let (gateway, asked) = stage.asked(json!({})).await;
    let params = asked.params.clone();
    for (kind, body, missing) in [("data", json!({}), "data"), ("error", json!({ "data": "x" }), "error")] {
        let refused = post(&gateway, &params, kind, body).send().await.unwrap();
        assert_eq!(error(refused, 400, "missing_required_parameter").await["param"], missing);
    }
    let without_id =
        post(&gateway, &json!({ "stream_task_token": "x" }), "done", json!({})).send().await.unwrap();
    assert_eq!(error(without_id, 400, "missing_required_parameter").await["param"], "task_id");
    let foreign = json!({ "stream_task_id": "no uuid", "stream_task_token": "x" });
    error(post(&gateway, &foreign, "done", json!({})).send().await.unwrap(), 403, "callback_forbidden").await;
    let broken = post(&gateway, &params, "data", json!({})).body("{").send().await.unwrap();
    error(broken, 400, "invalid_json").await;
    for (kind, limit) in [("data", 150_000), ("error", 15_000), ("done", 15_000)] {
        let piece = "x".repeat(limit);
        let announced = post(&gateway, &params, kind, json!({ "data": piece, "error": piece }));
        error(announced.send().await.unwrap(), 413, "request_too_large").await;
        // Without a length, what is really read counts.
        let pieces = (0..3).map(move |_| Ok::<_, std::io::Error>("x".repeat(limit / 2)));
        let streamed = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let unannounced = post(&gateway, &params, kind, json!({})).header("content-length", "");
        let mut request = unannounced.build().unwrap();
        request.headers_mut().remove("content-length");
        *request.body_mut() = Some(streamed);
        let refused = reqwest::Client::new().execute(request).await.unwrap();
        error(refused, 413, "request_too_large").await;
    }
    // None of it was taken for the stream, and none of it ended the stream.
    data(&gateway, &params, &[CHUNK, END]).await;
    done(&gateway, &params).await;
    let text = asked.response().await.text().await.unwrap();
    assert_eq!(events(&text), [CHUNK, END, "[DONE]"]);
}

#[tokio::test]
async fn a_client_cannot_have_callbacks_sent_elsewhere() {
    let stage = Stage::new().await;
    let gateway = stage.builder(json!({})).start().await;
    stage.globus.hold(false);
    let mut body = chat_body(false);
    for field in ["host", "port", "protocol"] {
        body[format!("streaming_server_{field}")] = json!("elsewhere");
    }
    body["stream_task_id"] = json!("x");
    body["stream_task_token"] = json!("x");
    let mut calls = stage.calls;
    within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
    let params = calls.recv().await.unwrap();
    let left = params.as_object().unwrap().keys().find(|key| key.starts_with("stream"));
    assert_eq!(left, None, "{params}");
}

#[tokio::test]
async fn without_an_address_or_with_a_known_secret_nothing_is_taken() {
    let stage = Stage::new().await;
    let gateway = stage.builder(json!({})).settings(|s| s.callbacks.url = None).start().await;
    let told = error(gateway.chat_stream().send().await.unwrap(), 400, "streaming_unavailable").await;
    assert!(told["message"].as_str().unwrap().contains("callbacks.url"), "{told}");
    assert_eq!(stage.globus.count("/submit"), 0);
    let params = json!({ "stream_task_id": UUID, "stream_task_token": "x" });
    error(post(&gateway, &params, "done", json!({})).send().await.unwrap(), 401, "callback_unauthorized")
        .await;

    for secret in ["default-secret-change-me", "", "short"] {
        let started = stage.builder(json!({})).env("INTERNAL_STREAMING_SECRET", secret).try_start().await;
        let mistake = started.map(drop).unwrap_err();
        assert!(mistake.contains("INTERNAL_STREAMING_SECRET"), "{mistake}");
    }
}
