//! What bodies are taken and what are refused: all that clients were seen to send is taken, and a fault is told with the
//! path of its field.

use airlock_tests::{TestGateway, Upstream, chat_body, completion, error, guest};
use serde_json::{Value, json};

use crate::tidy::root;

mod further;

/// `tests/clients/bodies/record.py` writes them.
#[tokio::test]
async fn no_body_that_a_client_was_seen_to_send_is_refused() {
    let upstream = Upstream::json(completion()).await;
    let gateway = TestGateway::builder()
        .endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
        .start()
        .await;
    let mut checked = 0;
    for file in std::fs::read_dir(root().join("tests/clients/bodies")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines().skip(1) {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line["body"]["model"] = json!("m");
            let sent = gateway.post(&format!("/v1/{}", line["operation"].as_str().unwrap()), &line["body"]);
            let response = sent.send().await.unwrap();
            let status = response.status();
            // Streams are refused by the relay, as the backend answers without one: the body was taken.
            let taken = status == 200 || (line["body"]["stream"] == true && status == 502);
            assert!(taken, "{path:?} {line}: {}", response.text().await.unwrap());
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked} bodies");
    assert_eq!(upstream.seen().len(), checked);
}

/// What other backends than OpenAI's take, and OpenAI's own API at times does not.
#[tokio::test]
async fn what_some_backend_takes_passes() {
    let gateway = TestGateway::with(guest("echo"), json!({})).await;
    let user = json!([{ "role": "user", "content": "hi" }]);
    let part = |part: Value| json!([{ "role": "user", "content": [part] }]);
    let assistant = |more: Value| {
        let mut message = json!({ "role": "assistant" });
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([message, { "role": "user", "content": "" }])
    };
    let cases = [
        ("messages", part(json!({ "type": "video_url", "video_url": { "url": "x" } }))),
        ("messages", part(json!({ "type": "image_url", "image_url": "https://example.org/a.png" }))),
        ("messages", part(json!({ "type": "image_url", "image_url": { "url": "x", "detail": "new" } }))),
        ("messages", part(json!({ "type": "text", "text": "", "image_url": null }))),
        ("messages", part(json!({ "text": "the type may come last", "type": "text" }))),
        ("messages", assistant(json!({ "content": null }))),
        ("messages", assistant(json!({ "content": [], "tool_calls": [] }))),
        (
            "messages",
            assistant(json!({ "content": "", "reasoning_content": "hm", "refusal": null, "audio": null })),
        ),
        (
            "messages",
            assistant(json!({ "tool_calls": [{ "id": "", "type": null, "function": { "name": "f" } }] })),
        ),
        ("messages", json!([{ "role": "developer", "content": "", "name": "Jo Doe <jo@example.org>" }])),
        ("messages", json!([{ "role": "tool", "tool_call_id": "1", "content": null }])),
        (
            "messages",
            json!([{ "role": "tool", "tool_call_id": "1", "content": [
            { "type": "image_url", "image_url": { "url": "x" } }] }]),
        ),
        ("messages", json!([{ "role": "function", "name": "f", "content": null }])),
        ("tools", json!([])),
        ("tools", json!([{ "type": "web_search" }])),
        (
            "tools",
            json!([{ "type": "function", "function": { "name": "server.tool:x/y", "parameters": null, "strict": null } }]),
        ),
        ("tool_choice", json!("any")),
        ("tool_choice", json!({ "type": "auto" })),
        ("response_format", json!({ "type": "structural_tag", "structures": [] })),
        (
            "response_format",
            json!({ "type": "json_schema", "json_schema": { "name": "a b".replace(' ', "."), "strict": null } }),
        ),
        ("reasoning_effort", json!("brand-new")),
        ("service_tier", json!("brand-new")),
        ("top_logprobs", json!(0)),
        ("logit_bias", json!({ "x": 1.5 })),
        ("metadata", json!({})),
        ("seed", json!(9.0)),
    ];
    for (field, value) in cases {
        let mut body = json!({ "model": "m", "messages": user });
        body[field] = value.clone();
        let response = gateway.post("/v1/chat/completions", &body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{field} {value}: {}", response.text().await.unwrap());
    }
}

async fn refused(gateway: &TestGateway, operation: &str, fields: &Value) -> Value {
    let mut body = match operation {
        "chat/completions" => chat_body(false),
        "completions" => json!({ "model": "m", "prompt": "hi" }),
        _ => json!({ "model": "m", "input": "hi" }),
    };
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let response = gateway.post(&format!("/v1/{operation}"), &body).send().await.unwrap();
    assert_eq!(response.status(), 400, "{operation} {fields}");
    let told: Value = response.json().await.unwrap();
    told["error"].clone()
}

const INVALID: &str = "invalid_value";
const MISSING: &str = "missing_required_parameter";

#[tokio::test]
async fn faults_in_messages_are_told_with_their_path() {
    let gateway = TestGateway::with(guest("echo"), json!({})).await;
    let user = json!({ "role": "user", "content": "hi" });
    let part = |part: Value| json!({ "role": "user", "content": ["x", part] });
    let call = |call: Value| json!({ "role": "assistant", "tool_calls": [call] });
    let cases = [
        (json!({ "role": "user" }), MISSING, "content"),
        (json!({ "role": "user", "content": null }), MISSING, "content"),
        (json!({ "role": "user", "content": [] }), INVALID, "content"),
        (json!({ "role": "system", "content": {} }), INVALID, "content"),
        (json!({ "content": "hi" }), MISSING, "role"),
        (json!({ "role": null, "content": "hi" }), MISSING, "role"),
        (json!({ "role": 7, "content": "hi" }), INVALID, "role"),
        (json!({ "role": "wizard", "content": "hi" }), INVALID, "role"),
        (json!({ "role": "user", "content": "hi", "name": 7 }), INVALID, "name"),
        (json!({ "role": "tool", "content": "hi" }), MISSING, "tool_call_id"),
        (json!({ "role": "function", "content": "hi" }), MISSING, "name"),
        (part(json!({ "type": "text", "text": "x" })), INVALID, "content[0]"),
        (json!({ "role": "user", "content": [{ "text": "x" }] }), MISSING, "content[0].type"),
        (json!({ "role": "user", "content": [{ "type": "text" }] }), MISSING, "content[0].text"),
        (json!({ "role": "user", "content": [{ "type": "text", "text": 1 }] }), INVALID, "content[0].text"),
        (
            json!({ "role": "user", "content": [{ "image_url": {}, "type": "image_url" }] }),
            MISSING,
            "content[0].image_url.url",
        ),
        (
            json!({ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": 1 } }] }),
            INVALID,
            "content[0].image_url.url",
        ),
        (
            json!({ "role": "user", "content": [{ "type": "image_url", "image_url": [] }] }),
            INVALID,
            "content[0].image_url",
        ),
        (
            json!({ "role": "user", "content": [{ "type": "input_audio", "input_audio": { "data": "" } }] }),
            MISSING,
            "content[0].input_audio.format",
        ),
        (json!({ "role": "user", "content": [{ "type": "file" }] }), MISSING, "content[0].file"),
        (call(json!({ "type": "function", "function": { "name": "f" } })), MISSING, "tool_calls[0].id"),
        (call(json!({ "id": "1", "type": "function" })), MISSING, "tool_calls[0].function"),
        (
            call(json!({ "id": "1", "type": "function", "function": {} })),
            MISSING,
            "tool_calls[0].function.name",
        ),
        (
            call(json!({ "id": "1", "type": "function", "function": { "name": "f", "arguments": {} } })),
            INVALID,
            "tool_calls[0].function.arguments",
        ),
        (json!(null), INVALID, ""),
        (json!("hi"), INVALID, ""),
    ];
    for (message, code, at) in cases {
        let told = refused(&gateway, "chat/completions", &json!({ "messages": [user, message] })).await;
        let param = format!("messages[1]{}{at}", if at.is_empty() { "" } else { "." });
        assert_eq!((&told["param"], &told["code"]), (&json!(param), &json!(code)), "{message}: {told}");
        assert!(told["message"].as_str().unwrap().contains(&param), "{told}");
    }
}

#[tokio::test]
async fn faults_in_other_fields_are_told_with_their_path() {
    let gateway = TestGateway::with(guest("echo"), json!({})).await;
    let many: serde_json::Map<String, Value> = (0..17).map(|i| (i.to_string(), json!(""))).collect();
    let tool = |function: Value| json!({ "tools": [{ "type": "function", "function": function }] });
    let chat = [
        (tool(json!({ "name": "" })), INVALID, "tools[0].function.name"),
        (tool(json!({ "name": "a b" })), INVALID, "tools[0].function.name"),
        (tool(json!({ "name": "x".repeat(129) })), INVALID, "tools[0].function.name"),
        (tool(json!({ "name": "f", "parameters": [] })), INVALID, "tools[0].function.parameters"),
        (tool(json!({ "name": "f", "strict": "yes" })), INVALID, "tools[0].function.strict"),
        (json!({ "tools": [{ "type": "custom", "custom": {} }] }), MISSING, "tools[0].custom.name"),
        (json!({ "tools": [null] }), INVALID, "tools[0]"),
        (json!({ "tool_choice": { "type": "function" } }), MISSING, "tool_choice.function"),
        (json!({ "tool_choice": {} }), MISSING, "tool_choice.type"),
        (
            json!({ "tool_choice": { "type": "allowed_tools", "allowed_tools": { "mode": "auto" } } }),
            MISSING,
            "tool_choice.allowed_tools.tools",
        ),
        (json!({ "response_format": { "type": "json_schema" } }), MISSING, "response_format.json_schema"),
        (
            json!({ "response_format": { "type": "json_schema", "json_schema": { "schema": {} } } }),
            MISSING,
            "response_format.json_schema.name",
        ),
        (
            json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "n", "schema": 1 } } }),
            INVALID,
            "response_format.json_schema.schema",
        ),
        (json!({ "response_format": {} }), MISSING, "response_format.type"),
        (json!({ "logit_bias": { "5": 101 } }), INVALID, "logit_bias.5"),
        (json!({ "logit_bias": { "5": "1" } }), INVALID, "logit_bias.5"),
        (json!({ "stop": [] }), INVALID, "stop"),
        (json!({ "stop": ["a", 1] }), INVALID, "stop[1]"),
        (json!({ "metadata": many }), INVALID, "metadata"),
        (json!({ "metadata": { "k": "x".repeat(513) } }), INVALID, "metadata.k"),
        (json!({ "metadata": { "k": 1 } }), INVALID, "metadata.k"),
        (json!({ "metadata": { "x".repeat(65): "" } }), INVALID, "metadata"),
        (json!({ "modalities": "text" }), INVALID, "modalities"),
        (json!({ "prediction": { "type": "content" } }), MISSING, "prediction.content"),
        (json!({ "store": "no" }), INVALID, "store"),
        (json!({ "function_call": { "arguments": "" } }), MISSING, "function_call.name"),
        (
            json!({ "stream": true, "stream_options": { "include_obfuscation": 1 } }),
            INVALID,
            "stream_options.include_obfuscation",
        ),
        (json!({ "stream_options": {} }), INVALID, "stream_options"),
        (json!({ "top_logprobs": 1, "logprobs": false }), INVALID, "top_logprobs"),
    ];
    let completions = [
        (json!({ "n": 3, "best_of": 2 }), INVALID, "best_of"),
        (json!({ "prompt": ["a", 1] }), INVALID, "prompt[1]"),
        (json!({ "prompt": [[1], [-1]] }), INVALID, "prompt[1][0]"),
        (json!({ "prompt": [[1], []] }), INVALID, "prompt[1]"),
        (json!({ "prompt": [1, 1.5] }), INVALID, "prompt[1]"),
        (json!({ "prompt": [null] }), INVALID, "prompt[0]"),
    ];
    let embeddings = [
        (json!({ "input": vec!["a"; 2049] }), INVALID, "input"),
        (json!({ "input": [{}] }), INVALID, "input[0]"),
        (json!({ "dimensions": 1.5 }), INVALID, "dimensions"),
    ];
    let cases = [("chat/completions", &chat[..]), ("completions", &completions), ("embeddings", &embeddings)];
    for (operation, cases) in cases {
        for (fields, code, param) in cases {
            let told = refused(&gateway, operation, fields).await;
            assert_eq!((&told["param"], &told["code"]), (&json!(param), &json!(code)), "{fields}: {told}");
        }
    }
}

