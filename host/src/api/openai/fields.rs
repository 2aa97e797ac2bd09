//! The fields that the gateway knows, with their types and ranges as OpenAI documents them. Others are the
//! backend's business and pass.

use airlock_sandbox::Operation;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::request::Known;
use crate::api::error::{ApiError, ErrorKind};

use Operation::{ChatCompletions as Chat, Completions, Embeddings};

/// What a field must be.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Text,
    Bool,
    Int(i64, i64),
    Number(f64, f64),
    OneOf(&'static [&'static str]),
    Object,
    /// A string, or 1 to 4 of them.
    Stop,
    /// Not empty; objects with a known role.
    Messages,
    /// A string, or a list that is not empty.
    Input,
    /// Objects with a `type`.
    Tools,
    TextOrObject,
    StreamOptions,
}

/// One known field.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) of: &'static [Operation],
    pub(super) rule: Rule,
}

const ANY: &[Operation] = &[Chat, Completions, Embeddings];
/// What is known of an operation whose body is its backend's business.
const EVERY: &[Operation] = &Operation::ALL;
const STREAMED: &[Operation] =
    &[Chat, Completions, Operation::Responses, Operation::Messages, Operation::ImageGenerations];
const GENERATING: &[Operation] = &[Chat, Completions];
const MAX: i64 = i64::MAX;

#[rustfmt::skip]
pub(super) const FIELDS: &[Field] = &[
    Field { name: "model", of: EVERY, rule: Rule::Text },
    Field { name: "user", of: ANY, rule: Rule::Text },
    Field { name: "messages", of: &[Chat], rule: Rule::Messages },
    Field { name: "prompt", of: &[Completions], rule: Rule::Input },
    Field { name: "input", of: &[Embeddings], rule: Rule::Input },
    Field { name: "stream", of: STREAMED, rule: Rule::Bool },
    Field { name: "stream_options", of: GENERATING, rule: Rule::StreamOptions },
    Field { name: "temperature", of: GENERATING, rule: Rule::Number(0.0, 2.0) },
    Field { name: "top_p", of: GENERATING, rule: Rule::Number(0.0, 1.0) },
    Field { name: "n", of: GENERATING, rule: Rule::Int(1, 128) },
    Field { name: "max_tokens", of: GENERATING, rule: Rule::Int(0, MAX) },
    Field { name: "max_completion_tokens", of: &[Chat], rule: Rule::Int(1, MAX) },
    Field { name: "presence_penalty", of: GENERATING, rule: Rule::Number(-2.0, 2.0) },
    Field { name: "frequency_penalty", of: GENERATING, rule: Rule::Number(-2.0, 2.0) },
    Field { name: "seed", of: GENERATING, rule: Rule::Int(i64::MIN, MAX) },
    Field { name: "stop", of: GENERATING, rule: Rule::Stop },
    Field { name: "logit_bias", of: GENERATING, rule: Rule::Object },
    Field { name: "logprobs", of: &[Chat], rule: Rule::Bool },
    Field { name: "top_logprobs", of: &[Chat], rule: Rule::Int(0, 20) },
    Field { name: "tools", of: &[Chat], rule: Rule::Tools },
    Field { name: "tool_choice", of: &[Chat], rule: Rule::TextOrObject },
    Field { name: "parallel_tool_calls", of: &[Chat], rule: Rule::Bool },
    Field { name: "response_format", of: &[Chat], rule: Rule::Object },
    Field { name: "logprobs", of: &[Completions], rule: Rule::Int(0, 20) },
    Field { name: "echo", of: &[Completions], rule: Rule::Bool },
    Field { name: "best_of", of: &[Completions], rule: Rule::Int(1, 128) },
    Field { name: "suffix", of: &[Completions], rule: Rule::Text },
    Field { name: "dimensions", of: &[Embeddings], rule: Rule::Int(1, MAX) },
    Field { name: "encoding_format", of: &[Embeddings], rule: Rule::OneOf(&["float", "base64"]) },
];

pub(super) const ROLES: &[&str] = &["system", "developer", "user", "assistant", "tool", "function"];

/// Whether any operation knows this field.
pub(super) fn is_known(name: &str) -> bool {
    FIELDS.iter().any(|f| f.name == name)
}

/// The fields that an operation needs.
pub(super) const fn required(operation: Operation) -> &'static [&'static str] {
    match operation {
        Chat => &["model", "messages"],
        Completions => &["model", "prompt"],
        Embeddings => &["model", "input"],
        Operation::Responses
        | Operation::Messages
        | Operation::CountTokens
        | Operation::Moderations
        | Operation::Rerank
        | Operation::ImageGenerations => &["model"],
    }
}

/// Checks all known fields of an operation.
pub(super) fn check(operation: Operation, known: &Known<'_>) -> Result<(), ApiError> {
    for name in required(operation) {
        if known.get(name).is_none() {
            let message = format!("Missing required parameter: `{name}`.");
            return Err(ApiError::new(ErrorKind::MissingParameter, message).param(*name));
        }
    }
    for field in FIELDS.iter().filter(|f| f.of.contains(&operation)) {
        if let Some(raw) = known.get(field.name) {
            check_field(field.name, field.rule, raw)?;
        }
    }
    // The same names mean other things elsewhere.
    if ANY.contains(&operation) { check_together(known) } else { Ok(()) }
}

