//! A conversation as most backends want it: the system's words apart, and turns of user and assistant that alternate.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::request::{invalid, unsupported};
use super::{Image, Text};
use crate::AdaptorError;
use crate::object::Object;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The user, and what tools answered.
    User,
    /// The model.
    Assistant,
}

/// All that one side said before the other one spoke: consecutive messages of one side are one turn.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Whose turn it is.
    pub role: Role,
    /// What was said, never empty. The results of tools come first.
    pub parts: Vec<Part<'a>>,
}

/// A piece of a turn.
#[derive(Debug)]
pub enum Part<'a> {
    /// Text that is more than white space.
    Text(Text<'a>),
    /// An image.
    Image(Image<'a>),
    /// The model calls a tool.
    Call {
        /// Ties the result to the call.
        id: Text<'a>,
        /// The tool's name.
        name: Text<'a>,
        /// One JSON object.
        arguments: Box<RawValue>,
        /// `extra_content` of the call: what the backend wants to see again.
        extra: Option<&'a RawValue>,
    },
    /// A tool has answered.
    Result {
        /// The call's id.
        id: Text<'a>,
        /// The tool's name.
        name: Text<'a>,
        /// The answer.
        content: Text<'a>,
    },
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow, default)]
    tool_call_id: Option<Text<'a>>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
    #[serde(default)]
    audio: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
    #[serde(borrow, default)]
    extra_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Text<'a>,
}

#[derive(Deserialize)]
struct ContentPart<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    image_url: Option<ImageUrl<'a>>,
}

#[derive(Deserialize)]
struct ImageUrl<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

/// A conversation while it is read.
#[derive(Default)]
pub(super) struct Conversation<'a> {
    /// What `system` and `developer` say, in order.
    pub(super) system: Vec<Text<'a>>,
    /// The turns.
    pub(super) turns: Vec<Turn<'a>>,
    /// The names of the tools that were called, by the call's id.
    called: BTreeMap<Text<'a>, Text<'a>>,
}

impl<'a> Conversation<'a> {
    /// Reads `messages`.
    pub(super) fn read(messages: Vec<&'a RawValue>) -> Result<Self, AdaptorError> {
        let mut conversation = Self::default();
        for (i, raw) in messages.into_iter().enumerate() {
            let at = format!("messages[{i}]");
            let message = serde_json::from_str(raw.get()).map_err(|error| invalid(&at, &error))?;
            conversation.add(&at, message)?;
        }
        if conversation.turns.is_empty() {
            return Err(invalid("messages", &"must hold a message of the user that is not empty"));
        }
        Ok(conversation)
    }

    fn add(&mut self, at: &str, message: Message<'a>) -> Result<(), AdaptorError> {
        if message.function_call.is_some() {
            return Err(unsupported(&format!("{at}.function_call"), "write `tool_calls`"));
        }
        if message.audio.is_some() {
            return Err(unsupported(&format!("{at}.audio"), "the backend takes text and images"));
        }
        let parts = parts(at, message.content)?;
        match &*message.role {
            "system" | "developer" => {
                for part in parts {
                    match part {
                        Part::Text(text) => self.system.push(text),
                        _ => {
                            return Err(unsupported(
                                &format!("{at}.content"),
                                "here the backend takes text alone",
                            ));
                        }
                    }
                }
            }
            "user" => parts.into_iter().for_each(|part| self.push(Role::User, part)),
            "assistant" => {
                parts.into_iter().for_each(|part| self.push(Role::Assistant, part));
                for (i, call) in message.tool_calls.unwrap_or_default().into_iter().enumerate() {
                    self.add_call(&format!("{at}.tool_calls[{i}]"), call)?;
                }
            }
            "tool" => self.add_result(at, message.tool_call_id, parts)?,
            _ => return Err(unsupported(&format!("{at}.role"), "write `tool` in the place of `function`")),
        }
        Ok(())
    }

    fn add_call(&mut self, at: &str, call: ToolCall<'a>) -> Result<(), AdaptorError> {
        let Some(function) = call.function else {
            return Err(unsupported(&format!("{at}.type"), "the backend takes functions alone"));
        };
        let text = match function.arguments.trim() {
            "" => "{}",
            text => text,
        };
        let arguments =
            Object::parse(text.as_bytes()).and_then(|_| RawValue::from_string(text.to_owned())).map_err(
                |_| invalid(&format!("{at}.function.arguments"), &"must be the text of one JSON object"),
            )?;
        self.called.insert(call.id.clone(), function.name.clone());
        let part = Part::Call { id: call.id, name: function.name, arguments, extra: call.extra_content };
        self.push(Role::Assistant, part);
        Ok(())
    }

    fn add_result(
        &mut self,
        at: &str,
        id: Option<Text<'a>>,
        parts: Vec<Part<'a>>,
    ) -> Result<(), AdaptorError> {
        let known = id.and_then(|id| self.called.get(&id).map(|name| (id, name.clone())));
        let Some((id, name)) = known else {
            return Err(invalid(&format!("{at}.tool_call_id"), &"must be the id of a tool call before it"));
        };
        let mut content = Text::from("");
        for part in parts {
            match part {
                Part::Text(text) if content.is_empty() => content = text,
                Part::Text(text) => content = Text::from(format!("{}{}", &*content, &*text)),
                _ => return Err(unsupported(&format!("{at}.content"), "a tool's answer can be text alone")),
            }
        }
        self.push(Role::User, Part::Result { id, name, content });
        Ok(())
    }