/// It says what is there and what is allowed, and shows no more of what is there than a person would read.
#[tokio::test]
async fn a_fault_says_what_is_there_and_what_is_allowed() {
    let gateway = TestGateway::with(guest("echo"), json!({})).await;
    let long = "x".repeat(1 << 20);
    let cases = [
        (json!({ "temperature": 2.5 }), "`temperature` is 2.5, and must be a number from 0 to 2"),
        (json!({ "stream": "yes" }), "`stream` is \"yes\", and must be true or false"),
        (json!({ "n": [] }), "`n` is a list, and must be an integer from 1 to 128"),
        (json!({ "messages": [] }), "`messages` is an empty list, and must be a list that is not empty"),
        (json!({ "messages": [{ "role": long, "content": "" }] }), "must be one of system, developer, user"),
        (json!({ "stream": "\n\u{2028}" }), "\\n\\u{2028}"),
    ];
    for (fields, says) in cases {
        let told = refused(&gateway, "chat/completions", &fields).await;
        let message = told["message"].as_str().unwrap();
        assert!(message.contains(says) && message.len() < 300, "{message}");
    }
}

#[tokio::test]
async fn a_cluster_may_refuse_fields_that_nobody_documents() {
    let strict = TestGateway::builder()
        .endpoint("m", guest("echo"), json!({}))
        .cluster(json!({ "unknown_fields": "reject" }))
        .start()
        .await;
    let lenient = TestGateway::with(guest("echo"), json!({})).await;
    for (operation, field, help) in [
        ("chat/completions", "temprature", "Did you mean `temperature`?"),
        ("chat/completions", "top_k", "Did you mean `top_p`?"),
        ("chat/completions", "guided_json", "Leave it out"),
        ("chat/completions", "best_of", "Leave it out"),
        ("completions", "messages", "Leave it out"),
        ("embeddings", "dimension", "Did you mean `dimensions`?"),
    ] {
        let told = refused(&strict, operation, &json!({ field: 1 })).await;
        assert_eq!((&told["code"], &told["param"]), (&json!("unknown_parameter"), &json!(field)), "{told}");
        assert!(told["message"].as_str().unwrap().contains(help), "{told}");
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }], "prompt": "x", "input": "x" });
        body[field] = json!([{ "role": "user", "content": "hi" }]);
        if field != "messages" {
            let sent = lenient.post(&format!("/v1/{operation}"), &body).send().await.unwrap();
            assert_eq!(sent.status(), 200, "{operation} {field}");
        }
    }
    let sent = strict.chat().send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let sent = strict.post(
        "/v1/chat/completions",
        &json!({ "model": "none", "messages": [{ "role": "user", "content": "" }], "x": 1 }),
    );
    error(sent.send().await.unwrap(), 404, "model_not_found").await;
}

