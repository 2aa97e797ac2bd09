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
    /// Its complete answer, in each of the forms that it may have.
    pub(in crate::api) answer: Vec<(&'static str, Source)>,
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
                answer: json_of(named::<ChatCompletion>),
                events: Some(events),
            },
            Operation::Completions => Self {
                summary: "Complete a text",
                request: |c| c.schema("CompletionRequest", request_schema(Operation::Completions)),
                answer: json_of(named::<Completion>),
                events: Some(events),
            },
            Operation::Embeddings => Self {
                summary: "Embed texts",
                request: |c| c.schema("EmbeddingRequest", request_schema(Operation::Embeddings)),
                answer: json_of(named::<Embeddings>),
                events: None,
            },
            Operation::Responses => Self {
                summary: "Make a response",
                request: |c| c.schema("ResponseRequest", request_schema(Operation::Responses)),
                answer: json_of(relayed),
                events: Some(named_events),
            },
            Operation::Messages => Self {
                summary: "Make a message",
                request: |c| c.schema("MessageRequest", request_schema(Operation::Messages)),
                answer: json_of(relayed),
                events: Some(named_events),
            },
            Operation::CountTokens => Self::relayed("Count the tokens of a message", |c| {
                c.schema("CountTokensRequest", request_schema(Operation::CountTokens))
            }),
            Operation::Moderations => Self::relayed("Tell whether texts are harmful", |c| {
                c.schema("ModerationRequest", request_schema(Operation::Moderations))
            }),
            Operation::Rerank => Self::relayed("Sort documents by what they say about a question", |c| {
                c.schema("RerankRequest", request_schema(Operation::Rerank))
            }),
            Operation::ImageGenerations => Self {
                summary: "Make images",
                request: |c| c.schema("ImageRequest", request_schema(Operation::ImageGenerations)),
                answer: json_of(relayed),
                events: Some(named_events),
            },
            Operation::ImageEdits => Self {
                summary: "Change images",
                request: |c| c.schema("ImageEditForm", form("image", "The image, or one of several.")),
                answer: json_of(relayed),
                events: Some(named_events),
            },
            Operation::ImageVariations => Self::relayed("Make images that are like one", |c| {
                c.schema("ImageVariationForm", form("image", "The image."))
            }),
            Operation::Speech => Self {
                summary: "Speak a text",
                request: |c| c.schema("SpeechRequest", request_schema(Operation::Speech)),
                answer: vec![("audio/*", octets), ("application/octet-stream", octets)],
                events: Some(named_events),
            },
            Operation::Transcriptions => Self {
                summary: "Write down what is said",
                request: |c| c.schema("TranscriptionForm", form("file", "The recording.")),
                answer: transcripts(),
                events: Some(transcript_events),
            },
            Operation::Translations => Self {
                summary: "Write down in English what is said",
                request: |c| c.schema("TranslationForm", form("file", "The recording.")),
                answer: transcripts(),
                events: Some(transcript_events),
            },
        }
    }
}

impl Operations {
    /// One whose only answer is an object, which is the backend's business.
    fn relayed(summary: &'static str, request: Source) -> Self {
        Self { summary, request, answer: json_of(relayed), events: None }
    }
}

/// JSON alone.
fn json_of(schema: Source) -> Vec<(&'static str, Source)> {
    vec![("application/json", schema)]
}

/// JSON, or as `response_format` has it.
fn transcripts() -> Vec<(&'static str, Source)> {
    vec![
        ("application/json", relayed),
        ("text/plain", text),
        ("text/vtt", text),
        ("application/x-subrip", text),
    ]
}

/// A form. What the gateway does not read, the backend decides.
fn form(file: &str, what: &str) -> Value {
    let model =
        "Needed here, also where OpenAI has a default. Anywhere in the form, but before anything very large.";
    json!({
        "type": "object",
        "required": ["model", file],
        "properties": {
            "model": { "type": "string", "minLength": 1, "maxLength": 1024, "description": model },
            file: { "type": "string", "format": "binary", "description": what },
        },
        "additionalProperties": true,
    })
}

fn octets(_: &mut Components) -> Value {
    json!({ "type": "string", "format": "binary", "description": "As it comes from the backend." })
}

fn text(_: &mut Components) -> Value {
    json!({ "type": "string", "description": "As the backend gives it." })
}

/// Server-sent events of a transcript.
fn transcript_events(_: &mut Components) -> Value {
    let what = "With `stream`: `data: ` and one JSON object in each event; last one of the type `transcript.text.done`, or \
        `data: [DONE]`. After a fault an event `error`, and nothing more.";
    json!({ "description": what })
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
