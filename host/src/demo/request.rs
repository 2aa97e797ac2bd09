//! Request bodies: only the fields that change an answer. Unknown fields pass.

use std::fmt::Write as _;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::tokens::Limits;

/// A parsed body and an id made from its bytes, so that the same request gets the same id.
pub(super) struct Parsed<T>(pub(super) T, pub(super) String);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Parsed<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|refused| ApiError::unreadable(refused.status(), refused.body_text()))?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            ApiError::bad_request(format!("We could not read the JSON body: {error}"), None)
        })?;
        Ok(Self(value, id_of(&bytes)))
    }
}

fn id_of(bytes: &[u8]) -> String {
    let mut id = String::new();
    for byte in Sha256::digest(bytes).iter().take(12) {
        // Writing into a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// A field that takes one value or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// Where an answer ends.
pub(super) fn limits(stop: Option<OneOrMany<String>>, max_tokens: Option<u64>) -> Limits {
    Limits { stop: stop.map(OneOrMany::into_vec).unwrap_or_default(), max_tokens }
}

/// OpenAI's upper bound for `n`.
const MOST_CHOICES: usize = 128;

/// How many answers are wanted for a prompt.
pub(super) fn choices(n: Option<usize>) -> Result<usize, ApiError> {
    match n.unwrap_or(1) {
        n @ 1..=MOST_CHOICES => Ok(n),
        n => Err(ApiError::bad_request(
            format!("Invalid 'n': {n} is not between 1 and {MOST_CHOICES}."),
            Some("n"),
        )),
    }
}

/// `stream_options`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

/// Whether the client wants a last chunk with the token counts.
pub(super) fn wants_usage(options: Option<&StreamOptions>) -> bool {
    options.and_then(|options| options.include_usage).unwrap_or(false)
}

/// The body of `POST /v1/chat/completions`.
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    pub(super) model: String,
    pub(super) messages: Vec<Message>,
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
    pub(super) max_tokens: Option<u64>,
    pub(super) max_completion_tokens: Option<u64>,
    pub(super) stop: Option<OneOrMany<String>>,
    pub(super) n: Option<usize>,
    pub(super) tools: Option<Vec<Value>>,
    pub(super) tool_choice: Option<Value>,
    pub(super) parallel_tool_calls: Option<bool>,
    pub(super) response_format: Option<Value>,
}

/// One chat message.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) role: String,
    content: Option<Content>,
    tool_calls: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

impl Message {
    /// The message's text. A part that is not text is named, so that the answer can mention it.
    pub(super) fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => {
                let parts = parts.iter().map(|part| match &part.text {
                    Some(text) => text.clone(),
                    None => format!("[{}]", part.kind),
                });
                parts.collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// The calls of an earlier assistant message as JSON text; they count as prompt too.
    pub(super) fn calls(&self) -> String {
        self.tool_calls.as_ref().filter(|calls| !calls.is_null()).map_or_else(String::new, Value::to_string)
    }
}

/// The body of `POST /v1/completions`.
#[derive(Debug, Deserialize)]
pub(super) struct CompletionRequest {
    pub(super) model: String,
    pub(super) prompt: Option<Input>,
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
    pub(super) max_tokens: Option<u64>,
    pub(super) stop: Option<OneOrMany<String>>,
    pub(super) n: Option<usize>,
    pub(super) echo: Option<bool>,
}

/// The body of `POST /v1/embeddings`.
#[derive(Debug, Deserialize)]
pub(super) struct EmbeddingRequest {
    pub(super) model: String,
    pub(super) input: Input,
    pub(super) dimensions: Option<usize>,
    pub(super) encoding_format: Option<String>,
}

/// A prompt or an embedding input: a text, texts, one list of token ids, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

/// One prompt or input and what it counts.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) text: String,
    pub(super) tokens: usize,
}

impl Input {
    /// The inputs, one by one. Token ids have no text here; their numbers stand for it.
    pub(super) fn into_prompts(self) -> Vec<Prompt> {
        match self {
            Self::Text(text) => vec![Prompt::of_text(text)],
            Self::Texts(texts) => texts.into_iter().map(Prompt::of_text).collect(),
            Self::Tokens(ids) => vec![Prompt::of_ids(&ids)],
            Self::TokenLists(lists) => lists.iter().map(|ids| Prompt::of_ids(ids)).collect(),
        }
    }
}

impl Prompt {
    fn of_text(text: String) -> Self {
        Self { tokens: super::tokens::count(&text), text }
    }

    fn of_ids(ids: &[u32]) -> Self {
        let names: Vec<_> = ids.iter().map(u32::to_string).collect();
        Self { text: names.join(" "), tokens: ids.len() }
    }
}
