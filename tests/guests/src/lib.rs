//! What several guests need: loosely typed configuration, replies that look like OpenAI's, and ways to take
//! too much.

use std::hint::black_box;

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::{AdaptorError, EndpointInfo, Task};

pub mod wasi;

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

/// A number of the configuration.
pub fn number(config: &Value, name: &str, default: usize) -> usize {
    config[name].as_u64().map_or(default, |number| number as usize)
}

/// A text of the configuration, empty where there is none.
pub fn text<'a>(config: &'a Value, name: &str) -> &'a str {
    config[name].as_str().unwrap_or_default()
}

/// A refusal as JSON.
pub fn refusal(error: AdaptorError) -> Value {
    json!({"code": error.code, "message": error.message})
}

/// Burns CPU time for ever.
pub fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Takes memory, 4 MiB at a time with every page touched, until the host refuses more. It uses little CPU time.
pub fn take_memory() -> ! {
    const BLOCK: usize = 4 << 20;
    const PAGE: usize = 4 << 10;
    let mut taken = Vec::new();
    loop {
        let mut block = Vec::<u8>::with_capacity(BLOCK);
        for page in block.spare_capacity_mut().chunks_mut(PAGE) {
            page[0].write(1);
        }
        taken.push(black_box(block));
    }
}

/// A fixed time, so that answers can be compared.
const CREATED: u64 = 1_700_000_000;

fn json_or_text(bytes: &[u8]) -> Value {
    airlock_adaptor::serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}
