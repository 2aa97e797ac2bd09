//! What the client gets: a `chat.completion`, and what it shares with the chunks of a stream.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Value, json};

use crate::Task;

/// What all chunks of an answer have in common.
#[derive(Debug, Clone)]
pub struct Head {
    /// The answer's id.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The model as the client named it.
    pub model: String,
}

impl Head {
    /// The head of a task's answer.
    pub fn of(task: &Task) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { id: format!("chatcmpl-{}", task.id), created: now.as_secs(), model: task.model.clone() }
    }

    /// An id for a tool call of a backend that gives none: unique within a conversation.
    pub fn call_id(&self, index: usize) -> String {
        format!("call_{}_{index}", self.id.trim_start_matches("chatcmpl-"))
    }
}

/// A complete answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// What the model says.
    pub text: String,
    /// What it thought.
    pub reasoning: String,
    /// The tools that it calls.
    pub calls: Vec<Call>,
    /// Why it ended.
    pub finish: Finish,
    /// What it cost.
    pub usage: Usage,
}

/// The model calls a tool.
#[derive(Debug)]
pub struct Call {
    /// Ties the result to the call; none where the backend gives none.
    pub id: Option<String>,
    /// The tool's name.
    pub name: String,
    /// The text of one JSON object.
    pub arguments: String,
    /// What the backend wants to see again with the call; the client gets it as `extra_content`.
    pub extra: Option<Value>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// By itself, or at a stop word.
    #[default]
    Stop,
    /// At a limit of tokens.
    Length,
    /// To have tools called.
    ToolCalls,
    /// Because of what it, or the prompt, said.
    ContentFilter,
}

/// Tokens, as OpenAI counts them: the prompt's include those that were cached, the answer's those of thoughts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the prompt.
    pub prompt: u64,
    /// Of these, read from a cache.
    pub cached: u64,
    /// Of the answer.
    pub completion: u64,
    /// Of these, thoughts.
    pub reasoning: u64,
}

impl Usage {
    pub(super) fn to_json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt.saturating_add(self.completion),
            "prompt_tokens_details": { "cached_tokens": self.cached },
            "completion_tokens_details": { "reasoning_tokens": self.reasoning },
        })
    }
}

impl Answer {
    /// The answer as a `chat.completion`.
    pub fn to_json(&self, head: &Head) -> Value {
        let has_text = !self.text.is_empty() || self.calls.is_empty();
        let mut message =
            json!({ "role": "assistant", "content": has_text.then_some(&self.text), "refusal": null });
        if let Some(message) = message.as_object_mut() {
            if !self.reasoning.is_empty() {
                message.insert("reasoning_content".into(), json!(self.reasoning));
            }
            if !self.calls.is_empty() {
                let calls = self.calls.iter().enumerate().map(|(index, call)| call.to_json(head, index));
                message.insert("tool_calls".into(), calls.collect());
            }
        }
        json!({
            "id": head.id,
            "object": "chat.completion",
            "created": head.created,
            "model": head.model,
            "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": self.finish }],
            "usage": self.usage.to_json(),
        })
    }
}

impl Call {
    pub(super) fn to_json(&self, head: &Head, index: usize) -> Value {
        let id = self.id.clone().unwrap_or_else(|| head.call_id(index));
        let function = json!({ "name": self.name, "arguments": self.arguments });
        let mut call = json!({ "id": id, "type": "function", "function": function });
        if let (Some(extra), Some(call)) = (&self.extra, call.as_object_mut()) {
            call.insert("extra_content".into(), extra.clone());
        }
        call
    }
}
