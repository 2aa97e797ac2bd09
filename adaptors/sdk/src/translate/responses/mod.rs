//! OpenAI's Responses API.

mod input;
mod writer;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::body::Body;
use super::fields::{self, Rule, Table};
use crate::chat::request::{Fields, invalid};
use crate::chat::{Format, Head, JsonSchema, Text, Tool, ToolChoice, unsupported};
use crate::{AdaptorError, Task};
pub(super) use writer::Responses;

const STATELESS: &str = "nothing is stored for this model: send the whole conversation as `input`";

/// What becomes of each field. Those of open-weight servers that mean the same in a chat are passed too.
#[rustfmt::skip]
pub(super) const FIELDS: &Table = &[
    ("access_programs", Rule::Refused("leave it out")),
    ("background", Rule::Only(&["false"], "wait for the answer, or stream it")),
    ("chat_template_kwargs", Rule::Passed),
    ("context_management", Rule::Refused("shorten the `input` yourself")),
    ("conversation", Rule::Refused(STATELESS)),
    ("frequency_penalty", Rule::Passed),
    ("image", Rule::Refused("leave it out")),
    ("include", Rule::Translated),
    ("input", Rule::Translated),
    ("instructions", Rule::Translated),
    ("max_output_tokens", Rule::Translated),
    ("max_tool_calls", Rule::Ignored),
    ("metadata", Rule::Ignored),
    ("min_p", Rule::Passed),
    ("model", Rule::Translated),
    ("moderation", Rule::Refused("moderate in a request of its own")),
    ("parallel_tool_calls", Rule::Translated),
    ("presence_penalty", Rule::Passed),
    ("previous_response_id", Rule::Refused(STATELESS)),
    ("prompt", Rule::Refused("write the prompt out as `instructions` and `input`")),
    ("prompt_cache_key", Rule::Ignored),
    ("prompt_cache_options", Rule::Ignored),
    ("prompt_cache_retention", Rule::Ignored),
    ("reasoning", Rule::Translated),
    ("repetition_penalty", Rule::Passed),
    ("safety_identifier", Rule::Ignored),
    ("seed", Rule::Passed),
    ("service_tier", Rule::Passed),
    ("stop", Rule::Passed),
    ("store", Rule::Only(&["false"], "nothing is stored for this model: write `false`")),
    ("stream", Rule::Translated),
    ("stream_options", Rule::Ignored),
    ("temperature", Rule::Passed),
    ("text", Rule::Translated),
    ("tool_choice", Rule::Translated),
    ("tools", Rule::Translated),
    ("top_k", Rule::Passed),
    ("top_logprobs", Rule::Only(&["0"], "leave it out: probabilities are not translated")),
    ("top_p", Rule::Passed),
    ("truncation", Rule::Only(&["\"disabled\""], "write `disabled`, and shorten the `input` yourself")),
    ("user", Rule::Passed),
];

/// What an answer repeats of its request, and what it says where the request is silent.
const REPEATED: [(&str, &str); 17] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("store", "false"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_p", "null"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// What may be asked to be included and changes nothing here: what belongs to built-in tools, which are refused, and
/// encrypted thoughts, which go out in clear.
const INCLUDABLE: [&str; 7] = [
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
];

/// The chat's body, and what writes the answer.
pub(super) fn begin(
    task: &Task,
    ignored: &[String],
    head: &Head,
) -> Result<(Vec<u8>, Responses), AdaptorError> {
    let mut fields = Fields::parse(&task.body)?;
    fields::check(&mut fields, FIELDS, ignored)?;
    check_include(&fields)?;
    let mut body = Body {
        model: &task.model,
        messages: input::messages(fields.get("instructions")?, fields.raw("input"))?,
        max_tokens: fields.get("max_output_tokens")?,
        parallel_tool_calls: fields.get("parallel_tool_calls")?,
        passed: fields::passed(&fields, FIELDS),
        ..Body::default()
    };
    let choice = fields.raw("tool_choice").map(tool_choice).transpose()?;
    body.set_tools(tools(fields.get("tools")?.unwrap_or_default())?, choice.as_ref());
    if let Some(reasoning) = fields.get::<Reasoning<'_>>("reasoning")? {
        reasoning.check()?;
        body.reasoning_effort = reasoning.effort;
    }
    if let Some(text) = fields.get::<TextConfig<'_>>("text")? {
        body.verbosity = text.verbosity;
        body.set_format(text.format.map_or(Ok(Format::Text), format)?);
    }
    let writer = Responses::new(head, task.stream, repeated(&fields)?);
    Ok((body.write(task.stream)?, writer))
}

