//! What several guests need: loosely typed configuration, and replies that look like OpenAI's.

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::{EndpointInfo, Task};

/// The endpoint's configuration, whatever it holds.
pub fn settings(endpoint: &EndpointInfo) -> Value {
    json_or_text(endpoint.config.as_bytes())
}

/// A complete answer with this content.
pub fn completion(model: &str, content: &str) -> Value {
    json!({
        "id": "chatcmpl-guest",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": usage(),
    })
}

/// One event of a streamed answer.
pub fn chunk(model: &str, choices: Value) -> Value {
    json!({
        "id": "chatcmpl-guest",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "choices": choices,
    })
}

/// The usage that every guest reports.
pub fn usage() -> Value {
    json!({"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8})
}

/// An endpoint as JSON.
pub fn endpoint_json(endpoint: &EndpointInfo) -> Value {
    json!({
        "slug": endpoint.slug,
        "cluster": endpoint.cluster,
        "framework": endpoint.framework,
        "model": endpoint.model,
        "config": settings(endpoint),
    })
}

/// A task as JSON.
pub fn task_json(task: &Task) -> Value {
    let user = task
        .user
        .as_ref()
        .map(|user| json!({"id": user.id, "name": user.name, "groups": user.groups, "domain": user.domain}));
    json!({
        "id": task.id,
        "operation": task.operation.path(),
        "model": task.model,
        "stream": task.stream,
        "user": user,
        "body": json_or_text(&task.body),
    })
}

/// A fixed time, so that answers can be compared.
const CREATED: u64 = 1_700_000_000;

fn json_or_text(bytes: &[u8]) -> Value {
    airlock_adaptor::serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}
