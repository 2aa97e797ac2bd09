//! `instructions` and `input` as messages.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::super::body::{Conversation, ImageUrl, Message, Part};
use crate::AdaptorError;
use crate::chat::request::invalid;
use crate::chat::{Text, unsupported};

/// An item of `input`, all kinds in one.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    role: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    call_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(default)]
    namespace: Option<IgnoredAny>,
}

/// A part of a message, of a tool's output or of thoughts.
#[derive(Deserialize)]
struct InputPart<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    image_url: Option<Text<'a>>,
    #[serde(borrow, default)]
    detail: Option<Text<'a>>,
}

/// The messages of the chat.
pub(super) fn messages<'a>(
    instructions: Option<Text<'a>>,
    input: Option<&'a RawValue>,
) -> Result<Vec<Message<'a>>, AdaptorError> {
    let mut conversation = Conversation::default();
    if let Some(text) = instructions {
        conversation.system(text);
    }
    let Some(raw) = input else { return Err(invalid("input", &"is missing: a text, or a list of items")) };
    if raw.get().starts_with('"') {
        let text = serde_json::from_str(raw.get()).map_err(|error| invalid("input", &error))?;
        conversation.user(vec![Part::Text { text }]);
        return Ok(conversation.0);
    }
    let items: Vec<&'a RawValue> =
        serde_json::from_str(raw.get()).map_err(|error| invalid("input", &error))?;
    if items.is_empty() {
        return Err(invalid("input", &"must hold at least one item"));
    }
    for (i, raw) in items.into_iter().enumerate() {
        let at = format!("input[{i}]");
        let item = serde_json::from_str(raw.get()).map_err(|error| invalid(&at, &error))?;
        add(&mut conversation, &at, item)?;
    }
    Ok(conversation.0)
}

fn add<'a>(conversation: &mut Conversation<'a>, at: &str, item: Item<'a>) -> Result<(), AdaptorError> {
    if item.namespace.is_some() {
        return Err(unsupported(&format!("{at}.namespace"), "give each function a name of its own"));
    }
    let missing = |name: &str| invalid(&format!("{at}.{name}"), &"is missing");
    match item.kind.as_deref().unwrap_or("message") {
        "message" => message(conversation, at, &item),
        "function_call" => {
            let id = item.call_id.ok_or_else(|| missing("call_id"))?;
            let name = item.name.ok_or_else(|| missing("name"))?;
            conversation.call(id, name, item.arguments.ok_or_else(|| missing("arguments"))?);
            Ok(())
        }
        "function_call_output" => {
            let id = item.call_id.ok_or_else(|| missing("call_id"))?;
            let output = item.output.ok_or_else(|| missing("output"))?;
            conversation.result(id, text_of(&format!("{at}.output"), output)?);
            Ok(())
        }
        // Encrypted thoughts are of another service, which alone can read them: it too would leave them out for another model.
        "reasoning" => {
            if let Some(raw) = item.content.filter(|raw| raw.get() != "null") {
                conversation.reasoning(&text_of(&format!("{at}.content"), raw)?);
            }
            Ok(())
        }
        "item_reference" => {
            Err(unsupported(&format!("{at}.type"), "nothing is stored: send the item itself"))
        }
        kind => {
            let why = format!("`{kind}` has no counterpart in a chat: leave the item out");
            Err(unsupported(&format!("{at}.type"), why))
        }
    }
}

fn message<'a>(conversation: &mut Conversation<'a>, at: &str, item: &Item<'a>) -> Result<(), AdaptorError> {
    let at_content = format!("{at}.content");
    let content = item.content.ok_or_else(|| invalid(&at_content, &"is missing"))?;
    match item.role.as_deref() {
        // Templates of open models know `system` alone.
        Some("system" | "developer") => conversation.system(text_of(&at_content, content)?),
        Some("user") => conversation.user(parts(&at_content, content)?),
        Some("assistant") => conversation.assistant(parts(&at_content, content)?),
        _ => {
            let why = "must be `user`, `assistant`, `system` or `developer`";
            return Err(invalid(&format!("{at}.role"), &why));
        }
    }
    Ok(())
}

/// The parts of a content, which is a text or a list.
fn parts<'a>(at: &str, raw: &'a RawValue) -> Result<Vec<Part<'a>>, AdaptorError> {
    let wrong = |error: serde_json::Error| invalid(at, &error);
    if raw.get().starts_with('"') {
        return Ok(vec![Part::Text { text: serde_json::from_str(raw.get()).map_err(wrong)? }]);
    }
    let listed: Vec<InputPart<'a>> = serde_json::from_str(raw.get()).map_err(wrong)?;
    listed.into_iter().enumerate().map(|(i, listed)| part(&format!("{at}[{i}]"), listed)).collect()
}

fn part<'a>(at: &str, part: InputPart<'a>) -> Result<Part<'a>, AdaptorError> {
    match (&*part.kind, part.text, part.refusal, part.image_url) {
        ("input_text" | "output_text" | "reasoning_text" | "text", Some(text), ..) => Ok(Part::Text { text }),
        ("refusal", _, Some(refusal), _) => Ok(Part::Refusal { refusal }),
        ("input_image", _, _, Some(url)) => {
            Ok(Part::ImageUrl { image_url: ImageUrl { url, detail: part.detail } })
        }
        ("input_image", ..) => {
            Err(unsupported(&format!("{at}.file_id"), "write the image as an `image_url`"))
        }
        ("input_text" | "output_text" | "reasoning_text" | "text" | "refusal", ..) => {
            Err(invalid(at, &"lacks what its type names"))
        }
        (kind, ..) => {
            let why = format!("`{kind}` has no counterpart in a chat: send text and images");
            Err(unsupported(&format!("{at}.type"), why))
        }
    }
}

/// A content that can be text alone.
fn text_of<'a>(at: &str, raw: &'a RawValue) -> Result<Text<'a>, AdaptorError> {
    let mut texts = parts(at, raw)?.into_iter().map(|part| match part {
        Part::Text { text } => Ok(text),
        _ => Err(unsupported(at, "here a chat takes text alone: send images as the user")),
    });
    let first = texts.next().transpose()?.unwrap_or_else(|| Text::from(""));
    texts.try_fold(first, |all, text| Ok(Text::from(format!("{}{}", &*all, &*text?))))
}
