//! What clients send: keys, sizes, request ids, fields, and bytes that are to stay as they are.

use airlock_tests::{TestGateway, Upstream, chat_body, completion, error, guest, within};
use bytes::Bytes;
use serde_json::{Value, json};

async fn echo() -> TestGateway {
    TestGateway::with(guest("echo"), json!({})).await
}

#[tokio::test]
async fn without_a_valid_key_there_is_nothing() {
    let gateway = echo().await;
    let key = gateway.key.clone();
    let revoked = gateway.store.create_key(&airlock::store::KeyOrder::named("revoked")).await.unwrap().secret;
    gateway.store.revoke_key("default", "revoked", "test").await.unwrap();
    let cases = [
        None,
        Some("Bearer sk-airlock-nonsense".to_owned()),
        Some(format!("Bearer {}", &key[..key.len() - 1])),
        Some(format!("Bearer {key}x")),
        Some(format!("Bearer {revoked}")),
        Some(format!("Basic {key}")),
        Some(key.clone()),
        Some("Bearer".to_owned()),
    ];
    for value in cases {
        for (method, path, body) in [
            ("POST", "/v1/chat/completions", "not even json"),
            ("POST", "/c/api/v1/embeddings", ""),
            ("POST", "/nowhere/api/v1/embeddings", "{}"),
            ("GET", "/v1/models", ""),
            ("GET", "/v1/models/m", ""),
        ] {
            let mut request = gateway.anonymous(method, path).body(body);
            if let Some(value) = &value {
                request = request.header("authorization", value);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            let told = error(response, 401, "invalid_api_key").await;
            assert_eq!(told["type"], "invalid_request_error");
            assert!(!told.to_string().contains(&key[12..30]), "{told}");
        }
    }
    let spelled = gateway.anonymous("GET", "/v1/models").header("authorization", format!("bearer {key}"));
    assert_eq!(spelled.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_well_formed_request_id_is_kept_and_any_other_replaced() {
    let gateway = echo().await;
    let long = "x".repeat(129);
    let ask = async |id: &str, path: &str| {
        let request = gateway.post(path, &chat_body(false)).header("x-request-id", id);
        let response = request.send().await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    for path in ["/v1/chat/completions", "/v1/nothing", "/health", "/v1/embeddings"] {
        for id in ["a", "req-1_2.3:4", &long[..128]] {
            assert_eq!(ask(id, path).await, id);
        }
        for id in ["", "a b", "<script>", "a/b", &long] {
            assert!(ask(id, path).await.starts_with("req_"), "{id}");
        }
    }
    assert_ne!(ask("", "/health").await, ask("", "/health").await);
    assert_eq!(&*gateway.ledger.one().await.request_id, "a");
}

async fn with_limit() -> TestGateway {
    TestGateway::builder()
        .endpoint("m", guest("echo"), json!({}))
        .settings(|s| s.max_body_bytes = 2000)
        .start()
        .await
}

const TOO_LARGE: [usize; 3] = [2001, 100_000, 20 << 20];

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let gateway = with_limit().await;
    for size in TOO_LARGE {
        let request = gateway.request("POST", "/v1/chat/completions").body(vec![b' '; size]);
        let told = error(within(request.send()).await.unwrap(), 413, "request_too_large").await;
        assert!(told["message"].as_str().unwrap().contains("2000"), "{told}");
    }
    let mut fits = chat_body(false).to_string();
    fits.push_str(&" ".repeat(2000 - fits.len()));
    let response = gateway.request("POST", "/v1/chat/completions").body(fits).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

/// In chunks, so that nobody knows beforehand: the client has to see the answer, though it still sends.
#[tokio::test]
async fn a_body_over_the_limit_is_refused_where_its_length_is_not_announced() {
    for size in TOO_LARGE {
        let gateway = with_limit().await;
        let pieces = vec![b' '; size];
        let pieces: Vec<_> =
            pieces.chunks(16 << 10).map(Bytes::copy_from_slice).map(Ok::<_, std::io::Error>).collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let request = gateway.request("POST", "/v1/chat/completions").body(body);
        let response = within(request.send()).await.unwrap_or_else(|e| panic!("{size} bytes: {e:?}"));
        error(response, 413, "request_too_large").await;
    }
}

/// The same for every other refusal that comes before the body is read.
#[tokio::test]
async fn a_refusal_is_seen_by_a_client_that_is_still_sending() {
    let gateway = echo().await;
    let body = Bytes::from(vec![b' '; 20 << 20]);
    for (path, status, code) in [
        ("/v1/chat/completions", 401, "invalid_api_key"),
        ("/v1/nothing", 404, "not_found"),
        ("/v1/models", 405, "method_not_allowed"),
    ] {
        let request = gateway.anonymous("POST", path).body(body.clone());
        let response = within(request.send()).await.unwrap_or_else(|e| panic!("{path}: {e:?}"));
        error(response, status, code).await;
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_told_where_it_breaks() {
    let gateway = echo().await;
    let cases = [
        ("", "empty"),
        ("  \n", "empty"),
        ("{", "line 1"),
        ("{\"model\": \"m\",\n \"messages\": [}", "line 2"),
        ("[]", "object"),
        ("null", "object"),
        ("\"text\"", "object"),
        ("{\"model\":\"m\"} {}", "trailing"),
        ("{\"model\":\"m\",\"model\":\"n\"}", "stands twice"),
        ("{\"model\":\"\u{1}\"}", "control"),
        ("model=m", "line 1"),
    ];
    for (body, says) in cases {
        let response = gateway.request("POST", "/v1/chat/completions").body(body).send().await.unwrap();
        let told = error(response, 400, "invalid_json").await;
        assert!(told["message"].as_str().unwrap().contains(says), "{body}: {told}");
    }
    let not_text: [&[u8]; 2] = [b"{\"model\":\"\xff\"}", b"\xff\xfe{\0}\0"];
    for body in not_text {
        let response = gateway.request("POST", "/v1/chat/completions").body(body).send().await.unwrap();
        error(response, 400, "invalid_json").await;
    }
    let deep = format!("{{\"model\":\"m\",\"x\":{}", "[".repeat(1 << 20));
    let response = gateway.request("POST", "/v1/chat/completions").body(deep).send().await.unwrap();
    error(response, 400, "invalid_json").await;
}

async fn refused(gateway: &TestGateway, operation: &str, field: &str, value: Value) -> Value {
    let mut body = match operation {
        "chat/completions" => chat_body(false),
        "completions" => json!({ "model": "m", "prompt": "hi" }),
        _ => json!({ "model": "m", "input": "hi" }),
    };
    body[field] = value;
    let response = gateway.post(&format!("/v1/{operation}"), &body).send().await.unwrap();
    error(response, 400, "invalid_value").await
}

#[tokio::test]
async fn known_fields_of_wrong_types_and_ranges_are_named() {
    let gateway = echo().await;
    let cases = [
        ("chat/completions", "model", json!(7), "model"),
        ("chat/completions", "model", json!(""), "model"),
        ("chat/completions", "messages", json!("hi"), "messages"),
        ("chat/completions", "messages", json!([]), "messages"),
        ("chat/completions", "messages", json!({}), "messages"),
        ("chat/completions", "messages", json!(["hi"]), "messages[0]"),
        (
            "chat/completions",
            "messages",
            json!([{ "role": "user", "content": "a" }, { "role": "wizard" }]),
            "messages[1].role",
        ),
        ("chat/completions", "messages", json!([{ "role": "user", "content": 7 }]), "messages[0].content"),
        ("chat/completions", "stream", json!("yes"), "stream"),
        ("chat/completions", "stream", json!(1), "stream"),
        ("chat/completions", "stream_options", json!({}), "stream_options"),
        ("chat/completions", "temperature", json!("hot"), "temperature"),
        ("chat/completions", "temperature", json!(2.1), "temperature"),
        ("chat/completions", "temperature", json!(-0.1), "temperature"),
        ("chat/completions", "top_p", json!(1.5), "top_p"),
        ("chat/completions", "n", json!(0), "n"),
        ("chat/completions", "n", json!(129), "n"),
        ("chat/completions", "n", json!(1.5), "n"),
        ("chat/completions", "max_tokens", json!(-1), "max_tokens"),
        ("chat/completions", "max_tokens", json!("many"), "max_tokens"),
        ("chat/completions", "max_completion_tokens", json!(0), "max_completion_tokens"),
        ("chat/completions", "presence_penalty", json!(3), "presence_penalty"),
        ("chat/completions", "frequency_penalty", json!(-3), "frequency_penalty"),
        ("chat/completions", "seed", json!("x"), "seed"),
        ("chat/completions", "stop", json!(["a", "b", "c", "d", "e"]), "stop"),
        ("chat/completions", "stop", json!([1]), "stop[0]"),
        ("chat/completions", "logit_bias", json!([]), "logit_bias"),
        ("chat/completions", "logprobs", json!(1), "logprobs"),
        ("chat/completions", "top_logprobs", json!(3), "top_logprobs"),
        ("chat/completions", "tools", json!({}), "tools"),
        ("chat/completions", "tool_choice", json!(1), "tool_choice"),
        ("chat/completions", "response_format", json!("json"), "response_format"),
        ("chat/completions", "user", json!(1), "user"),
        ("completions", "prompt", json!([]), "prompt"),
        ("completions", "prompt", json!(7), "prompt"),
        ("completions", "logprobs", json!(true), "logprobs"),
        ("completions", "echo", json!("x"), "echo"),
        ("completions", "best_of", json!(0), "best_of"),
        ("embeddings", "input", json!({}), "input"),
        ("embeddings", "input", json!([]), "input"),
        ("embeddings", "dimensions", json!(0), "dimensions"),
        ("embeddings", "encoding_format", json!("hex"), "encoding_format"),
    ];
    for (operation, field, value, param) in cases {
        let told = refused(&gateway, operation, field, value.clone()).await;
        assert_eq!(told["param"], param, "{operation} {field} {value}");
        assert_eq!(told["type"], "invalid_request_error");
        assert!(told["message"].as_str().unwrap().contains(param), "{told}");
    }
    let mut body = chat_body(true);
    body["stream_options"] = json!({ "include_usage": "yes" });
    let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
    assert_eq!(error(response, 400, "invalid_value").await["param"], "stream_options.include_usage");
}

#[tokio::test]
async fn fields_that_an_operation_needs_are_named_when_they_are_absent() {
    let gateway = echo().await;
    let cases = [
        ("chat/completions", json!({ "messages": [{ "role": "user", "content": "hi" }] }), "model"),
        ("chat/completions", json!({ "model": "m" }), "messages"),
        ("chat/completions", json!({ "model": null, "messages": [] }), "model"),
        ("completions", json!({ "model": "m" }), "prompt"),
        ("embeddings", json!({ "model": "m" }), "input"),
        ("embeddings", json!({}), "model"),
    ];
    for (operation, body, param) in cases {
        let response = gateway.post(&format!("/v1/{operation}"), &body).send().await.unwrap();
        let told = error(response, 400, "missing_required_parameter").await;
        assert_eq!(told["param"], param, "{body}");
    }
    let record = gateway.ledger.one().await;
    assert_eq!((record.status, record.error.as_deref()), (400, Some("missing_required_parameter")));
}

#[tokio::test]
async fn unusual_bodies_pass_and_reach_the_backend_byte_for_byte() {
    let bodies = [
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"n":4,"temperature":2,"seed":-1,"max_tokens":0}"#,
        r#" { "messages" : [ {"content":[{"type":"text","text":"é\u00e9"},{"type":"image_url","image_url":{"url":"data:,"}}],"role":"user","name":"x"} ] , "model":"m" } "#,
        r#"{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"1","tool_call_id":"1"}]}"#,
        r#"{"model":"m","messages":[{"role":"developer","content":""}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}},{"type":"custom","custom":{"name":"c"}}],"tool_choice":"auto","parallel_tool_calls":false}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":null,"stream":null,"stream_options":null,"stop":null,"tools":null,"user":null}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"guided_json":{"a":[1,2.0,1e9]},"top_k":-1,"repetition_penalty":1.10,"chat_template_kwargs":{"x":true},"min_p":0.0}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"logprobs":true,"top_logprobs":20,"stop":["a","b"],"logit_bias":{"1":-100},"response_format":{"type":"json_object"},"n":1.0}"#,
        r#"{"mod\u0065l":"m","messages":[{"role":"user","content":"hi"}],"metadata":{"a":"b"},"x":12345678901234567890123,"y":0.1e-400}"#,
    ];
    let upstream = Upstream::json(completion()).await;
    for adaptor in ["direct-api".into(), "direct-api-wasi".into(), guest("rewrite")] {
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        for body in bodies {
            let response = gateway.request("POST", "/v1/chat/completions").body(body).send().await.unwrap();
            assert_eq!(response.status(), 200, "{body}: {}", response.text().await.unwrap());
            let seen = upstream.seen().pop().unwrap();
            assert_eq!(seen.body, body, "{adaptor:?}");
            assert_eq!(seen.headers["content-type"], "application/json");
            assert_eq!(seen.headers["content-length"], body.len().to_string());
        }
    }
    let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    for (operation, body) in [
        (
            "completions",
            r#"{"model":"m","prompt":["a","b"],"best_of":2,"logprobs":5,"suffix":"x","echo":true}"#,
        ),
        ("completions", r#"{"model":"m","prompt":[[1,2,3]],"max_tokens":5}"#),
        ("embeddings", r#"{"model":"m","input":[1,2,3],"encoding_format":"base64","dimensions":8}"#),
        ("embeddings", r#"{"model":"m","input":["a",""],"truncate_prompt_tokens":5}"#),
    ] {
        let response = gateway.request("POST", &format!("/v1/{operation}")).body(body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{body}: {}", response.text().await.unwrap());
        assert_eq!(upstream.seen().pop().unwrap().body, body);
    }
}

/// Embeddings know no `stream`, and answer at once.
#[tokio::test]
async fn a_stream_field_of_embeddings_is_not_ours_to_obey() {
    let upstream = Upstream::json(completion()).await;
    let gateway = TestGateway::with("direct-api", json!({ "api_url": upstream.url() })).await;
    let body = r#"{"model":"m","input":"a","stream":true}"#;
    let response = gateway.request("POST", "/v1/embeddings").body(body).send().await.unwrap();
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    assert_eq!(upstream.only().body, body);
}

#[tokio::test]
async fn a_configuration_adds_headers_and_fields() {
    let upstream = Upstream::json(completion()).await;
    for adaptor in ["direct-api", "direct-api-wasi"] {
        let config = json!({
            "api_url": format!("{}?version=2", upstream.url()),
            "extra_headers": { "X-Project": "p1", "User-Agent": "me" },
            "extra_body": { "user": null, "top_k": 5, "n": 2 },
        });
        let gateway = TestGateway::with(adaptor, config).await;
        let text = r#"{"model":"m","n":1,"user":"u","messages":[{"role":"user","content":"hi"}]}"#;
        gateway.request("POST", "/v1/chat/completions").body(text).send().await.unwrap();
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.uri, "/v1/chat/completions?version=2");
        assert_eq!(
            (&seen.headers["x-project"], &seen.headers["user-agent"]),
            (&"p1".parse().unwrap(), &"me".parse().unwrap())
        );
        let expected =
            json!({ "model": "m", "n": 2, "top_k": 5, "messages": [{ "role": "user", "content": "hi" }] });
        assert_eq!(seen.json(), expected);
    }
}
