//! An answer of the Messages API, and its events.

use std::mem;

use serde_json::{Map, Value, json};

use super::super::blocks::{self, End, Events, Writer};
use super::super::unique;
use crate::AdaptorError;
use crate::chat::{Finish, Head, Usage};

/// Writes an answer: a block for each block. Of a stream, nothing is kept.
pub(in super::super) struct Messages {
    id: String,
    model: String,
    shows_thoughts: bool,
    /// The blocks of a complete answer.
    content: Vec<Value>,
    /// How many blocks there were.
    index: usize,
    open: Option<Open>,
    has_refused: bool,
    last: Value,
    events: Events,
}

/// The block that is being written.
struct Open {
    kind: Kind,
    text: String,
}

enum Kind {
    /// Thoughts that nobody asked for.
    Hidden,
    Thinking,
    Text,
    Call {
        id: String,
        name: String,
    },
}

impl Kind {
    /// The block with its text; of a call, with the object that it is.
    fn to_json(&self, text: &str, input: &Value) -> Value {
        match self {
            Self::Hidden => Value::Null,
            Self::Thinking => json!({ "type": "thinking", "thinking": text, "signature": "" }),
            Self::Text => json!({ "type": "text", "text": text }),
            Self::Call { id, name } => json!({ "type": "tool_use", "id": id, "name": name, "input": input }),
        }
    }

    fn delta(&self, text: &str) -> Option<Value> {
        match self {
            Self::Hidden => None,
            Self::Thinking => Some(json!({ "type": "thinking_delta", "thinking": text })),
            Self::Text => Some(json!({ "type": "text_delta", "text": text })),
            Self::Call { .. } => Some(json!({ "type": "input_json_delta", "partial_json": text })),
        }
    }
}

impl Messages {
    pub(super) fn new(head: &Head, is_stream: bool, shows_thoughts: bool) -> Self {
        Self {
            id: format!("msg_{}", unique(head)),
            model: head.model.clone(),
            shows_thoughts,
            content: Vec::new(),
            index: 0,
            open: None,
            has_refused: false,
            last: Value::Null,
            events: Events::new(is_stream),
        }
    }

    fn message(&self, end: Map<String, Value>, usage: &Value) -> Value {
        let mut message = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": self.content, "stop_reason": null, "stop_sequence": null, "usage": usage,
        });
        if let Some(message) = message.as_object_mut() {
            message.extend(end);
        }
        message
    }

    /// The fields that say how the answer ended.
    fn stopped(&self, end: &End) -> Map<String, Value> {
        let reason = match end.finish {
            _ if self.has_refused => "refusal",
            Finish::Stop if end.stop.is_some() => "stop_sequence",
            Finish::Stop => "end_turn",
            Finish::Length => "max_tokens",
            Finish::ToolCalls => "tool_use",
            Finish::ContentFilter => "refusal",
        };
        let word = end.stop.as_ref().filter(|_| reason == "stop_sequence");
        Map::from_iter([("stop_reason".into(), json!(reason)), ("stop_sequence".into(), json!(word))])
    }
}

impl Writer for Messages {
    fn begin(&mut self) {
        if self.events.is_stream() {
            let message = self.message(Map::new(), &usage(Usage::default()));
            self.events.push(&json!({ "type": "message_start", "message": message }));
        }
    }

    fn open(&mut self, block: blocks::Block<'_>) {
        let kind = match block {
            blocks::Block::Reasoning if !self.shows_thoughts => Kind::Hidden,
            blocks::Block::Reasoning => Kind::Thinking,
            blocks::Block::Text => Kind::Text,
            blocks::Block::Refusal => {
                self.has_refused = true;
                Kind::Text
            }
            blocks::Block::Call { id, name } => Kind::Call { id: id.to_owned(), name: name.to_owned() },
        };
        if !matches!(kind, Kind::Hidden) {
            let block = kind.to_json("", &json!({}));
            let event = json!({ "type": "content_block_start", "index": self.index, "content_block": block });
            self.events.push(&event);
        }
        self.open = Some(Open { kind, text: String::new() });
    }

    fn delta(&mut self, text: &str) {
        let Some(open) = &mut self.open else { return };
        if let Some(delta) = open.kind.delta(text) {
            if !self.events.is_stream() {
                open.text.push_str(text);
            }
            let event = json!({ "type": "content_block_delta", "index": self.index, "delta": delta });
            self.events.push(&event);
        }
    }

    fn close(&mut self, is_whole: bool) -> Result<(), AdaptorError> {
        let Some(mut open) = self.open.take().filter(|open| !matches!(open.kind, Kind::Hidden)) else {
            return Ok(());
        };
        self.events.push(&json!({ "type": "content_block_stop", "index": self.index }));
        self.index += 1;
        if !self.events.is_stream() {
            let text = mem::take(&mut open.text);
            let input = match &open.kind {
                Kind::Call { name, .. } => input(name, &text, is_whole)?,
                _ => Value::Null,
            };
            self.content.push(open.kind.to_json(&text, &input));
        }
        Ok(())
    }

    fn end(&mut self, end: &End) {
        let stopped = self.stopped(end);
        let usage = usage(end.usage.unwrap_or_default());
        if self.events.is_stream() {
            self.events.push(&json!({ "type": "message_delta", "delta": stopped, "usage": usage }));
            self.events.push(&json!({ "type": "message_stop" }));
        } else {
            self.last = self.message(stopped, &usage);
        }
    }

    /// The error event is all that such a stream says, and the host writes it.
    fn fail(&mut self, _: &AdaptorError) {}

    fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    fn answer(&mut self) -> Vec<u8> {
        self.last.to_string().into_bytes()
    }
}

/// A call's arguments, which are an object here. Of a call that was cut off nothing can be used, and the answer says that
/// it was.
fn input(name: &str, text: &str, is_whole: bool) -> Result<Value, AdaptorError> {
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(input) => Ok(Value::Object(input)),
        Err(_) if !is_whole => Ok(json!({})),
        Err(error) => {
            let message =
                format!("the model called `{name}` with arguments that are no JSON object: {error}");
            Err(AdaptorError::bad_upstream("upstream_bad_response", message))
        }
    }
}

/// Tokens as this API counts them: those that were read from a cache are apart.
fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt.saturating_sub(usage.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
        "output_tokens_details": { "thinking_tokens": usage.reasoning },
    })
}