    fn push(&mut self, role: Role, part: Part<'a>) {
        match self.turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) if matches!(part, Part::Result { .. }) => {
                let results =
                    turn.parts.iter().take_while(|part| matches!(part, Part::Result { .. })).count();
                turn.parts.insert(results, part);
            }
            Some(turn) => turn.parts.push(part),
            None => self.turns.push(Turn { role, parts: vec![part] }),
        }
    }
}

/// The parts of a message's `content`, without text that is nothing but white space, which backends refuse.
fn parts<'a>(at: &str, content: Option<&'a RawValue>) -> Result<Vec<Part<'a>>, AdaptorError> {
    let Some(raw) = content.filter(|raw| raw.get() != "null") else { return Ok(Vec::new()) };
    let at = format!("{at}.content");
    let mut parts = Vec::new();
    if raw.get().starts_with('"') {
        parts.push(Part::Text(serde_json::from_str(raw.get()).map_err(|error| invalid(&at, &error))?));
    } else {
        let listed: Vec<ContentPart<'a>> =
            serde_json::from_str(raw.get()).map_err(|error| invalid(&at, &error))?;
        for (i, part) in listed.into_iter().enumerate() {
            parts.push(self::part(&format!("{at}[{i}]"), part)?);
        }
    }
    parts.retain(|part| !matches!(part, Part::Text(text) if text.trim().is_empty()));
    Ok(parts)
}

fn part<'a>(at: &str, part: ContentPart<'a>) -> Result<Part<'a>, AdaptorError> {
    match (&*part.kind, part.text, part.refusal, part.image_url) {
        ("text", Some(text), ..) | ("refusal", _, Some(text), _) => Ok(Part::Text(text)),
        ("image_url", _, _, Some(image)) => {
            Image::parse(&format!("{at}.image_url.url"), image.url).map(Part::Image)
        }
        ("text" | "refusal" | "image_url", ..) => Err(invalid(at, &"lacks what its type names")),
        _ => Err(unsupported(&format!("{at}.type"), "the backend takes text and images")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, AdaptorError> {
        let conversation = Conversation::read(serde_json::from_str(text).unwrap())?;
        let part = |part: &Part<'_>| match part {
            Part::Text(text) => text.to_string(),
            Part::Image(_) => "image".to_owned(),
            Part::Call { id, name, arguments, .. } => format!("{}={}{arguments}", &**id, &**name),
            Part::Result { id, name, content } => format!("{}:{}:{}", &**id, &**name, &**content),
        };
        let turn =
            |turn: &Turn<'_>| format!("{:?}{:?}", turn.role, turn.parts.iter().map(part).collect::<Vec<_>>());
        Ok(conversation.turns.iter().map(turn).collect::<Vec<_>>().join(" "))
    }

    const CALLED: &str = r#"{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":[
        {"id":"1","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}},
        {"id":"2","type":"function","function":{"name":"g","arguments":""}}]}"#;

    #[test]
    fn turns_alternate_and_results_come_first() {
        let text = format!(
            r#"[{CALLED},{{"role":"user","content":"b"}},{{"role":"tool","tool_call_id":"2","content":"two"}},
            {{"role":"tool","tool_call_id":"1","content":[{{"type":"text","text":"o"}},{{"type":"text","text":"ne"}}]}}]"#
        );
        let expected = r#"User["a"] Assistant["1=f{\"x\": 1}", "2=g{}"] User["2:g:two", "1:f:one", "b"]"#;
        assert_eq!(read(&text).unwrap(), expected);
        let text = r#"[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":" "},
            {"type":"image_url","image_url":{"url":"https://x/y"}}]},{"role":"assistant","content":null}]"#;
        assert_eq!(read(text).unwrap(), r#"User["a", "image"]"#);
    }

    #[test]
    fn what_cannot_be_carried_is_named() {
        for (message, place) in [
            (r#"{"role":"tool","tool_call_id":"9","content":"x"}"#, "messages[0].tool_call_id"),
            (r#"{"role":"tool","content":"x"}"#, "messages[0].tool_call_id"),
            (r#"{"role":"function","content":"x"}"#, "messages[0].role"),
            (r#"{"role":"assistant","function_call":{}}"#, "messages[0].function_call"),
            (r#"{"role":"assistant","audio":{"id":"x"}}"#, "messages[0].audio"),
            (
                r#"{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}"#,
                "messages[0].content[0].type",
            ),
            (r#"{"role":"user","content":[{"type":"text"}]}"#, "messages[0].content[0]"),
            (
                r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}"#,
                "[0].image_url.url",
            ),
            (
                r#"{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"[1]"}}]}"#,
                "messages[0].tool_calls[0].function.arguments",
            ),
            (
                r#"{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://x"}}]}"#,
                "messages[0].content",
            ),
            (r#"{"role":"system","content":"x"}"#, "messages"),
        ] {
            let error = read(&format!("[{message}]")).unwrap_err();
            assert_eq!(error.status, 400);
            assert!(error.message.contains(&format!("{place}`")), "{place}: {}", error.message);
        }
    }
}
