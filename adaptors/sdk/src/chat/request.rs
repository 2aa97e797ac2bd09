//! The client's request, as far as a backend with an API of its own can carry it.
//!
//! Each backend names the fields that it carries. Of the others, those that change no meaning are dropped; any other
//! is refused with its name, because an answer to another question than the client's would be worse than none.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::messages::Conversation;
use super::{Text, Tool, ToolChoice, Turn, tools};
use crate::AdaptorError;

/// Fields that every backend carries.
const CARRIED: &[&str] = &[
    "model",
    "messages",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
];

/// Fields that say something about the request and ask for nothing that the answer would show: hints, labels, tiers.
const DROPPED: &[&str] = &[
    "stream_options",
    "user",
    "safety_identifier",
    "metadata",
    "store",
    "seed",
    "service_tier",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "verbosity",
];

/// Fields that ask for nothing at these values.
const NEUTRAL: &[(&str, &[&str])] = &[
    ("n", &["1"]),
    ("logprobs", &["false"]),
    ("top_logprobs", &["0"]),
    ("presence_penalty", &["0", "0.0"]),
    ("frequency_penalty", &["0", "0.0"]),
    ("logit_bias", &["{}"]),
    ("modalities", &["[\"text\"]"]),
    ("functions", &["[]"]),
];

/// A chat, as the client asked for it.
#[derive(Debug)]
pub struct ChatRequest<'a> {
    /// What `system` and `developer` say, in order, wherever they stood.
    pub system: Vec<Text<'a>>,
    /// What was said: at least one turn.
    pub turns: Vec<Turn<'a>>,
    /// The tools.
    pub tools: Vec<Tool<'a>>,
    /// Which of them may be called, where the client says.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether several may be called at once, where the client says.
    pub parallel_tool_calls: Option<bool>,
    /// What the answer looks like.
    pub format: Format<'a>,
    /// Most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// As the client wrote it.
    pub temperature: Option<Number>,
    /// As the client wrote it.
    pub top_p: Option<Number>,
    /// As the client wrote it; not OpenAI's, and common.
    pub top_k: Option<Number>,
    /// As the client wrote it.
    pub presence_penalty: Option<Number>,
    /// As the client wrote it.
    pub frequency_penalty: Option<Number>,
    /// As the client wrote it.
    pub seed: Option<Number>,
    /// Words that end the answer.
    pub stop: Vec<Text<'a>>,
    /// How hard the model should think.
    pub reasoning_effort: Option<Text<'a>>,
}

/// What the answer looks like.
#[derive(Debug)]
pub enum Format<'a> {
    /// Text.
    Text,
    /// Some JSON object.
    Json,
    /// JSON that matches a schema.
    Schema(JsonSchema<'a>),
}

/// A schema for the answer.
#[derive(Debug, Deserialize, Serialize)]
pub struct JsonSchema<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// What it is for.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// The schema, as the client wrote it.
    #[serde(borrow)]
    pub schema: &'a RawValue,
    /// Whether the answer must match it exactly, where the client says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// The field cannot be carried: 400, with its name.
pub fn unsupported(field: &str, why: impl fmt::Display) -> AdaptorError {
    AdaptorError::bad_request(
        "unsupported_parameter",
        format!("`{field}` is not supported by this model's backend: {why}"),
    )
}

/// The field is not what it should be.
pub(crate) fn invalid(field: &str, why: &dyn fmt::Display) -> AdaptorError {
    AdaptorError::bad_request("invalid_value", format!("`{field}`: {why}"))
}

/// The top level of a request, without what is null.
pub(crate) struct Fields<'a>(BTreeMap<Text<'a>, &'a RawValue>);