/// Where one model has a cluster that refuses and one that does not, the second gets the request.
#[tokio::test]
async fn of_several_clusters_those_that_take_a_field_get_the_request() {
    let first = Upstream::json(completion()).await;
    let second = Upstream::json(completion()).await;
    let cluster = |name: &str, unknown: &str| {
        json!({ "model": "resource_server_async.cluster", "pk": 2, "fields": {
            "cluster_name": name, "cluster_adapter": "static-cluster", "frameworks": ["api"],
            "openai_endpoints": ["chat/completions"], "unknown_fields": unknown } })
    };
    let endpoint = |cluster: &str, upstream: &Upstream| {
        json!({ "model": "resource_server_async.endpoint", "pk": 9, "fields": {
            "cluster": cluster, "framework": "api", "model": "m", "endpoint_adapter": "direct-api",
            "config": { "api_url": upstream.url() } } })
    };
    let all = json!([
        cluster("a", "reject"),
        cluster("b", "forward"),
        endpoint("a", &first),
        endpoint("b", &second)
    ]);
    let gateway = TestGateway::builder().file("more.json", all.to_string()).start().await;
    let mut body = chat_body(false);
    body["top_k"] = json!(1);
    for _ in 0..4 {
        assert_eq!(gateway.post("/v1/chat/completions", &body).send().await.unwrap().status(), 200);
    }
    assert_eq!((first.seen().len(), second.seen().len()), (0, 4));
}
