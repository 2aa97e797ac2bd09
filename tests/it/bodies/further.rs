//! The same of the operations beside the three oldest ones.

use airlock_sandbox::{Operation, Vendor};
use airlock_tests::{TestGateway, Upstream, guest, least_body};
use serde_json::{Value, json};

use super::{INVALID, MISSING};

#[tokio::test]
async fn faults_in_further_operations_are_told_with_their_path() {
    let paths: Vec<&str> = Operation::ALL.into_iter().map(Operation::path).collect();
    let gateway =
        TestGateway::builder().operations(&paths).endpoint("m", guest("echo"), json!({})).start().await;
    let input = |item: Value| json!({ "input": [{ "role": "user", "content": "x" }, item] });
    let said = |block: Value| json!({ "messages": [{ "role": "user", "content": [block] }] });
    let call = json!({ "type": "function_call", "call_id": "1", "name": "f" });
    let part = |part: Value| input(json!({ "role": "user", "content": [part] }));
    let responses = [
        (input(call), MISSING, "input[1].arguments"),
        (input(json!({ "type": "message", "role": "user" })), MISSING, "input[1].content"),
        (input(json!("x")), INVALID, "input[1]"),
        (part(json!({ "type": "input_text" })), MISSING, "input[1].content[0].text"),
        (part(json!({ "type": "input_image", "image_url": 1 })), INVALID, "input[1].content[0].image_url"),
        (json!({ "tools": [{ "type": "function" }] }), MISSING, "tools[0].name"),
        (
            json!({ "text": { "format": { "type": "json_schema", "name": "n" } } }),
            MISSING,
            "text.format.schema",
        ),
        (json!({ "reasoning": { "effort": 1 } }), INVALID, "reasoning.effort"),
        (json!({ "max_output_tokens": 0 }), INVALID, "max_output_tokens"),
        (json!({ "conversation": {} }), MISSING, "conversation.id"),
    ];
    let messages = [
        (json!({ "max_tokens": null }), MISSING, "max_tokens"),
        (json!({ "max_tokens": "9" }), INVALID, "max_tokens"),
        (json!({ "messages": [] }), INVALID, "messages"),
        (json!({ "messages": [{ "role": "user" }] }), MISSING, "messages[0].content"),
        (said(json!({ "type": "tool_result" })), MISSING, "messages[0].content[0].tool_use_id"),
        (said(json!({ "type": "image" })), MISSING, "messages[0].content[0].source"),
        (json!({ "system": [{ "type": "text" }] }), MISSING, "system[0].text"),
        (json!({ "tools": [{ "name": "f", "input_schema": [] }] }), INVALID, "tools[0].input_schema"),
        (json!({ "tool_choice": { "type": "tool" } }), MISSING, "tool_choice.name"),
    ];
    let count = [(json!({ "messages": null }), MISSING, "messages")];
    let moderations =
        [(json!({ "input": [1] }), INVALID, "input[0]"), (json!({ "input": [] }), INVALID, "input")];
    let rerank = [(json!({ "query": null }), MISSING, "query"), (json!({ "top_n": -1 }), INVALID, "top_n")];
    let images = [(json!({ "n": 11 }), INVALID, "n"), (json!({ "prompt": {} }), INVALID, "prompt")];
    let cases = [
        (Operation::Responses, &responses[..]),
        (Operation::Messages, &messages),
        (Operation::CountTokens, &count),
        (Operation::Moderations, &moderations),
        (Operation::Rerank, &rerank),
        (Operation::ImageGenerations, &images),
    ];
    for (operation, cases) in cases {
        for (fields, code, param) in cases {
            let mut body = least_body(operation);
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let sent = gateway.post(&format!("/v1/{}", operation.path()), &body).send().await.unwrap();
            assert_eq!(sent.status(), 400, "{body}");
            let told: Value = sent.json().await.unwrap();
            let message = told["error"]["message"].as_str().unwrap();
            assert!(message.contains(&format!("`{param}`")), "{body}: {told}");
            if operation.vendor() == Vendor::OpenAi {
                assert_eq!(
                    (&told["error"]["param"], &told["error"]["code"]),
                    (&json!(param), &json!(code)),
                    "{told}"
                );
            }
        }
    }
}

/// What the official clients send, and what their types allow.
#[tokio::test]
async fn what_further_operations_may_hold_passes() {
    let upstream = Upstream::json(json!({ "ok": true })).await;
    let paths: Vec<&str> = Operation::ALL.into_iter().map(Operation::path).collect();
    let config = json!({ "api_url": upstream.url() });
    let gateway = TestGateway::builder().operations(&paths).endpoint("m", "direct-api", config).start().await;
    let cases = [
        (Operation::Responses, json!({ "input": null, "prompt": { "id": "p" }, "conversation": "c" })),
        (
            Operation::Responses,
            json!({ "input": [
            { "type": "reasoning", "id": "r", "summary": [], "content": null, "encrypted_content": "x" },
            { "role": "assistant", "content": [{ "type": "output_text", "text": "", "annotations": [] }] },
            { "type": "function_call_output", "call_id": "1", "output": [{ "type": "input_text", "text": "x" }] },
            { "type": "item_reference", "id": "i" }, { "type": null, "id": "i" }, { "type": "brand_new" }] }),
        ),
        (
            Operation::Responses,
            json!({ "tools": [{ "type": "web_search" }, { "type": "mcp", "server_label": "l" }],
            "tool_choice": { "type": "web_search" }, "text": { "format": { "type": "text" } }, "include": ["x"] }),
        ),
        (
            Operation::Messages,
            json!({ "messages": [
            { "role": "user", "content": "x" },
            { "role": "assistant", "content": [{ "type": "thinking", "thinking": "", "signature": "s" },
                { "type": "tool_use", "id": "1", "name": "f", "input": {} }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "1", "content": [] },
                { "type": "search_result", "source": "https://x", "title": "t", "content": [] }] },
            { "role": "assistant", "content": [] }] }),
        ),
        (
            Operation::Messages,
            json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }],
            "thinking": { "type": "adaptive" }, "max_tokens": 0, "system": [{ "type": "text", "text": "x",
                "cache_control": { "type": "ephemeral" } }] }),
        ),
        (Operation::Moderations, json!({ "input": ["x", { "type": "text", "text": "x" }] })),
        (Operation::Rerank, json!({ "documents": [{ "text": "x" }], "top_n": 0 })),
        (Operation::Rerank, json!({ "documents": { "content": [] }, "query": { "content": [] } })),
        (Operation::ImageGenerations, json!({ "size": "33x44", "background": null })),
    ];
    for (operation, fields) in cases {
        let mut body = least_body(operation);
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let sent = gateway.post(&format!("/v1/{}", operation.path()), &body).send().await.unwrap();
        assert_eq!(sent.status(), 200, "{body}: {}", sent.text().await.unwrap());
    }
}