impl<'a> Fields<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, AdaptorError> {
        let mut fields: BTreeMap<Text<'a>, &'a RawValue> = serde_json::from_slice(body).map_err(|error| {
            AdaptorError::bad_request("invalid_json", format!("the body is not a JSON object: {error}"))
        })?;
        fields.retain(|_, raw| raw.get() != "null");
        Ok(Self(fields))
    }

    fn check(&self, carried: &[&str], ignored: &[String]) -> Result<(), AdaptorError> {
        let known = |name: &str| {
            [CARRIED, DROPPED, carried].iter().any(|names| names.contains(&name))
                || ignored.iter().any(|ignored| ignored == name)
        };
        match self.0.iter().find(|(name, raw)| !known(name) && !is_neutral(name, raw)) {
            None => Ok(()),
            Some((name, _)) => Err(unsupported(name, "leave it out")),
        }
    }

    /// Takes out what the operator wants dropped.
    pub(crate) fn drop_all(&mut self, ignored: &[String]) {
        self.0.retain(|name, _| !ignored.iter().any(|ignored| **ignored == **name));
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, raw)| (&**name, *raw))
    }

    pub(crate) fn raw(&self, name: &'a str) -> Option<&'a RawValue> {
        self.0.get(&Text::from(name)).copied()
    }

    pub(crate) fn get<T: Deserialize<'a>>(&self, name: &'a str) -> Result<Option<T>, AdaptorError> {
        let read = |raw: &'a RawValue| serde_json::from_str(raw.get()).map_err(|error| invalid(name, &error));
        self.raw(name).map(read).transpose()
    }
}

/// Whether the field asks for nothing.
fn is_neutral(name: &str, raw: &RawValue) -> bool {
    NEUTRAL.iter().any(|(neutral, values)| *neutral == name && is_one_of(raw, values))
}

/// Whether a value is one of these. Compared as text, without white space between the tokens.
pub(crate) fn is_one_of(raw: &RawValue, values: &[&str]) -> bool {
    let compact = serde_json::from_str::<Value>(raw.get()).map(|value| value.to_string());
    compact.is_ok_and(|compact| values.contains(&compact.as_str()))
}

impl<'a> ChatRequest<'a> {
    /// Reads a request. `carried` are the fields that the backend carries beside the common ones; `ignored` those that
    /// the operator wants dropped.
    pub fn parse(body: &'a [u8], carried: &[&str], ignored: &[String]) -> Result<Self, AdaptorError> {
        let mut fields = Fields::parse(body)?;
        fields.check(carried, ignored)?;
        fields.drop_all(ignored);
        let Conversation { system, turns, .. } =
            Conversation::read(fields.get("messages")?.unwrap_or_default())?;
        let max_tokens = fields.get("max_completion_tokens")?;
        Ok(Self {
            system,
            turns,
            tools: tools::tools(fields.get("tools")?.unwrap_or_default())?,
            tool_choice: fields.raw("tool_choice").map(tools::tool_choice).transpose()?,
            parallel_tool_calls: fields.get("parallel_tool_calls")?,
            format: fields.raw("response_format").map_or(Ok(Format::Text), format)?,
            max_tokens: if max_tokens.is_some() { max_tokens } else { fields.get("max_tokens")? },
            temperature: fields.get("temperature")?,
            top_p: fields.get("top_p")?,
            top_k: fields.get("top_k")?,
            presence_penalty: fields.get("presence_penalty")?,
            frequency_penalty: fields.get("frequency_penalty")?,
            seed: fields.get("seed")?,
            stop: fields.raw("stop").map_or(Ok(Vec::new()), stop)?,
            reasoning_effort: fields.get("reasoning_effort")?,
        })
    }

    /// Whether a tool was called, or has answered, in the conversation.
    pub fn has_tool_history(&self) -> bool {
        let is_tools =
            |part: &super::Part<'_>| matches!(part, super::Part::Call { .. } | super::Part::Result { .. });
        self.turns.iter().flat_map(|turn| &turn.parts).any(is_tools)
    }

    /// Refuses `parallel_tool_calls: false` for a backend that cannot be told.
    pub fn require_parallel_tool_calls(&self) -> Result<(), AdaptorError> {
        if self.parallel_tool_calls == Some(false) && !self.tools.is_empty() {
            return Err(unsupported("parallel_tool_calls", "it cannot be told to call one tool at a time"));
        }
        Ok(())
    }
}

