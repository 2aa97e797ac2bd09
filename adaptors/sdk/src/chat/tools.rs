//! The tools of a request, and which of them the model may call.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Text;
use super::request::{invalid, unsupported};
use crate::AdaptorError;

/// A function that the model may call.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Tool<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// What it does.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// A JSON schema, as the client wrote it: the model reads it, so that the order of keys counts.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<&'a RawValue>,
    /// Whether arguments must match the schema exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Which tools the model may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// As it likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(Text<'a>),
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    function: Option<&'a RawValue>,
}

/// Reads `tools`.
pub(super) fn tools<'a>(list: Vec<&'a RawValue>) -> Result<Vec<Tool<'a>>, AdaptorError> {
    let tool = |(i, raw): (usize, &'a RawValue)| {
        let at = format!("tools[{i}]");
        let listed: Listed<'a> = serde_json::from_str(raw.get()).map_err(|error| invalid(&at, &error))?;
        match listed.function {
            Some(function) if &*listed.kind == "function" => serde_json::from_str(function.get())
                .map_err(|error| invalid(&format!("{at}.function"), &error)),
            _ => Err(unsupported(&format!("{at}.type"), "the backend takes functions alone")),
        }
    };
    list.into_iter().enumerate().map(tool).collect()
}

#[derive(Deserialize)]
struct Chosen<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    function: Option<Named<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

/// Reads `tool_choice`.
pub(crate) fn tool_choice(raw: &RawValue) -> Result<ToolChoice<'_>, AdaptorError> {
    const FIELD: &str = "tool_choice";
    if raw.get().starts_with('"') {
        let word: Text<'_> = serde_json::from_str(raw.get()).map_err(|error| invalid(FIELD, &error))?;
        return match &*word {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(invalid(FIELD, &"must be `auto`, `none`, `required`, or name a function")),
        };
    }
    let chosen: Chosen<'_> = serde_json::from_str(raw.get()).map_err(|error| invalid(FIELD, &error))?;
    match chosen.function {
        Some(function) if &*chosen.kind == "function" => Ok(ToolChoice::Named(function.name)),
        _ => Err(unsupported(
            FIELD,
            "the backend can be told one function's name, or a word, and nothing else",
        )),
    }
}
