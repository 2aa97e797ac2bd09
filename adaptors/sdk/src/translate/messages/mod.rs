//! Anthropic's Messages API.

mod input;
mod writer;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::Body;
use super::fields::{self, Rule, Table};
use crate::chat::request::{Fields, invalid};
use crate::chat::{Format, Head, JsonSchema, Text, Tool, ToolChoice, unsupported};
use crate::{AdaptorError, Task};
pub(super) use writer::Messages;

/// What becomes of each field. Those of open-weight servers that mean the same in a chat are passed too.
#[rustfmt::skip]
pub(super) const FIELDS: &Table = &[
    ("cache_control", Rule::Ignored),
    ("chat_template_kwargs", Rule::Passed),
    ("container", Rule::Refused("run code yourself, behind a tool")),
    ("context_management", Rule::Refused("shorten the `messages` yourself")),
    ("diagnostics", Rule::Refused("leave it out")),
    ("inference_geo", Rule::Refused("leave it out: where a model runs is the operator's choice")),
    ("max_tokens", Rule::Translated),
    ("mcp_servers", Rule::Refused("call the server yourself, behind a tool")),
    ("messages", Rule::Translated),
    ("metadata", Rule::Translated),
    ("min_p", Rule::Passed),
    ("model", Rule::Translated),
    ("output_config", Rule::Translated),
    ("output_format", Rule::Refused("write it as `output_config.format`")),
    ("repetition_penalty", Rule::Passed),
    ("seed", Rule::Passed),
    ("service_tier", Rule::Ignored),
    ("speed", Rule::Only(&["\"standard\""], "leave it out")),
    ("stop_sequences", Rule::Translated),
    ("stream", Rule::Translated),
    ("system", Rule::Translated),
    ("temperature", Rule::Passed),
    ("thinking", Rule::Translated),
    // Tool runners of Anthropic's SDKs ask for one first; this code tells them to go on without.
    ("thread", Rule::RefusedAs("thread_unsupported_request", "send the whole conversation each time")),
    ("tool_choice", Rule::Translated),
    ("tools", Rule::Translated),
    ("top_k", Rule::Passed),
    ("top_p", Rule::Passed),
    ("user_profile_id", Rule::Refused("leave it out")),
    ("workspace_id", Rule::Refused("leave it out")),
];

/// The chat's body, and what writes the answer.
pub(super) fn begin(
    task: &Task,
    ignored: &[String],
    head: &Head,
) -> Result<(Vec<u8>, Messages), AdaptorError> {
    let mut fields = Fields::parse(&task.body)?;
    fields::check(&mut fields, FIELDS, ignored)?;
    let mut body = Body {
        model: &task.model,
        messages: input::messages(fields.raw("system"), fields.get("messages")?)?,
        max_tokens: Some(fields.get("max_tokens")?.ok_or_else(|| {
            invalid("max_tokens", &"is missing: write how many tokens the answer may have")
        })?),
        stop: fields.raw("stop_sequences"),
        user: fields.get::<Metadata<'_>>("metadata")?.and_then(|metadata| metadata.user_id),
        passed: fields::passed(&fields, FIELDS),
        ..Body::default()
    };
    let choice: Option<Choice<'_>> = fields.get("tool_choice")?;
    if choice.as_ref().is_some_and(|choice| choice.disable_parallel_tool_use) {
        body.parallel_tool_calls = Some(false);
    }
    let choice = choice.map(Choice::read).transpose()?;
    body.set_tools(tools(fields.get("tools")?.unwrap_or_default())?, choice.as_ref());
    if let Some(config) = fields.get::<OutputConfig<'_>>("output_config")? {
        body.reasoning_effort = config.effort;
        body.set_format(config.format.map_or(Ok(Format::Text), OutputFormat::read)?);
    }
    let shows_thoughts = fields.get::<Thinking<'_>>("thinking")?.is_some_and(|thinking| thinking.is_shown());
    Ok((body.write(task.stream)?, Messages::new(head, task.stream, shows_thoughts)))
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    user_id: Option<Text<'a>>,
}

