//! `system` and `messages` as messages of a chat.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::super::body::{Conversation, ImageUrl, Message, Part};
use crate::AdaptorError;
use crate::chat::request::invalid;
use crate::chat::{Text, unsupported};

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// A block, all kinds in one. `cache_control` and `citations` are hints and decoration.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
    #[serde(borrow, default)]
    source: Option<Source<'a>>,
    #[serde(default)]
    transformations: Option<IgnoredAny>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_use_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    is_error: Option<bool>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    media_type: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Option<Text<'a>>,
    #[serde(borrow, default)]
    url: Option<Text<'a>>,
}

/// The messages of the chat.
pub(super) fn messages<'a>(
    system: Option<&'a RawValue>,
    messages: Option<Vec<&'a RawValue>>,
) -> Result<Vec<Message<'a>>, AdaptorError> {
    let mut conversation = Conversation::default();
    if let Some(raw) = system {
        add_system(&mut conversation, "system", raw)?;
    }
    let messages = messages.unwrap_or_default();
    if messages.is_empty() {
        return Err(invalid("messages", &"must hold at least one message"));
    }
    for (i, raw) in messages.into_iter().enumerate() {
        let at = format!("messages[{i}]");
        let said: Said<'a> = serde_json::from_str(raw.get()).map_err(|error| invalid(&at, &error))?;
        let at_content = format!("{at}.content");
        match &*said.role {
            "user" => add_user(&mut conversation, &at_content, said.content)?,
            "assistant" => add_assistant(&mut conversation, &at_content, said.content)?,
            "system" => add_system(&mut conversation, &at_content, said.content)?,
            _ => return Err(invalid(&format!("{at}.role"), &"must be `user`, `assistant` or `system`")),
        }
    }
    Ok(conversation.0)
}

fn add_system<'a>(
    conversation: &mut Conversation<'a>,
    at: &str,
    raw: &'a RawValue,
) -> Result<(), AdaptorError> {
    for text in texts(at, raw)? {
        conversation.system(text);
    }
    Ok(())
}

/// The results of tools come first: in a chat they follow the calls.
fn add_user<'a>(
    conversation: &mut Conversation<'a>,
    at: &str,
    raw: &'a RawValue,
) -> Result<(), AdaptorError> {
    let mut parts = Vec::new();
    for (i, block) in blocks(at, raw)?.into_iter().enumerate() {
        let at = format!("{at}[{i}]");
        if &*block.kind == "tool_result" {
            let (id, text) = result(&at, block)?;
            conversation.result(id, text);
        } else {
            parts.push(part(&at, block)?);
        }
    }
    if !parts.is_empty() {
        conversation.user(parts);
    }
    Ok(())
}

fn add_assistant<'a>(
    conversation: &mut Conversation<'a>,
    at: &str,
    raw: &'a RawValue,
) -> Result<(), AdaptorError> {
    let mut parts = Vec::new();
    let mut calls = Vec::new();
    for (i, block) in blocks(at, raw)?.into_iter().enumerate() {
        let at = format!("{at}[{i}]");
        match &*block.kind {
            "tool_use" => calls.push(call(&at, block)?),
            "thinking" => conversation.reasoning(&block.thinking.unwrap_or_else(|| Text::from(""))),
            // Of another service, which alone can read it.
            "redacted_thinking" => {}
            _ => parts.push(part(&at, block)?),
        }
    }
    if !parts.is_empty() {
        conversation.assistant(parts);
    }
    for (id, name, arguments) in calls {
        conversation.call(id, name, arguments);
    }
    Ok(())
}

fn call<'a>(at: &str, block: Block<'a>) -> Result<(Text<'a>, Text<'a>, Text<'a>), AdaptorError> {
    match (block.id, block.name, block.input) {
        (Some(id), Some(name), Some(input)) => Ok((id, name, Text::from(input.get()))),
        _ => Err(invalid(at, &"lacks `id`, `name` or `input`")),
    }
}

/// A chat has no mark for a tool that failed: the text says so.
fn result<'a>(at: &str, block: Block<'a>) -> Result<(Text<'a>, Text<'a>), AdaptorError> {
    let Some(id) = block.tool_use_id else {
        return Err(invalid(&format!("{at}.tool_use_id"), &"is missing"));
    };
    let at = format!("{at}.content");
    let mut texts = block.content.map_or(Ok(Vec::new()), |raw| texts(&at, raw))?;
    let text = match (texts.len(), block.is_error.unwrap_or(false)) {
        (1, false) => texts.remove(0),
        (_, is_error) => {
            let all: String = texts.iter().map(|text| &**text).collect();
            Text::from(if is_error { format!("Error: {all}") } else { all })
        }
    };
    Ok((id, text))
}

fn part<'a>(at: &str, block: Block<'a>) -> Result<Part<'a>, AdaptorError> {
    if block.transformations.is_some() {
        return Err(unsupported(
            &format!("{at}.transformations"),
            "send the image as the model should see it",
        ));
    }
    match (&*block.kind, block.text, block.source) {
        ("text", Some(text), _) => Ok(Part::Text { text }),
        ("image", _, Some(source)) => {
            Ok(Part::ImageUrl { image_url: ImageUrl { url: source.url(at)?, detail: None } })
        }
        ("text" | "image", ..) => Err(invalid(at, &"lacks what its type names")),
        (kind, ..) => {
            let why = format!("`{kind}` has no counterpart in a chat: send text and images");
            Err(unsupported(&format!("{at}.type"), why))
        }
    }
}

impl<'a> Source<'a> {
    fn url(self, at: &str) -> Result<Text<'a>, AdaptorError> {
        match (&*self.kind, self.media_type, self.data, self.url) {
            ("base64", Some(kind), Some(data), _) => {
                Ok(Text::from(format!("data:{};base64,{}", &*kind, &*data)))
            }
            ("url", _, _, Some(url)) => Ok(url),
            ("base64" | "url", ..) => Err(invalid(&format!("{at}.source"), &"lacks what its type names")),
            _ => Err(unsupported(&format!("{at}.source.type"), "send the image itself, or its URL")),
        }
    }
}

/// The blocks of a content, which is a text or a list.
fn blocks<'a>(at: &str, raw: &'a RawValue) -> Result<Vec<Block<'a>>, AdaptorError> {
    let wrong = |error: serde_json::Error| invalid(at, &error);
    if !raw.get().starts_with('"') {
        return serde_json::from_str(raw.get()).map_err(wrong);
    }
    let text: Text<'a> = serde_json::from_str(raw.get()).map_err(wrong)?;
    Ok(vec![Block::text(text)])
}

impl<'a> Block<'a> {
    fn text(text: Text<'a>) -> Self {
        Self {
            kind: Text::from("text"),
            text: Some(text),
            thinking: None,
            source: None,
            transformations: None,
            id: None,
            name: None,
            input: None,
            tool_use_id: None,
            content: None,
            is_error: None,
        }
    }
}

/// A content that can be text alone.
fn texts<'a>(at: &str, raw: &'a RawValue) -> Result<Vec<Text<'a>>, AdaptorError> {
    let text = |(i, block): (usize, Block<'a>)| match (&*block.kind, block.text) {
        ("text", Some(text)) => Ok(text),
        _ => Err(unsupported(&format!("{at}[{i}]"), "here a chat takes text alone: send images as the user")),
    };
    blocks(at, raw)?.into_iter().enumerate().map(text).collect()
}
