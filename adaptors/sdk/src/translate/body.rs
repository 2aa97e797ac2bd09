//! The chat to write.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::AdaptorError;
use crate::chat::{Format, JsonSchema, Text, Tool, ToolChoice};

/// A request of `chat/completions`.
#[derive(Default, Serialize)]
pub(super) struct Body<'a> {
    pub(super) model: &'a str,
    pub(super) messages: Vec<Message<'a>>,
    /// The older name of the limit: all backends know it, and some would pass over the newer one in silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<ToolParam<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_effort: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verbosity: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_options: Option<Value>,
    /// Fields that mean the same in both APIs, as the client wrote them.
    #[serde(flatten)]
    pub(super) passed: BTreeMap<&'static str, &'a RawValue>,
}

impl<'a> Body<'a> {
    /// The tools, and which of them may be called. A choice among none is left out: backends refuse it.
    pub(super) fn set_tools(&mut self, tools: Vec<Tool<'a>>, choice: Option<&ToolChoice<'_>>) {
        if !tools.is_empty() {
            self.tool_choice = choice.map(|choice| match choice {
                ToolChoice::Auto => json!("auto"),
                ToolChoice::None => json!("none"),
                ToolChoice::Required => json!("required"),
                ToolChoice::Named(name) => json!({ "type": "function", "function": { "name": name } }),
            });
        }
        self.tools = tools.into_iter().map(|function| ToolParam { kind: "function", function }).collect();
    }

    /// What the answer looks like.
    pub(super) fn set_format(&mut self, format: Format<'a>) {
        self.response_format = match format {
            Format::Text => None,
            Format::Json => Some(ResponseFormat { kind: "json_object", json_schema: None }),
            Format::Schema(schema) => Some(ResponseFormat { kind: "json_schema", json_schema: Some(schema) }),
        };
    }

    /// As JSON. Usage is asked for in streams: both APIs end with it.
    pub(super) fn write(mut self, stream: bool) -> Result<Vec<u8>, AdaptorError> {
        if stream {
            self.stream = Some(true);
            self.stream_options = Some(json!({ "include_usage": true }));
        }
        serde_json::to_vec(&self)
            .map_err(|error| AdaptorError::new(500, "adaptor_bad_output", format!("the chat: {error}")))
    }
}

#[derive(Serialize)]
pub(super) struct ToolParam<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Tool<'a>,
}

#[derive(Serialize)]
pub(super) struct ResponseFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<JsonSchema<'a>>,
}

/// A message.
#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum Message<'a> {
    System { content: Text<'a> },
    User { content: Content<'a> },
    Assistant(Assistant<'a>),
    Tool { tool_call_id: Text<'a>, content: Text<'a> },
}

/// What the model said in one turn.
#[derive(Default, Serialize)]
pub(super) struct Assistant<'a> {
    content: Option<Content<'a>>,
    /// The thoughts, under both names that backends have for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Content<'a> {
    /// A single text: every backend takes a string.
    Text(Text<'a>),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part<'a> {
    Text { text: Text<'a> },
    Refusal { refusal: Text<'a> },
    ImageUrl { image_url: ImageUrl<'a> },
}

#[derive(Serialize)]
pub(super) struct ImageUrl<'a> {
    pub(super) url: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<Text<'a>>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: Text<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: Text<'a>,
    arguments: Text<'a>,
}

impl<'a> Content<'a> {
    fn of(mut parts: Vec<Part<'a>>) -> Self {
        match (parts.pop(), parts.is_empty()) {
            (Some(Part::Text { text }), true) => Self::Text(text),
            (last, _) => {
                parts.extend(last);
                Self::Parts(parts)
            }
        }
    }

    fn append(self, more: Vec<Part<'a>>) -> Self {
        let mut parts = match self {
            Self::Text(text) => vec![Part::Text { text }],
            Self::Parts(parts) => parts,
        };
        parts.extend(more);
        Self::Parts(parts)
    }
}

/// A conversation while it is written.
#[derive(Default)]
pub(super) struct Conversation<'a>(pub(super) Vec<Message<'a>>);

impl<'a> Conversation<'a> {
    /// What the system says. What it says in front of all others is one message: many templates take no second one.
    pub(super) fn system(&mut self, text: Text<'a>) {
        match self.0.as_mut_slice() {
            [Message::System { content }] => *content = joined(content, "\n\n", &text),
            _ => self.0.push(Message::System { content: text }),
        }
    }

    /// What the user says.
    pub(super) fn user(&mut self, parts: Vec<Part<'a>>) {
        self.0.push(Message::User { content: Content::of(parts) });
    }

    /// What the model said.
    pub(super) fn assistant(&mut self, parts: Vec<Part<'a>>) {
        if let Some(said) = self.speaking(false) {
            said.content = Some(match said.content.take() {
                None => Content::of(parts),
                Some(content) => content.append(parts),
            });
        }
    }

    /// What it thought.
    pub(super) fn reasoning(&mut self, text: &Text<'a>) {
        if text.is_empty() {
            return;
        }
        if let Some(said) = self.speaking(false) {
            let all = said.reasoning.take().map_or_else(|| text.clone(), |before| joined(&before, "", text));
            said.reasoning = Some(all.clone());
            said.reasoning_content = Some(all);
        }
    }

    /// A tool that it called, with the text of its arguments.
    pub(super) fn call(&mut self, id: Text<'a>, name: Text<'a>, arguments: Text<'a>) {
        if let Some(said) = self.speaking(true) {
            said.tool_calls.push(ToolCall { id, kind: "function", function: Function { name, arguments } });
        }
    }

    /// What a tool answered.
    pub(super) fn result(&mut self, tool_call_id: Text<'a>, content: Text<'a>) {
        self.0.push(Message::Tool { tool_call_id, content });
    }

    /// The model's turn to go on with. Its calls belong to the turn that they stand in, since results must follow them;
    /// another text, where nothing was called, is another turn.
    fn speaking(&mut self, is_call: bool) -> Option<&mut Assistant<'a>> {
        let goes_on = match self.0.last() {
            Some(Message::Assistant(said)) => {
                is_call || said.content.is_none() || !said.tool_calls.is_empty()
            }
            _ => false,
        };
        if !goes_on {
            self.0.push(Message::Assistant(Assistant::default()));
        }
        match self.0.last_mut() {
            Some(Message::Assistant(said)) => Some(said),
            _ => None,
        }
    }
}

fn joined<'a>(before: &str, between: &str, after: &str) -> Text<'a> {
    Text::from(format!("{before}{between}{after}"))
}
