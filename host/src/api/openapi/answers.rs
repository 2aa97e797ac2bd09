//! What the operations of OpenAI's API take and give. What the gateway does not look at, the backend decides.

#![expect(dead_code, reason = "only their schemas are used")]

use airlock_sandbox::Operation;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Components, Source, named};
use crate::api::openai::request_schema;

/// What an operation takes and gives.
pub(in crate::api) struct Operations {
    /// What it does.
    pub(in crate::api) summary: &'static str,
    /// Its body.
    pub(in crate::api) request: Source,
    /// Its complete answer.
    pub(in crate::api) answer: Source,
    /// One event of its stream, where it has streams.
    pub(in crate::api) events: Option<Source>,
}

impl Operations {
    /// Of this operation.
    pub(in crate::api) fn of(operation: Operation) -> Self {
        match operation {
            Operation::ChatCompletions => Self {
                summary: "Answer a chat",
                request: |c| c.schema("ChatRequest", request_schema(Operation::ChatCompletions)),
                answer: named::<ChatCompletion>,
                events: Some(events),
            },
            Operation::Completions => Self {
                summary: "Complete a text",
                request: |c| c.schema("CompletionRequest", request_schema(Operation::Completions)),
                answer: named::<Completion>,
                events: Some(events),
            },
            Operation::Embeddings => Self {
                summary: "Embed texts",
                request: |c| c.schema("EmbeddingRequest", request_schema(Operation::Embeddings)),
                answer: named::<Embeddings>,
                events: None,
            },
            Operation::Responses => Self {
                summary: "Make a response",
                request: |c| c.schema("ResponseRequest", request_schema(Operation::Responses)),
                answer: relayed,
                events: Some(named_events),
            },
            Operation::Messages => Self {
                summary: "Make a message",
                request: |c| c.schema("MessageRequest", request_schema(Operation::Messages)),
                answer: relayed,
                events: Some(named_events),
            },
            Operation::CountTokens => Self {
                summary: "Count the tokens of a message",
                request: |c| c.schema("CountTokensRequest", request_schema(Operation::CountTokens)),
                answer: relayed,
                events: None,
            },
            Operation::Moderations => Self {
                summary: "Tell whether texts are harmful",
                request: |c| c.schema("ModerationRequest", request_schema(Operation::Moderations)),
                answer: relayed,
                events: None,
            },
            Operation::Rerank => Self {
                summary: "Sort documents by what they say about a question",
                request: |c| c.schema("RerankRequest", request_schema(Operation::Rerank)),
                answer: relayed,
                events: None,
            },
            Operation::ImageGenerations => Self {
                summary: "Make images",
                request: |c| c.schema("ImageRequest", request_schema(Operation::ImageGenerations)),
                answer: relayed,
                events: Some(named_events),
            },
        }
    }
}

/// Server-sent events.
fn events(_: &mut Components) -> Value {
    let what = "With `stream`: `data: ` and one JSON object in each event, last `data: [DONE]`. After a fault an event with \
        `error`, and no `[DONE]`.";
    // Not a string: readers of descriptions hold a schema against each event.
    json!({ "description": what })
}

/// Server-sent events with names.
fn named_events(_: &mut Components) -> Value {
    let what = "With `stream`: `event: NAME`, and `data: ` with one JSON object that has the name as its `type`. After a fault \
        an event `error`, and nothing more.";
    json!({ "description": what })
}

/// What the backend gives.
fn relayed(_: &mut Components) -> Value {
    json!({ "type": "object", "description": "As the backend gives it." })
}

/// OpenAI's chat completion, as the backend gives it.
#[derive(ToSchema)]
struct ChatCompletion {
    id: Option<String>,
    object: Option<String>,
    created: Option<i64>,
    model: Option<String>,
    choices: Option<Vec<ChatChoice>>,
    usage: Option<Usage>,
}

/// One answer of several.
#[derive(ToSchema)]
struct ChatChoice {
    index: Option<u32>,
    message: Option<Map<String, Value>>,
    finish_reason: Option<String>,
}

/// OpenAI's completion, as the backend gives it.
#[derive(ToSchema)]
struct Completion {
    id: Option<String>,
    object: Option<String>,
    created: Option<i64>,
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
}

/// One answer of several.
#[derive(ToSchema)]
#[schema(as = CompletionChoice)]
struct Choice {
    index: Option<u32>,
    text: Option<String>,
    finish_reason: Option<String>,
}

/// OpenAI's embeddings, as the backend gives them.
#[derive(ToSchema)]
struct Embeddings {
    object: Option<String>,
    data: Option<Vec<Embedding>>,
    model: Option<String>,
    usage: Option<Usage>,
}

/// One text's.
#[derive(ToSchema)]
struct Embedding {
    object: Option<String>,
    index: Option<u32>,
    /// Numbers, or with `encoding_format: base64` text.
    embedding: Option<Value>,
}

/// What was counted.
#[derive(ToSchema)]
#[schema(as = TokenUsage)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
}