/// Rules over more than one field.
fn check_together(known: &Known<'_>) -> Result<(), ApiError> {
    let is_true = |name| known.get_as::<bool>(name) == Some(true);
    if known.get("stream_options").is_some() && !is_true("stream") {
        return Err(invalid("stream_options", "is only allowed when `stream` is true"));
    }
    let wants_top = known.get_as::<i64>("top_logprobs").is_some();
    if wants_top && !is_true("logprobs") {
        return Err(invalid("top_logprobs", "is only allowed when `logprobs` is true"));
    }
    Ok(())
}

fn invalid(param: &str, must: &str) -> ApiError {
    ApiError::new(ErrorKind::InvalidValue, format!("Invalid value: `{param}` {must}.")).param(param)
}

fn check_field(name: &str, rule: Rule, raw: &RawValue) -> Result<(), ApiError> {
    let fail = |must: &str| Err(invalid(name, must));
    match rule {
        Rule::Messages => return check_messages(raw),
        Rule::Tools => return check_tools(raw),
        Rule::Input => return check_input(name, raw),
        _ => {}
    }
    let value: Value = serde_json::from_str(raw.get())
        .map_err(|e| ApiError::new(ErrorKind::InvalidJson, format!("`{name}`: {e}")).param(name))?;
    match rule {
        Rule::Text if !value.is_string() => fail("must be a string"),
        Rule::Text if value.as_str().is_some_and(str::is_empty) && name == "model" => {
            fail("must not be empty")
        }
        Rule::Bool if !value.is_boolean() => fail("must be true or false"),
        Rule::Object if !value.is_object() => fail("must be an object"),
        Rule::TextOrObject if !value.is_string() && !value.is_object() => {
            fail("must be a string or an object")
        }
        Rule::Int(min, max) => match integer(&value) {
            Some(n) if (min..=max).contains(&n) => Ok(()),
            _ if (min, max) == (i64::MIN, MAX) => fail("must be an integer"),
            _ if max == MAX => fail(&format!("must be an integer of at least {min}")),
            _ => fail(&format!("must be an integer from {min} to {max}")),
        },
        Rule::Number(min, max) => match value.as_f64() {
            Some(n) if (min..=max).contains(&n) => Ok(()),
            _ => fail(&format!("must be a number from {min} to {max}")),
        },
        Rule::OneOf(allowed) if !value.as_str().is_some_and(|v| allowed.contains(&v)) => {
            fail(&format!("must be one of {}", allowed.join(", ")))
        }
        Rule::Stop => match &value {
            Value::String(_) => Ok(()),
            Value::Array(list) if (1..=4).contains(&list.len()) && list.iter().all(Value::is_string) => {
                Ok(())
            }
            _ => fail("must be a string or a list of 1 to 4 strings"),
        },
        Rule::StreamOptions => match value.get("include_usage") {
            _ if !value.is_object() => fail("must be an object"),
            None | Some(Value::Null | Value::Bool(_)) => Ok(()),
            Some(_) => Err(invalid("stream_options.include_usage", "must be true or false")),
        },
        _ => Ok(()),
    }
}

/// Integers; `5.0` is one, as it is for Python clients.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        #[expect(clippy::cast_possible_truncation, reason = "checked: whole and within 2^53")]
        (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
    })
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

fn check_messages(raw: &RawValue) -> Result<(), ApiError> {
    let elements = elements("messages", raw)?;
    if elements.is_empty() {
        return Err(invalid("messages", "must hold at least one message"));
    }
    for (i, element) in elements.iter().enumerate() {
        let at = format!("messages[{i}]");
        let Ok(message) = serde_json::from_str::<Message<'_>>(element.get()) else {
            return Err(invalid(&at, "must be an object"));
        };
        let role = message.role.and_then(|r| serde_json::from_str::<String>(r.get()).ok());
        if !role.is_some_and(|role| ROLES.contains(&role.as_str())) {
            let must = format!("must be one of {}", ROLES.join(", "));
            return Err(invalid(&format!("{at}.role"), &must));
        }
        let content = message.content.map_or("null", RawValue::get);
        if !content.starts_with(['"', '[', 'n']) {
            return Err(invalid(&format!("{at}.content"), "must be a string or a list of parts"));
        }
    }
    Ok(())
}

fn check_tools(raw: &RawValue) -> Result<(), ApiError> {
    for (i, tool) in elements("tools", raw)?.iter().enumerate() {
        let tool: Value = serde_json::from_str(tool.get()).unwrap_or_default();
        let kind = tool.get("type").and_then(Value::as_str);
        if kind.is_none() {
            return Err(invalid(&format!("tools[{i}].type"), "must be a string"));
        }
        let named = tool.pointer("/function/name").is_some_and(Value::is_string);
        if kind == Some("function") && !named {
            return Err(invalid(&format!("tools[{i}].function.name"), "must be a string"));
        }
    }
    Ok(())
}

fn check_input(name: &str, raw: &RawValue) -> Result<(), ApiError> {
    if raw.get().starts_with('"') {
        return Ok(());
    }
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        return Err(invalid(name, "must be a string or a list"));
    };
    match elements.is_empty() {
        true => Err(invalid(name, "must not be empty")),
        false => Ok(()),
    }
}

fn elements<'a>(name: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>, ApiError> {
    serde_json::from_str(raw.get()).map_err(|_| invalid(name, "must be a list"))
}
