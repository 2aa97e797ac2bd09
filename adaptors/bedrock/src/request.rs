//! OpenAI's chat request as one of the Converse API.

use airlock_adaptor::AdaptorError;
use airlock_adaptor::chat::{
    ChatRequest, Format, Image, JsonSchema, Part, Role, Text, Tool, ToolChoice, Turn, unsupported,
};
use airlock_adaptor::serde::Serialize;
use airlock_adaptor::serde_json::value::RawValue;
use airlock_adaptor::serde_json::{self, Number, Value, json};

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct Body<'a> {
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_config: Option<InferenceConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<Value>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Block<'a> {
    Text(&'a str),
    Image { format: &'a str, source: Source<'a> },
    ToolUse { tool_use_id: &'a str, name: &'a str, input: &'a RawValue },
    ToolResult { tool_use_id: &'a str, content: Vec<Answered<'a>> },
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Source<'a> {
    bytes: &'a str,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Answered<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct InferenceConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [Text<'a>],
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct ToolConfig<'a> {
    tools: Vec<ToolEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct ToolEntry<'a> {
    tool_spec: ToolSpec<'a>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct ToolSpec<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: InputSchema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct InputSchema<'a> {
    json: Schema<'a>,
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

/// Text as one part of a path: an ARN has slashes and colons.
pub(crate) fn path_part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            part.push(char::from(byte));
        } else {
            part.push_str(&format!("%{byte:02X}"));
        }
    }
    part
}

/// The body of the request.
pub(crate) fn body(chat: &ChatRequest<'_>) -> Result<Vec<u8>, AdaptorError> {
    chat.require_parallel_tool_calls()?;
    let body = Body {
        messages: chat.turns.iter().map(message).collect::<Result<_, _>>()?,
        system: chat.system.iter().map(|text| Block::Text(text)).collect(),
        inference_config: inference_config(chat),
        tool_config: tool_config(chat)?,
        output_config: output_config(chat)?,
    };
    serde_json::to_vec(&body).map_err(|error| AdaptorError::new(500, "adaptor_bad_output", error.to_string()))
}

fn message<'a>(turn: &'a Turn<'a>) -> Result<Message<'a>, AdaptorError> {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    Ok(Message { role, content: turn.parts.iter().map(block).collect::<Result<_, _>>()? })
}

fn block<'a>(part: &'a Part<'a>) -> Result<Block<'a>, AdaptorError> {
    Ok(match part {
        Part::Text(text) => Block::Text(text),
        Part::Image(Image::Data { media_type, data }) => {
            let format = match media_type.as_str() {
                "image/png" => "png",
                "image/jpeg" | "image/jpg" => "jpeg",
                "image/gif" => "gif",
                "image/webp" => "webp",
                _ => return Err(unsupported("image_url", "images are PNG, JPEG, GIF or WebP")),
            };
            Block::Image { format, source: Source { bytes: data } }
        }
        Part::Image(Image::Url(_)) => {
            return Err(unsupported(
                "image_url",
                "it fetches no images; send the image itself, as a data URL",
            ));
        }
        Part::Call { id, name, arguments, .. } => Block::ToolUse { tool_use_id: id, name, input: arguments },
        Part::Result { id, content, .. } => Block::ToolResult {
            tool_use_id: id,
            content: if content.is_empty() { Vec::new() } else { vec![Answered { text: content }] },
        },
    })
}

fn inference_config<'a>(chat: &'a ChatRequest<'a>) -> Option<InferenceConfig<'a>> {
    let config = InferenceConfig {
        max_tokens: chat.max_tokens,
        temperature: chat.temperature.as_ref(),
        top_p: chat.top_p.as_ref(),
        stop_sequences: &chat.stop,
    };
    let is_empty = config.max_tokens.is_none()
        && config.temperature.is_none()
        && config.top_p.is_none()
        && config.stop_sequences.is_empty();
    (!is_empty).then_some(config)
}

/// The tools; none where the client wants none called. Where some were called before, the API wants to see them, and has
/// no word for a choice of none.
fn tool_config<'a>(chat: &'a ChatRequest<'a>) -> Result<Option<ToolConfig<'a>>, AdaptorError> {
    if chat.tools.is_empty() {
        return Ok(None);
    }
    let tool_choice = match &chat.tool_choice {
        None => None,
        Some(ToolChoice::Auto) => Some(json!({ "auto": {} })),
        Some(ToolChoice::Required) => Some(json!({ "any": {} })),
        Some(ToolChoice::Named(name)) => Some(json!({ "tool": { "name": &**name } })),
        Some(ToolChoice::None) if chat.has_tool_history() => {
            return Err(unsupported("tool_choice", "it cannot be told to call no tool once one was called"));
        }
        Some(ToolChoice::None) => return Ok(None),
    };
    Ok(Some(ToolConfig { tools: chat.tools.iter().map(tool).collect(), tool_choice }))
}

fn tool<'a>(tool: &'a Tool<'a>) -> ToolEntry<'a> {
    let schema = tool.parameters.map_or(Schema::Empty { kind: "object" }, Schema::Given);
    let tool_spec = ToolSpec {
        name: &tool.name,
        description: tool.description.as_deref().filter(|text| !text.is_empty()),
        input_schema: InputSchema { json: schema },
        strict: tool.strict,
    };
    ToolEntry { tool_spec }
}

fn output_config(chat: &ChatRequest<'_>) -> Result<Option<Value>, AdaptorError> {
    let mut config = serde_json::Map::new();
    match &chat.format {
        Format::Text => {}
        Format::Json => {
            return Err(unsupported(
                "response_format.type",
                "name a schema: `json_object` has no counterpart",
            ));
        }
        Format::Schema(schema) => drop(config.insert("textFormat".into(), text_format(schema))),
    }
    match chat.reasoning_effort.as_deref() {
        None | Some("none") => {}
        Some("minimal") => drop(config.insert("effort".into(), json!("low"))),
        Some(effort) => drop(config.insert("effort".into(), json!(effort))),
    }
    Ok((!config.is_empty()).then_some(Value::Object(config)))
}

/// The schema goes as text.
fn text_format(schema: &JsonSchema<'_>) -> Value {
    let mut definition = json!({ "name": &*schema.name, "schema": schema.schema.get() });
    if let (Some(description), Some(definition)) = (&schema.description, definition.as_object_mut()) {
        definition.insert("description".into(), json!(&**description));
    }
    json!({ "type": "json_schema", "structure": { "jsonSchema": definition } })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As botocore writes them.
    #[test]
    fn a_model_is_one_part_of_the_path() {
        for (model, part) in [
            ("anthropic.claude-v1:0", "anthropic.claude-v1%3A0"),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.x",
                "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x",
            ),
            ("a/../b", "a%2F..%2Fb"),
        ] {
            assert_eq!(path_part(model), part);
        }
    }
}