fn stop(raw: &RawValue) -> Result<Vec<Text<'_>>, AdaptorError> {
    let read = if raw.get().starts_with('"') {
        serde_json::from_str(raw.get()).map(|one| vec![one])
    } else {
        serde_json::from_str(raw.get())
    };
    read.map_err(|error| invalid("stop", &error))
}

#[derive(Deserialize)]
struct ResponseFormat<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    json_schema: Option<JsonSchema<'a>>,
}

fn format(raw: &RawValue) -> Result<Format<'_>, AdaptorError> {
    const FIELD: &str = "response_format";
    let format: ResponseFormat<'_> =
        serde_json::from_str(raw.get()).map_err(|error| invalid(FIELD, &error))?;
    match (&*format.kind, format.json_schema) {
        ("text", _) => Ok(Format::Text),
        ("json_object", _) => Ok(Format::Json),
        ("json_schema", Some(schema)) => Ok(Format::Schema(schema)),
        ("json_schema", None) => Err(invalid(FIELD, &"lacks `json_schema`")),
        _ => Err(unsupported("response_format.type", "it is `text`, `json_object` or `json_schema`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(fields: &str, carried: &[&str], ignored: &[&str]) -> Option<String> {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],{fields}}}"#);
        let ignored: Vec<String> = ignored.iter().map(ToString::to_string).collect();
        ChatRequest::parse(body.as_bytes(), carried, &ignored).map(drop).err().map(|error| {
            assert_eq!(error.status, 400);
            error.message
        })
    }

    #[test]
    fn what_changes_the_meaning_is_refused_by_its_name() {
        for field in [
            r#""n":2"#,
            r#""logprobs":true"#,
            r#""top_logprobs":1"#,
            r#""presence_penalty":0.5"#,
            r#""logit_bias":{"1":1}"#,
            r#""modalities":["text","audio"]"#,
            r#""audio":{}"#,
            r#""top_k":3"#,
            r#""web_search_options":{}"#,
            r#""functions":[{}]"#,
            r#""min_p":0.1"#,
        ] {
            let name = field.split('"').nth(1).unwrap();
            let message = refused(field, &[], &[]).expect(field);
            assert!(message.starts_with(&format!("`{name}` is not supported")), "{message}");
            assert_eq!(refused(field, &[], &[name]), None, "the operator wants it dropped");
        }
        assert_eq!(refused(r#""top_k":3"#, &["top_k"], &[]), None);
    }

    #[test]
    fn what_asks_for_nothing_is_dropped() {
        for field in [
            r#""n":1"#,
            r#""n":null"#,
            r#""logprobs":false"#,
            r#""presence_penalty":0.0"#,
            r#""logit_bias":{ }"#,
            r#""modalities":[ "text" ]"#,
            r#""user":"u""#,
            r#""metadata":{"a":"b"}"#,
            r#""seed":1"#,
            r#""audio":null"#,
        ] {
            assert_eq!(refused(field, &[], &[]), None, "{field}");
        }
    }

    #[test]
    fn a_wrong_type_names_its_field() {
        for (field, name) in [
            (r#""temperature":"x""#, "temperature"),
            (r#""tool_choice":"any""#, "tool_choice"),
            (r#""tool_choice":{"type":"allowed_tools","allowed_tools":{}}"#, "tool_choice"),
            (r#""tools":[{"type":"custom","custom":{"name":"x"}}]"#, "tools[0].type"),
            (r#""tools":[{"type":"function","function":{}}]"#, "tools[0].function"),
            (r#""response_format":{"type":"json_schema"}"#, "response_format"),
            (r#""response_format":{"type":"grammar"}"#, "response_format.type"),
            (r#""stop":[1]"#, "stop"),
        ] {
            let message = refused(field, &[], &[]).expect(field);
            assert!(message.starts_with(&format!("`{name}`")), "{message}");
        }
    }
}
