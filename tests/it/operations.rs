//! The operations beside chats, completions and embeddings: relayed as they are, ended as their clients expect, counted.

use airlock_sandbox::{Operation, Vendor};
use airlock_tests::{TestGateway, Upstream, chunks, error, json, least_body, sse, within};
use serde_json::{Value, json};

/// Those beside the three oldest ones.
const FURTHER: [Operation; 6] = [
    Operation::Responses,
    Operation::Messages,
    Operation::CountTokens,
    Operation::Moderations,
    Operation::Rerank,
    Operation::ImageGenerations,
];
const ROOTS: [&str; 4] = ["/v1", "/c/api/v1", "/resource_server/v1", "/resource_server/c/api/v1"];

const RESPONSE: [&str; 3] = [
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null},\"sequence_number\":0}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"response.completed \\\"error\\\"\",\"sequence_number\":1}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7}},\"sequence_number\":2}\n\n",
];
const MESSAGE: [&str; 4] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"message_stop\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":4}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];
const IMAGE: [&str; 2] = [
    "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA\"}\n\n",
    "event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}\n\n",
];

fn streamed() -> [(Operation, &'static [&'static str]); 3] {
    [
        (Operation::Responses, &RESPONSE),
        (Operation::Messages, &MESSAGE),
        (Operation::ImageGenerations, &IMAGE),
    ]
}

fn all_paths() -> Vec<&'static str> {
    Operation::ALL.into_iter().map(Operation::path).collect()
}

/// With one endpoint `m` that goes there, and all operations.
async fn before(upstream: &Upstream) -> TestGateway {
    with("direct-api", json!({ "api_url": upstream.url() })).await
}

async fn with(adaptor: impl AsRef<std::path::Path>, config: Value) -> TestGateway {
    TestGateway::builder().operations(&all_paths()).endpoint("m", adaptor, config).start().await
}

/// What the operation needs at least, and a field that nobody knows.
fn body(operation: Operation, stream: bool) -> Value {
    let mut body = least_body(operation);
    body["x"] = json!([1]);
    if stream {
        body["stream"] = json!(true);
    }
    body
}

fn body_with(operation: Operation, field: &str, value: Value) -> Value {
    let mut body = body(operation, false);
    body[field] = value;
    body
}

fn ask(gateway: &TestGateway, operation: Operation, stream: bool) -> reqwest::RequestBuilder {
    gateway.post(&format!("/v1/{}", operation.path()), &body(operation, stream))
}

/// The error of an answer in the form of its operation: its type, and its message.
async fn refusal(response: reqwest::Response, operation: Operation, status: u16, code: &str, kind: &str) {
    if operation.vendor() == Vendor::OpenAi {
        error(response, status, code).await;
        return;
    }
    let headers = response.headers().clone();
    assert_eq!((response.status().as_u16(), &headers["request-id"]), (status, &headers["x-request-id"]));
    let told: Value = within(response.json()).await.unwrap();
    anthropic_error(&told, code, kind);
    assert_eq!(told["request_id"], headers["request-id"].to_str().unwrap());
}

fn anthropic_error(told: &Value, code: &str, kind: &str) {
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort_unstable();
        keys.join(" ")
    };
    assert_eq!(
        (keys(told), keys(&told["error"])),
        ("error request_id type".into(), "details message type".into())
    );
    assert_eq!(told["error"]["details"], json!({ "error_code": code }), "{told}");
    assert_eq!((&told["type"], &told["error"]["type"]), (&json!("error"), &json!(kind)), "{told}");
    assert!(!told["error"]["message"].as_str().unwrap().is_empty());
}

/// The last event of a stream that was broken off: its name, and its JSON.
fn last_event(text: &str) -> (&str, Value) {
    assert!(text.ends_with("\n\n") && !text.contains("[DONE]"), "{text}");
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    let (name, data) = last.split_once("\ndata: ").unwrap();
    (name.strip_prefix("event: ").unwrap(), serde_json::from_str(data).unwrap())
}