/// Whether thoughts are shown. How long they may be is a target and no limit, and a chat has no word for it.
#[derive(Deserialize)]
struct Thinking<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    display: Option<Text<'a>>,
}

impl Thinking<'_> {
    fn is_shown(&self) -> bool {
        &*self.kind != "disabled" && self.display.as_deref() != Some("omitted")
    }
}

#[derive(Deserialize)]
struct OutputConfig<'a> {
    #[serde(borrow, default)]
    effort: Option<Text<'a>>,
    #[serde(borrow, default)]
    format: Option<OutputFormat<'a>>,
}

#[derive(Deserialize)]
struct OutputFormat<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    schema: Option<&'a RawValue>,
}

impl<'a> OutputFormat<'a> {
    fn read(self) -> Result<Format<'a>, AdaptorError> {
        match (&*self.kind, self.schema) {
            // A chat wants a name, which this API has not.
            ("json_schema", Some(schema)) => Ok(Format::Schema(JsonSchema {
                name: Text::from("answer"),
                description: None,
                schema,
                strict: Some(true),
            })),
            ("json_schema", None) => Err(invalid("output_config.format", &"lacks `schema`")),
            _ => Err(unsupported("output_config.format.type", "it is `json_schema`")),
        }
    }
}

/// A tool of the client. What it says beside these are hints on caching and streaming.
#[derive(Deserialize)]
struct ToolParam<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    description: Option<Text<'a>>,
    #[serde(borrow, default)]
    input_schema: Option<&'a RawValue>,
    #[serde(default)]
    strict: Option<bool>,
    #[serde(default)]
    defer_loading: bool,
    #[serde(borrow, default)]
    allowed_callers: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    input_examples: Option<&'a RawValue>,
}

fn tools<'a>(list: Vec<&'a RawValue>) -> Result<Vec<Tool<'a>>, AdaptorError> {
    let tool = |(i, raw): (usize, &'a RawValue)| {
        let at = format!("tools[{i}]");
        let tool: ToolParam<'a> = serde_json::from_str(raw.get()).map_err(|error| invalid(&at, &error))?;
        tool.read(&at)
    };
    list.into_iter().enumerate().map(tool).collect()
}

impl<'a> ToolParam<'a> {
    fn read(self, at: &str) -> Result<Tool<'a>, AdaptorError> {
        if let Some(kind) = self.kind.filter(|kind| &**kind != "custom") {
            let why = format!("`{}` is no tool of yours: describe one, and run it yourself", &*kind);
            return Err(unsupported(&format!("{at}.type"), why));
        }
        let is_direct =
            self.allowed_callers.is_none_or(|callers| callers.iter().any(|caller| &**caller == "direct"));
        for (is_wanted, name, what) in [
            (self.defer_loading, "defer_loading", "leave it out"),
            (!is_direct, "allowed_callers", "leave it out"),
            (self.input_examples.is_some(), "input_examples", "write them into the `description`"),
        ] {
            if is_wanted {
                return Err(unsupported(&format!("{at}.{name}"), what));
            }
        }
        let Some(schema) = self.input_schema else {
            return Err(invalid(&format!("{at}.input_schema"), &"is missing"));
        };
        Ok(Tool {
            name: self.name,
            description: self.description,
            parameters: Some(schema),
            strict: self.strict,
        })
    }
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(default)]
    disable_parallel_tool_use: bool,
}

impl<'a> Choice<'a> {
    fn read(self) -> Result<ToolChoice<'a>, AdaptorError> {
        match (&*self.kind, self.name) {
            ("auto", _) => Ok(ToolChoice::Auto),
            ("none", _) => Ok(ToolChoice::None),
            ("any", _) => Ok(ToolChoice::Required),
            ("tool", Some(name)) => Ok(ToolChoice::Named(name)),
            _ => Err(invalid(
                "tool_choice",
                &"its type must be `auto`, `any`, `none`, or `tool` with a `name`",
            )),
        }
    }
}
