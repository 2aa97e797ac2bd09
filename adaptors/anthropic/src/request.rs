//! OpenAI's chat request as one of the Messages API.

use airlock_adaptor::AdaptorError;
use airlock_adaptor::chat::{
    ChatRequest, Format, Image, Part, Role, Text, Tool, ToolChoice, Turn, unsupported,
};
use airlock_adaptor::serde::Serialize;
use airlock_adaptor::serde_json::value::RawValue;
use airlock_adaptor::serde_json::{self, Number, Value, json};

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolParam<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'a Number>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [Text<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: &'a str },
    Image { source: Source<'a> },
    ToolUse { id: &'a str, name: &'a str, input: &'a RawValue },
    ToolResult { tool_use_id: &'a str, content: &'a str },
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct ToolParam<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Schema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// The client's schema, or that of a function without arguments.
#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", untagged)]
enum Schema<'a> {
    Given(&'a RawValue),
    Empty {
        #[serde(rename = "type")]
        kind: &'static str,
    },
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat<'a>>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct OutputFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: &'a RawValue,
}

/// The body of the request.
pub(crate) fn body(
    model: &str,
    default_max_tokens: u64,
    chat: &ChatRequest<'_>,
    stream: bool,
) -> Result<Vec<u8>, AdaptorError> {
    let body = Body {
        model,
        max_tokens: chat.max_tokens.unwrap_or(default_max_tokens),
        stream,
        system: chat.system.iter().map(|text| Block::Text { text }).collect(),
        messages: chat.turns.iter().map(message).collect(),
        tools: chat.tools.iter().map(tool).collect(),
        tool_choice: tool_choice(chat),
        temperature: chat.temperature.as_ref(),
        top_p: chat.top_p.as_ref(),
        top_k: chat.top_k.as_ref(),
        stop_sequences: &chat.stop,
        output_config: output_config(chat)?,
    };
    serde_json::to_vec(&body).map_err(|error| AdaptorError::new(500, "adaptor_bad_output", error.to_string()))
}

fn message<'a>(turn: &'a Turn<'a>) -> Message<'a> {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    Message { role, content: turn.parts.iter().map(block).collect() }
}

fn block<'a>(part: &'a Part<'a>) -> Block<'a> {
    match part {
        Part::Text(text) => Block::Text { text },
        Part::Image(Image::Data { media_type, data }) => {
            Block::Image { source: Source::Base64 { media_type, data } }
        }
        Part::Image(Image::Url(url)) => Block::Image { source: Source::Url { url } },
        Part::Call { id, name, arguments, .. } => Block::ToolUse { id, name, input: arguments },
        Part::Result { id, content, .. } => Block::ToolResult { tool_use_id: id, content },
    }
}

fn tool<'a>(tool: &'a Tool<'a>) -> ToolParam<'a> {
    ToolParam {
        name: &tool.name,
        description: tool.description.as_deref(),
        input_schema: tool.parameters.map_or(Schema::Empty { kind: "object" }, Schema::Given),
        strict: tool.strict,
    }
}

/// The choice, with whether several tools may be called at once; none where the client says nothing of either.
fn tool_choice(chat: &ChatRequest<'_>) -> Option<Value> {
    if chat.tools.is_empty() {
        return None;
    }
    let one_at_a_time = chat.parallel_tool_calls == Some(false);
    let mut choice = match &chat.tool_choice {
        None if !one_at_a_time => return None,
        None | Some(ToolChoice::Auto) => json!({ "type": "auto" }),
        Some(ToolChoice::None) => return Some(json!({ "type": "none" })),
        Some(ToolChoice::Required) => json!({ "type": "any" }),
        Some(ToolChoice::Named(name)) => json!({ "type": "tool", "name": &**name }),
    };
    if let Some(choice) = choice.as_object_mut().filter(|_| one_at_a_time) {
        choice.insert("disable_parallel_tool_use".into(), Value::Bool(true));
    }
    Some(choice)
}

fn output_config<'a>(chat: &'a ChatRequest<'a>) -> Result<Option<OutputConfig<'a>>, AdaptorError> {
    let format = match &chat.format {
        Format::Text => None,
        Format::Json => {
            return Err(unsupported(
                "response_format.type",
                "name a schema: `json_object` has no counterpart",
            ));
        }
        Format::Schema(schema) => Some(OutputFormat { kind: "json_schema", schema: schema.schema }),
    };
    let effort = match chat.reasoning_effort.as_deref() {
        None | Some("none") => None,
        Some("minimal") => Some("low"),
        Some(effort) => Some(effort),
    };
    Ok((format.is_some() || effort.is_some()).then_some(OutputConfig { effort, format }))
}
