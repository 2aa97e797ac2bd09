//! An answer of the Responses API, and its events.

use std::mem;

use serde_json::{Map, Value, json};

use super::super::blocks::{Block, End, Events, Writer};
use super::super::unique;
use super::error_json;
use crate::AdaptorError;
use crate::chat::{Finish, Head, Usage};

/// Writes an answer: an item for each block.
pub(in super::super) struct Responses {
    unique: String,
    /// What all states of the answer have in common.
    common: Map<String, Value>,
    /// The items that are complete.
    output: Vec<Value>,
    open: Option<Item>,
    last: Value,
    sequence: u64,
    events: Events,
}

/// The item that is being written.
struct Item {
    id: String,
    kind: Kind,
    text: String,
}

enum Kind {
    Reasoning,
    Text,
    Refusal,
    Call { id: String, name: String },
}

impl Kind {
    /// The name that the events of its text have in common, and that of the field in which the last one has all of it.
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Reasoning => ("response.reasoning_text", "text"),
            Self::Text => ("response.output_text", "text"),
            Self::Refusal => ("response.refusal", "refusal"),
            Self::Call { .. } => ("response.function_call_arguments", "arguments"),
        }
    }

    /// The part of the item that holds a text; a call has none.
    fn part(&self, text: &str) -> Option<Value> {
        match self {
            Self::Reasoning => Some(json!({ "type": "reasoning_text", "text": text })),
            Self::Text => {
                Some(json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] }))
            }
            Self::Refusal => Some(json!({ "type": "refusal", "refusal": text })),
            Self::Call { .. } => None,
        }
    }
}

impl Item {
    fn to_json(&self, status: &str, text: Option<&str>) -> Value {
        let content: Vec<Value> = text.and_then(|text| self.kind.part(text)).into_iter().collect();
        match &self.kind {
            Kind::Reasoning => json!({
                "type": "reasoning", "id": self.id, "status": status, "summary": [], "content": content,
            }),
            Kind::Text | Kind::Refusal => json!({
                "type": "message", "id": self.id, "status": status, "role": "assistant", "content": content,
            }),
            Kind::Call { id, name } => json!({
                "type": "function_call", "id": self.id, "status": status, "call_id": id, "name": name,
                "arguments": text.unwrap_or_default(),
            }),
        }
    }
}

impl Responses {
    /// `repeated` are the fields that an answer repeats of its request.
    pub(super) fn new(head: &Head, is_stream: bool, repeated: Map<String, Value>) -> Self {
        let unique = unique(head).to_owned();
        let mut common = repeated;
        common.insert("id".into(), json!(format!("resp_{unique}")));
        common.insert("object".into(), json!("response"));
        common.insert("created_at".into(), json!(head.created));
        common.insert("model".into(), json!(head.model));
        for key in ["error", "incomplete_details", "usage"] {
            common.insert(key.into(), Value::Null);
        }
        Self {
            unique,
            common,
            output: Vec::new(),
            open: None,
            last: Value::Null,
            sequence: 0,
            events: Events::new(is_stream),
        }
    }

    /// The answer as it stands.
    fn response(&self, status: &str) -> Map<String, Value> {
        let mut response = self.common.clone();
        response.insert("status".into(), json!(status));
        response.insert("output".into(), json!(self.output));
        response
    }

    /// An event, with its type and number.
    fn event(&mut self, kind: &str, mut event: Value) {
        if let Some(event) = event.as_object_mut() {
            event.insert("type".into(), json!(kind));
            event.insert("sequence_number".into(), json!(self.sequence));
        }
        self.sequence += 1;
        self.events.push(&event);
    }

    /// An event about the open item's text.
    fn text_event(&mut self, item: &Item, what: &str, field: &str, text: &str) {
        let (name, _) = item.kind.names();
        let mut event = json!({ "item_id": item.id, "output_index": self.output.len() });
        if let Some(event) = event.as_object_mut() {
            event.insert(field.into(), json!(text));
            if !matches!(item.kind, Kind::Call { .. }) {
                event.insert("content_index".into(), json!(0));
            }
            if matches!(item.kind, Kind::Text) {
                event.insert("logprobs".into(), json!([]));
            }
        }
        self.event(&format!("{name}.{what}"), event);
    }