fn repeated(fields: &Fields<'_>) -> Result<Map<String, Value>, AdaptorError> {
    let mut repeated = Map::new();
    for (name, otherwise) in REPEATED {
        let text = fields.raw(name).map_or(otherwise, RawValue::get);
        let value = serde_json::from_str(text).map_err(|error| invalid(name, &error))?;
        repeated.insert(name.to_owned(), value);
    }
    Ok(repeated)
}

fn check_include(fields: &Fields<'_>) -> Result<(), AdaptorError> {
    let included: Vec<Text<'_>> = fields.get("include")?.unwrap_or_default();
    match included.iter().find(|name| !INCLUDABLE.contains(&&***name)) {
        None => Ok(()),
        Some(name) => Err(unsupported("include", format!("leave `{}` out", &**name))),
    }
}

/// How to think. Which of the summaries are wanted does not matter: the thoughts themselves go out.
#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow, default)]
    effort: Option<Text<'a>>,
    #[serde(borrow, default)]
    context: Option<Text<'a>>,
    #[serde(borrow, default)]
    mode: Option<Text<'a>>,
}

impl Reasoning<'_> {
    fn check(&self) -> Result<(), AdaptorError> {
        let is = |field: &Option<Text<'_>>, neutral| field.as_deref().is_none_or(|value| value == neutral);
        if !is(&self.context, "auto") {
            return Err(unsupported(
                "reasoning.context",
                "leave it out: the thoughts in `input` go to the model",
            ));
        }
        if !is(&self.mode, "standard") {
            return Err(unsupported("reasoning.mode", "leave it out, or name an `effort`"));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct TextConfig<'a> {
    #[serde(borrow, default)]
    format: Option<&'a RawValue>,
    #[serde(borrow, default)]
    verbosity: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
}

fn format(raw: &RawValue) -> Result<Format<'_>, AdaptorError> {
    const FIELD: &str = "text.format";
    let Kind { kind } = serde_json::from_str(raw.get()).map_err(|error| invalid(FIELD, &error))?;
    match &*kind {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::Json),
        "json_schema" => {
            let schema: JsonSchema<'_> =
                serde_json::from_str(raw.get()).map_err(|error| invalid(FIELD, &error))?;
            Ok(Format::Schema(schema))
        }
        _ => Err(unsupported("text.format.type", "it is `text`, `json_object` or `json_schema`")),
    }
}

/// What a function may say beside what a chat's may.
#[derive(Deserialize)]
struct Beside<'a> {
    #[serde(rename = "async", default)]
    is_async: bool,
    #[serde(default)]
    defer_loading: bool,
    #[serde(borrow, default)]
    allowed_callers: Option<Vec<Text<'a>>>,
}

fn tools<'a>(list: Vec<&'a RawValue>) -> Result<Vec<Tool<'a>>, AdaptorError> {
    let tool = |(i, raw): (usize, &'a RawValue)| {
        let at = format!("tools[{i}]");
        let wrong = |error: serde_json::Error| invalid(&at, &error);
        let Kind { kind } = serde_json::from_str(raw.get()).map_err(wrong)?;
        if &*kind != "function" {
            let why = format!("`{}` is no function of yours: describe one, and run it yourself", &*kind);
            return Err(unsupported(&format!("{at}.type"), why));
        }
        let beside: Beside<'_> = serde_json::from_str(raw.get()).map_err(wrong)?;
        let is_direct =
            beside.allowed_callers.is_none_or(|callers| callers.iter().any(|caller| &**caller == "direct"));
        for (is_wanted, name) in [
            (beside.is_async, "async"),
            (beside.defer_loading, "defer_loading"),
            (!is_direct, "allowed_callers"),
        ] {
            if is_wanted {
                return Err(unsupported(&format!("{at}.{name}"), "leave it out"));
            }
        }
        serde_json::from_str(raw.get()).map_err(wrong)
    };
    list.into_iter().enumerate().map(tool).collect()
}

#[derive(Deserialize)]
struct Chosen<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
}

fn tool_choice(raw: &RawValue) -> Result<ToolChoice<'_>, AdaptorError> {
    const FIELD: &str = "tool_choice";
    if raw.get().starts_with('"') {
        return crate::chat::tool_choice(raw);
    }
    let chosen: Chosen<'_> = serde_json::from_str(raw.get()).map_err(|error| invalid(FIELD, &error))?;
    match chosen.name {
        Some(name) if &*chosen.kind == "function" => Ok(ToolChoice::Named(name)),
        _ => Err(unsupported(FIELD, "name one function, or leave the others out of `tools`")),
    }
}

/// An error, as an answer that failed tells it.
fn error_json(error: &AdaptorError) -> Value {
    let code = if error.status == 429 { "rate_limit_exceeded" } else { "server_error" };
    json!({ "code": code, "message": error.message })
}
