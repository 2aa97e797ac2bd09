//! OpenAI's chat request as one of the Gemini API.

use airlock_adaptor::AdaptorError;
use airlock_adaptor::chat::{ChatRequest, Format, Image, Part, Role, Text, Tool, ToolChoice, Turn};
use airlock_adaptor::object::Object;
use airlock_adaptor::serde::{Deserialize, Serialize};
use airlock_adaptor::serde_json::value::RawValue;
use airlock_adaptor::serde_json::{self, Number, Value, json};

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct Body<'a> {
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Declarations<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<Value>,
    #[serde(skip_serializing_if = "GenerationConfig::is_empty")]
    generation_config: GenerationConfig<'a>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<Piece<'a>>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct Piece<'a> {
    #[serde(flatten)]
    data: Payload<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<String>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Payload<'a> {
    Text(&'a str),
    InlineData {
        mime_type: &'a str,
        data: &'a str,
    },
    FileData {
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<&'static str>,
        file_uri: &'a str,
    },
    FunctionCall {
        id: &'a str,
        name: &'a str,
        args: &'a RawValue,
    },
    FunctionResponse {
        id: &'a str,
        name: &'a str,
        response: Response<'a>,
    },
}

/// A tool's answer: the object that it is, or its text as one.
#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", untagged)]
enum Response<'a> {
    Object(&'a RawValue),
    Text { output: &'a str },
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct Declarations<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a RawValue>,
}

#[derive(Default, Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [Text<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
}

impl GenerationConfig<'_> {
    fn is_empty(&self) -> bool {
        serde_json::to_value(self).is_ok_and(|value| value == json!({}))
    }
}

#[derive(Serialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct ThinkingConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    include_thoughts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u64>,
}

/// What a call brought along, in the field that Google's own OpenAI-compatible API uses.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Extra {
    google: Option<Google>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Google {
    thought_signature: Option<String>,
}

/// The path of a model: `models/…`, unless the name says which kind it is.
pub(crate) fn model_path(model: &str) -> String {
    let encoded = |part: &str| {
        let mut text = String::new();
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        text
    };
    let path = model.split('/').map(encoded).collect::<Vec<_>>().join("/");
    if path.contains('/') { path } else { format!("models/{path}") }
}

/// The body of the request.
pub(crate) fn body(chat: &ChatRequest<'_>, include_thoughts: bool) -> Result<Vec<u8>, AdaptorError> {
    chat.require_parallel_tool_calls()?;
    let system = chat.system.iter().map(|text| plain(Payload::Text(text))).collect::<Vec<_>>();
    let declarations = Declarations { function_declarations: chat.tools.iter().map(declaration).collect() };
    let body = Body {
        contents: chat.turns.iter().map(content).collect(),
        system_instruction: (!system.is_empty()).then_some(Content { role: None, parts: system }),
        tools: if chat.tools.is_empty() { Vec::new() } else { vec![declarations] },
        tool_config: tool_config(chat),
        generation_config: generation_config(chat, include_thoughts),
    };
    serde_json::to_vec(&body).map_err(|error| AdaptorError::new(500, "adaptor_bad_output", error.to_string()))
}

fn content<'a>(turn: &'a Turn<'a>) -> Content<'a> {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "model",
    };
    Content { role: Some(role), parts: turn.parts.iter().map(piece).collect() }
}

fn plain(data: Payload<'_>) -> Piece<'_> {
    Piece { data, thought_signature: None }
}

fn piece<'a>(part: &'a Part<'a>) -> Piece<'a> {
    match part {
        Part::Text(text) => plain(Payload::Text(text)),
        Part::Image(Image::Data { media_type, data }) => {
            plain(Payload::InlineData { mime_type: media_type, data })
        }
        Part::Image(Image::Url(url)) => {
            plain(Payload::FileData { mime_type: media_type(url), file_uri: url })
        }
        Part::Call { id, name, arguments, extra } => Piece {
            data: Payload::FunctionCall { id, name, args: arguments },
            thought_signature: extra
                .and_then(|extra| serde_json::from_str::<Extra>(extra.get()).ok()?.google?.thought_signature),
        },
        Part::Result { id, name, content } => {
            plain(Payload::FunctionResponse { id, name, response: response(content) })
        }
    }
}

/// What kind of image a URL leads to, by its name.
fn media_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    match path.rsplit_once('.')?.1 {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "webp" => Some("image/webp"),
        "gif" => Some("image/gif"),
        "heic" => Some("image/heic"),
        _ => None,
    }
}

fn response(content: &str) -> Response<'_> {
    let object = Object::parse(content.as_bytes()).and_then(|_| serde_json::from_str::<&RawValue>(content));
    object.map_or(Response::Text { output: content }, Response::Object)
}

fn declaration<'a>(tool: &'a Tool<'a>) -> Declaration<'a> {
    Declaration {
        name: &tool.name,
        description: tool.description.as_deref(),
        parameters_json_schema: tool.parameters,
    }
}

fn tool_config(chat: &ChatRequest<'_>) -> Option<Value> {
    let mode = match chat.tool_choice.as_ref().filter(|_| !chat.tools.is_empty())? {
        ToolChoice::Auto => json!({ "mode": "AUTO" }),
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Required => json!({ "mode": "ANY" }),
        ToolChoice::Named(name) => json!({ "mode": "ANY", "allowedFunctionNames": [&**name] }),
    };
    Some(json!({ "functionCallingConfig": mode }))
}

fn generation_config<'a>(chat: &'a ChatRequest<'a>, include_thoughts: bool) -> GenerationConfig<'a> {
    let (is_json, schema) = match &chat.format {
        Format::Text => (false, None),
        Format::Json => (true, None),
        Format::Schema(schema) => (true, Some(schema.schema)),
    };
    GenerationConfig {
        max_output_tokens: chat.max_tokens,
        temperature: chat.temperature.as_ref(),
        top_p: chat.top_p.as_ref(),
        top_k: chat.top_k.as_ref(),
        seed: chat.seed.as_ref(),
        presence_penalty: chat.presence_penalty.as_ref(),
        frequency_penalty: chat.frequency_penalty.as_ref(),
        stop_sequences: &chat.stop,
        response_mime_type: is_json.then_some("application/json"),
        response_json_schema: schema,
        thinking_config: thinking_config(chat.reasoning_effort.as_deref(), include_thoughts),
    }
}

fn thinking_config(effort: Option<&str>, include_thoughts: bool) -> Option<ThinkingConfig> {
    let is_off = effort == Some("none");
    (effort.is_some() || include_thoughts).then(|| ThinkingConfig {
        include_thoughts: include_thoughts.then_some(true),
        thinking_level: effort.filter(|_| !is_off).map(str::to_ascii_uppercase),
        thinking_budget: is_off.then_some(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_path() {
        for (model, path) in [
            ("gemini-flash", "models/gemini-flash"),
            ("tunedModels/x", "tunedModels/x"),
            ("models/x", "models/x"),
            ("a b?c#d:e", "models/a%20b%3Fc%23d%3Ae"),
        ] {
            assert_eq!(model_path(model), path);
        }
    }
}