    fn part_event(&mut self, item: &Item, what: &str, text: &str) {
        if let Some(part) = item.kind.part(text) {
            let index = self.output.len();
            let event =
                json!({ "item_id": item.id, "output_index": index, "content_index": 0, "part": part });
            self.event(&format!("response.content_part.{what}"), event);
        }
    }

    fn item_event(&mut self, what: &str, item: &Value) {
        let event = json!({ "output_index": self.output.len(), "item": item });
        self.event(&format!("response.output_item.{what}"), event);
    }

    /// The last state of the answer, and its event.
    fn finish(&mut self, status: &str, response: Map<String, Value>) {
        self.last = Value::Object(response);
        if self.events.is_stream() {
            let event = json!({ "response": self.last });
            self.event(&format!("response.{status}"), event);
        }
    }
}

impl Writer for Responses {
    fn begin(&mut self) {
        if self.events.is_stream() {
            let response = json!({ "response": self.response("in_progress") });
            self.event("response.created", response.clone());
            self.event("response.in_progress", response);
        }
    }

    fn open(&mut self, block: Block<'_>) {
        let (prefix, kind) = match block {
            Block::Reasoning => ("rs", Kind::Reasoning),
            Block::Text => ("msg", Kind::Text),
            Block::Refusal => ("msg", Kind::Refusal),
            Block::Call { id, name } => ("fc", Kind::Call { id: id.to_owned(), name: name.to_owned() }),
        };
        let id = format!("{prefix}_{}_{}", self.unique, self.output.len());
        let item = Item { id, kind, text: String::new() };
        self.item_event("added", &item.to_json("in_progress", None));
        self.part_event(&item, "added", "");
        self.open = Some(item);
    }

    fn delta(&mut self, text: &str) {
        if let Some(mut item) = self.open.take() {
            item.text.push_str(text);
            self.text_event(&item, "delta", "delta", text);
            self.open = Some(item);
        }
    }

    fn close(&mut self, is_whole: bool) -> Result<(), AdaptorError> {
        if let Some(mut item) = self.open.take() {
            let text = mem::take(&mut item.text);
            let (_, field) = item.kind.names();
            self.text_event(&item, "done", field, &text);
            self.part_event(&item, "done", &text);
            let status = if is_whole { "completed" } else { "incomplete" };
            let item = item.to_json(status, Some(&text));
            self.item_event("done", &item);
            self.output.push(item);
        }
        Ok(())
    }

    fn end(&mut self, end: &End) {
        let reason = match end.finish {
            Finish::Length => Some("max_output_tokens"),
            Finish::ContentFilter => Some("content_filter"),
            Finish::Stop | Finish::ToolCalls => None,
        };
        let status = if reason.is_some() { "incomplete" } else { "completed" };
        let mut response = self.response(status);
        if let Some(reason) = reason {
            response.insert("incomplete_details".into(), json!({ "reason": reason }));
        }
        response.insert("usage".into(), end.usage.map_or(Value::Null, usage));
        self.finish(status, response);
    }

    fn fail(&mut self, error: &AdaptorError) {
        if let Some(item) = self.open.take() {
            self.output.push(item.to_json("incomplete", Some(&item.text)));
        }
        let mut response = self.response("failed");
        response.insert("error".into(), error_json(error));
        self.finish("failed", response);
    }

    fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    fn answer(&mut self) -> Vec<u8> {
        self.last.to_string().into_bytes()
    }
}

/// Tokens as this API counts them.
fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": { "cached_tokens": usage.cached, "cache_write_tokens": 0 },
        "output_tokens": usage.completion,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.prompt.saturating_add(usage.completion),
    })
}