#[tokio::test]
async fn each_is_relayed_unchanged_on_every_root_and_its_usage_counted() {
    let answer = json!({ "id": "x", "y": [], "usage": { "input_tokens": 3, "output_tokens": 4 } });
    let upstream = Upstream::json(answer.clone()).await;
    let gateway = before(&upstream).await;
    let mut count = 0;
    for operation in FURTHER {
        for root in ROOTS {
            let asked = gateway.post(&format!("{root}/{}", operation.path()), &body(operation, false));
            let response = within(asked.send()).await.unwrap();
            assert_eq!(
                response.headers().contains_key("request-id"),
                operation.vendor() == Vendor::Anthropic
            );
            assert_eq!(within(response.json::<Value>()).await.unwrap(), answer, "{root} {operation:?}");
            let record = gateway.ledger.nth(count + 1).await;
            let usage = record.usage.unwrap();
            assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (3, 4, 7));
            assert_eq!((record.operation, record.stream), (operation, false));
            let seen = &upstream.seen()[count];
            assert_eq!(seen.uri.path(), format!("/v1/{}", operation.path()));
            assert_eq!(seen.json(), body(operation, false));
            count += 1;
        }
    }
}

#[tokio::test]
async fn streams_with_named_events_are_relayed_byte_for_byte_and_counted() {
    for (operation, events) in streamed() {
        let upstream = Upstream::start(move |_| async move { sse(chunks(events.iter().copied())) }).await;
        let gateway = before(&upstream).await;
        let response = within(ask(&gateway, operation, true).send()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(within(response.text()).await.unwrap(), events.concat(), "{operation:?}");
        let record = gateway.ledger.one().await;
        let usage = record.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (3, 4, 7));
        assert_eq!((record.outcome, record.stream), (airlock::ledger::Outcome::Completed, true));
        // Nothing was put into the body.
        assert_eq!(upstream.only().json(), body(operation, true));
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_event_that_clients_raise() {
    for (operation, events) in streamed() {
        let all_but_last = &events[..events.len() - 1];
        let upstream =
            Upstream::start(move |_| async move { sse(chunks(all_but_last.iter().copied())) }).await;
        let gateway = before(&upstream).await;
        let text = within(ask(&gateway, operation, true).send()).await.unwrap().text().await.unwrap();
        assert!(text.starts_with(&all_but_last.concat()), "{text}");
        let (name, told) = last_event(&text);
        assert_eq!((name, &told["type"]), ("error", &json!("error")), "{text}");
        if operation.vendor() == Vendor::Anthropic {
            anthropic_error(&told, "upstream_bad_response", "api_error");
        } else {
            assert_eq!(told["code"], "upstream_bad_response");
            assert_eq!(
                (&told["error"]["code"], &told["error"]["message"]),
                (&told["code"], &told["message"])
            );
            let next = if operation == Operation::Responses { 2 } else { 0 };
            assert_eq!((&told["sequence_number"], &told["param"]), (&json!(next), &Value::Null));
        }
        let record = gateway.ledger.one().await;
        assert_eq!(record.error.as_deref(), Some("upstream_bad_response"));
        assert_eq!(record.outcome, airlock::ledger::Outcome::Failed);
    }
}

#[tokio::test]
async fn every_last_event_ends_a_response() {
    for name in ["response.completed", "response.failed", "response.incomplete"] {
        let upstream = Upstream::start(move |_| async move {
            sse(chunks([format!("event: {name}\ndata: {{\"type\":\"{name}\",\"response\":{{}}}}\n\n")]))
        })
        .await;
        let gateway = before(&upstream).await;
        let text =
            within(ask(&gateway, Operation::Responses, true).send()).await.unwrap().text().await.unwrap();
        assert_eq!(text.matches("event:").count(), 1, "{text}");
        assert_eq!(gateway.ledger.one().await.outcome, airlock::ledger::Outcome::Completed);
    }
}

#[tokio::test]
async fn a_backends_own_error_event_is_the_end_and_a_failure() {
    let told = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n";
    let upstream = Upstream::start(move |_| async move { sse(chunks([MESSAGE[0], told])) }).await;
    let gateway = before(&upstream).await;
    let text = within(ask(&gateway, Operation::Messages, true).send()).await.unwrap().text().await.unwrap();
    assert_eq!(text, [MESSAGE[0], told].concat());
    let record = gateway.ledger.one().await;
    assert_eq!(
        (record.outcome, record.error.as_deref()),
        (airlock::ledger::Outcome::Failed, Some("upstream_error"))
    );
}

#[tokio::test]
async fn a_cluster_that_does_not_list_it_and_a_model_that_is_not_there_are_refused() {
    let upstream = Upstream::json(json!({})).await;
    let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    for operation in FURTHER {
        let response = within(ask(&gateway, operation, false).send()).await.unwrap();
        refusal(response, operation, 400, "unsupported_endpoint", "invalid_request_error").await;
        let path = format!("/v1/{}", operation.path());
        let gone =
            within(gateway.post(&path, &body_with(operation, "model", json!("gone"))).send()).await.unwrap();
        refusal(gone, operation, 404, "model_not_found", "not_found_error").await;
        for (body, code) in [
            (json!({}), "missing_required_parameter"),
            (body_with(operation, "model", json!(1)), "invalid_value"),
            (json!([]), "invalid_json"),
        ] {
            let response = within(gateway.post(&path, &body).send()).await.unwrap();
            refusal(response, operation, 400, code, "invalid_request_error").await;
        }
        let nobody =
            within(gateway.anonymous("POST", &path).json(&body(operation, false)).send()).await.unwrap();
        refusal(nobody, operation, 401, "invalid_api_key", "authentication_error").await;
    }
    for operation in [Operation::Responses, Operation::Messages, Operation::ImageGenerations] {
        let body = body_with(operation, "stream", json!("yes"));
        let response =
            within(gateway.post(&format!("/v1/{}", operation.path()), &body).send()).await.unwrap();
        refusal(response, operation, 400, "invalid_value", "invalid_request_error").await;
    }
    assert_eq!(upstream.seen().len(), 0);
}

/// Before a stream and without one.
#[tokio::test]
async fn a_backends_refusal_keeps_its_status_in_the_form_of_the_operation() {
    let said = json!({ "type": "error", "error": { "type": "x", "code": "y", "message": "no" } });
    for (status, kind) in
        [(400, "invalid_request_error"), (429, "rate_limit_error"), (529, "overloaded_error")]
    {
        let answer = said.clone();
        let upstream = Upstream::start(move |_| {
            let response = json(status, &answer);
            async move { response }
        })
        .await;
        let gateway = before(&upstream).await;
        for (operation, _) in streamed() {
            for stream in [false, true] {
                let response = within(ask(&gateway, operation, stream).send()).await.unwrap();
                refusal(response, operation, status, "y", kind).await;
            }
        }
    }
}

/// Whatever the adaptor's events say, the client gets them under their names.
#[tokio::test]
async fn events_of_adaptors_are_named_after_their_type() {
    let events = json!([
        { "type": "message_start", "message": { "usage": { "input_tokens": 3, "output_tokens": 1 } } },
        { "type": "message_delta", "usage": { "output_tokens": 4 } },
        { "type": "message_stop" },
    ]);
    let gateway = with(airlock_tests::guest("named"), json!({ "events": events })).await;
    let text = within(ask(&gateway, Operation::Messages, true).send()).await.unwrap().text().await.unwrap();
    let expected: String = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .collect();
    assert_eq!(text, expected);
    let record = gateway.ledger.one().await;
    assert_eq!((record.usage.unwrap().total_tokens, record.error), (7, None));
}

#[tokio::test]
async fn events_of_adaptors_without_a_usable_name_or_end_are_the_adaptors_mistake() {
    let first = json!({ "type": "response.created", "sequence_number": 6 });
    for (more, fails, code) in [
        (vec![], false, "adaptor_bad_output"),
        (vec![], true, "guest_failed"),
        (vec![json!({ "x": 1 })], false, "adaptor_bad_output"),
        (vec![json!({ "type": "a\ndata: injected\n\nevent: b" })], false, "adaptor_bad_output"),
        (vec![json!({ "type": "" })], false, "adaptor_bad_output"),
    ] {
        let events: Vec<Value> = [vec![first.clone()], more].concat();
        let gateway = with(airlock_tests::guest("named"), json!({ "events": events, "fails": fails })).await;
        let text =
            within(ask(&gateway, Operation::Responses, true).send()).await.unwrap().text().await.unwrap();
        let (name, told) = last_event(&text);
        assert_eq!(
            (name, &told["code"], &told["sequence_number"]),
            ("error", &json!(code), &json!(7)),
            "{text}"
        );
        assert_eq!(text.matches("event:").count(), 2, "{text}");
        assert_eq!(gateway.ledger.one().await.error.as_deref(), Some(code));
        gateway.idle().await;
    }
}

#[tokio::test]
async fn messages_take_the_key_as_anthropics_clients_send_it() {
    let upstream = Upstream::json(json!({ "ok": true })).await;
    let gateway = before(&upstream).await;
    let ask = |path: &str, name: &str, key: &str| {
        let asked = gateway
            .anonymous("POST", path)
            .json(&body(Operation::Messages, false))
            .header(name, key.to_owned());
        async move { within(asked.send()).await.unwrap().status().as_u16() }
    };
    let key = gateway.key.clone();
    for path in ["/v1/messages", "/v1/messages/count_tokens", "/resource_server/c/api/v1/messages"] {
        assert_eq!(ask(path, "x-api-key", &key).await, 200, "{path}");
        assert_eq!(ask(path, "authorization", &format!("Bearer {key}")).await, 200, "{path}");
        for wrong in ["", "sk-of-nobody"] {
            assert_eq!(ask(path, "x-api-key", wrong).await, 401, "{path}");
        }
    }
    // Elsewhere nobody sends it so.
    assert_eq!(ask("/v1/responses", "x-api-key", &key).await, 401);
    for seen in upstream.seen() {
        assert!(!seen.headers.contains_key("x-api-key") && !seen.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn what_a_client_says_to_anthropics_api_reaches_it_and_nothing_else_does() {
    let upstream = Upstream::json(json!({})).await;
    let fixed = json!({ "api_url": upstream.url(), "extra_headers": { "anthropic-version": "fixed" } });
    let elsewhere =
        json!({ "kind": "forward", "count": 0, "api_url": format!("{}/chat/completions", upstream.url()) });
    let gateway = TestGateway::builder()
        .operations(&all_paths())
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .endpoint("fixed", "direct-api", fixed)
        .endpoint("elsewhere", airlock_tests::guest("payload"), elsewhere)
        .start()
        .await;
    let ask = |path: &str, model: &str| {
        let asked = gateway
            .post(path, &body_with(Operation::Messages, "model", json!(model)))
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", "one")
            .header("anthropic-beta", "two")
            .header("anthropic-dangerous", "x")
            .header("x-own", "x");
        async move { assert_eq!(within(asked.send()).await.unwrap().status(), 200) }
    };
    for (path, model, version, betas) in [
        ("/v1/messages", "m", Some("2023-06-01"), 2),
        ("/v1/messages/count_tokens", "m", Some("2023-06-01"), 2),
        ("/v1/messages", "fixed", Some("fixed"), 2),
        ("/v1/responses", "m", None, 0),
        // An adaptor that asks another API.
        ("/v1/messages", "elsewhere", None, 0),
    ] {
        ask(path, model).await;
        let seen = upstream.seen().pop().unwrap();
        let got = seen.headers.get("anthropic-version").map(|value| value.to_str().unwrap());
        assert_eq!((got, seen.headers.get_all("anthropic-beta").iter().count()), (version, betas), "{path}");
        assert!(!seen.headers.contains_key("anthropic-dangerous") && !seen.headers.contains_key("x-own"));
    }
}

#[tokio::test]
async fn a_backends_key_goes_where_anthropic_has_it() {
    let upstream = Upstream::json(json!({})).await;
    let config = json!({
        "api_url": upstream.url(), "api_key_env_name": "BACKEND_KEY", "api_key_header": "x-api-key",
    });
    let gateway = TestGateway::builder()
        .operations(&all_paths())
        .env("BACKEND_KEY", "of-the-backend")
        .endpoint("m", "direct-api", config)
        .start()
        .await;
    let asked = gateway
        .anonymous("POST", "/v1/messages")
        .json(&body(Operation::Messages, false))
        .header("x-api-key", &gateway.key);
    assert_eq!(within(asked.send()).await.unwrap().status(), 200);
    let sent: Vec<_> = upstream.only().headers.get_all("x-api-key").iter().cloned().collect();
    assert_eq!(sent, ["of-the-backend"]);
}
