//! Writes `chat.completion.chunk` events.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{Call, Finish, Head, Usage};

/// The chunks of one answer, in order, until somebody takes them.
#[derive(Debug)]
pub struct Chunks {
    head: Head,
    has_begun: bool,
    calls: usize,
    ready: VecDeque<Vec<u8>>,
}

impl Chunks {
    /// The chunks of an answer with this head.
    pub fn new(head: Head) -> Self {
        Self { head, has_begun: false, calls: 0, ready: VecDeque::new() }
    }

    /// Text of the answer.
    pub fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.delta(json!({ "content": text }));
        }
    }

    /// Text of the model's thoughts.
    pub fn reasoning(&mut self, text: &str) {
        if !text.is_empty() {
            self.delta(json!({ "reasoning_content": text }));
        }
    }

    /// The model begins to call a tool, with the arguments as far as they are known; gives the call's index.
    pub fn call(&mut self, call: &Call) -> usize {
        let index = self.calls;
        self.calls += 1;
        let mut json = call.to_json(&self.head, index);
        if let Some(json) = json.as_object_mut() {
            json.insert("index".into(), json!(index));
        }
        self.delta(json!({ "tool_calls": [json] }));
        index
    }

    /// More of a call's arguments.
    pub fn arguments(&mut self, index: usize, text: &str) {
        if !text.is_empty() {
            self.delta(json!({ "tool_calls": [{ "index": index, "function": { "arguments": text } }] }));
        }
    }

    /// Whether the model has called a tool.
    pub fn has_calls(&self) -> bool {
        self.calls > 0
    }

    /// The end of the answer.
    pub fn finish(&mut self, reason: Finish) {
        self.begin();
        self.push(json!([{ "index": 0, "delta": {}, "logprobs": null, "finish_reason": reason }]), None);
    }

    /// What it cost: the last chunk, which has no choices.
    pub fn usage(&mut self, usage: Usage) {
        self.push(json!([]), Some(usage));
    }

    /// The next chunk, as the payload of an event.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }

    fn delta(&mut self, delta: Value) {
        self.begin();
        self.push(json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }]), None);
    }

    /// The first chunk says who speaks.
    fn begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.delta(json!({ "role": "assistant", "content": "" }));
        }
    }

    fn push(&mut self, choices: Value, usage: Option<Usage>) {
        let mut chunk = json!({
            "id": self.head.id,
            "object": "chat.completion.chunk",
            "created": self.head.created,
            "model": self.head.model,
            "choices": choices,
        });
        if let (Some(usage), Some(chunk)) = (usage, chunk.as_object_mut()) {
            chunk.insert("usage".into(), usage.to_json());
        }
        self.ready.push_back(chunk.to_string().into_bytes());
    }
}
