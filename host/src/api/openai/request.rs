//! Reads of a body what the gateway needs, checks the fields that it knows, and leaves the bytes alone.

use std::{borrow::Cow, fmt};

use airlock_sandbox::{Answers, Events, Form, Operation};
use bytes::{Bytes, BytesMut};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::{
    fields,
    validation::{Check, Found, Rule},
};
use crate::api::error::{ApiError, ErrorKind};

/// Bodies above this are checked on threads of their own: what others want of this one would wait for milliseconds.
const LARGE: usize = 1 << 20;

/// A request whose known fields are in order.
#[derive(Debug)]
pub struct ParsedRequest {
    /// The model, as the client named it.
    pub model: String,
    /// Whether events are wanted.
    pub stream: bool,
    /// Whether the client wants to see the chunk with the usage.
    pub show_usage: bool,
    /// The client's bytes; in streams, with `stream_options.include_usage` set. Of a form, an object with the model alone.
    pub body: Bytes,
    /// The client's form, where it is one.
    pub form: Option<Form>,
    /// How many tokens the answers may have together, where the client says so.
    pub answer_tokens: Option<u64>,
    /// The first field that the operation does not know.
    pub unknown: Option<String>,
    /// What the client says that requests like it have in common: `prompt_cache_key`.
    pub session: Option<String>,
}

impl ParsedRequest {
    /// Reads and checks a body that has come whole. A large one takes a turn.
    pub(super) async fn check(
        operation: Operation,
        body: Bytes,
        turns: &Semaphore,
    ) -> Result<Self, ApiError> {
        if body.len() <= LARGE {
            return Self::read(operation, body);
        }
        let _turn = turns.acquire().await;
        let checked = tokio::task::spawn_blocking(move || Self::read(operation, body)).await;
        checked.unwrap_or_else(|error| Err(ApiError::new(ErrorKind::Internal, error.to_string())))
    }

    /// The same, here and now.
    pub fn read(operation: Operation, body: Bytes) -> Result<Self, ApiError> {
        let quick = Check::quick();
        let (known, check) = match Known::read(operation, &quick, &body) {
            // What was only kept is looked at by the careful one.
            Ok(known) if quick.is_clean() => (known, Check::careful()),
            // What is wrong, where something is, is told by the other.
            _ => {
                let careful = Check::careful();
                (Known::read(operation, &careful, &body)?, careful)
            }
        };
        fields::check(operation, &known, check)?;
        let model = known.get_as::<String>("model").unwrap_or_default();
        let stream = operation.events().is_some() && wants_events(operation, &known);
        // Where events have names, usage comes with one that has to be there anyway.
        let is_optional = operation.events() == Some(Events::Plain);
        let show_usage = !is_optional
            || known.get_as::<StreamOptions>("stream_options").and_then(|o| o.include_usage).unwrap_or(false);
        let answer_tokens = answer_tokens(&known);
        let unknown = known.unknown.as_deref().map(str::to_owned);
        let session = known.get_as::<String>("prompt_cache_key");
        let body = if stream && !show_usage { with_usage(&body, &known)? } else { body.clone() };
        Ok(Self { model, stream, show_usage, body, form: None, answer_tokens, unknown, session })
    }
}

/// The limit that the client sets, in the words of each API, for as many answers as it wants.
fn answer_tokens(known: &Known<'_>) -> Option<u64> {
    // A whole number may be written as `5.0`; one that is too large for its type is as good as the largest.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is cut to what fits")]
    let number = |name| known.get_as::<f64>(name).map(|number| number as u64);
    let most = ["max_completion_tokens", "max_output_tokens", "max_tokens"].into_iter().find_map(number);
    let answers = number("best_of").or_else(|| number("n")).unwrap_or(1);
    most.map(|most| most.saturating_mul(answers.max(1)))
}

/// Where there is sound to stream, how is another field.
fn wants_events(operation: Operation, known: &Known<'_>) -> bool {
    match operation.answers() {
        Answers::Audio => known.get_as::<String>("stream_format").is_some_and(|format| format == "sse"),
        Answers::Json | Answers::Text => known.get_as::<bool>("stream").unwrap_or(false),
    }
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// The top-level fields of a JSON object that an operation knows. `null` counts as absent.
#[derive(Default)]
pub(super) struct Known<'a> {
    fields: Vec<(&'static str, Held<'a>)>,
    unknown: Option<Cow<'a, str>>,
}

/// What is kept of a field.
enum Held<'a> {
    /// The text that stands there.
    Raw(&'a RawValue),
    /// It was checked while it was read: it may be large, and nobody needs its text.
    Walked(Found),
}

impl<'a> Known<'a> {
    fn read(operation: Operation, check: &Check, body: &'a [u8]) -> Result<Self, ApiError> {
        let fail = |message: String| ApiError::new(ErrorKind::InvalidJson, message);
        if body.trim_ascii().is_empty() {
            return Err(fail("The body is empty; send one JSON object.".into()));
        }
        // Of the fields that nobody here knows, the reader would not check it.
        let text = std::str::from_utf8(body)
            .map_err(|e| fail(format!("The body is not UTF-8, as JSON has to be: {e}.")))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let known = reader
            .deserialize_map(KnownVisitor { operation, check })
            .and_then(|known| reader.end().map(|()| known))
            .map_err(|e| fail(format!("The body is not one JSON object: {e}.")))?;
        Ok(known)
    }

    /// Whether a field is present and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, held)| {
            *known == name
                && match held {
                    Held::Raw(raw) => raw.get() != "null",
                    Held::Walked(found) => *found != Found::Null,
                }
        })
    }

    /// The text of a field that was not checked while it was read, where it is present and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.stands(name).filter(|raw| raw.get() != "null")
    }

    /// The same, also where it is null.
    fn stands(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().find_map(|(known, held)| match held {
            Held::Raw(raw) if *known == name => Some(*raw),
            _ => None,
        })
    }

    /// A field as a type that it was checked to have.
    pub(super) fn get_as<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        self.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }
}

struct KnownVisitor<'c> {
    operation: Operation,
    check: &'c Check,
}

impl<'de> Visitor<'de> for KnownVisitor<'_> {
    type Value = Known<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Known<'de>, A::Error> {
        let mut known = Known { fields: Vec::with_capacity(16), unknown: None };
        while let Some(Name(name)) = map.next_key()? {
            let Some(field) = fields::of(self.operation).find(|field| field.name == name) else {
                map.next_value::<IgnoredAny>()?;
                known.unknown.get_or_insert(name);
                continue;
            };
            if known.fields.iter().any(|(name, _)| *name == field.name) {
                // Two readers might each take another one.
                return Err(serde::de::Error::custom(format!("`{name}` stands twice")));
            }
            let held = match field.rule {
                Rule::List(..) | Rule::TextOr(_) | Rule::Input(_) => {
                    Held::Walked(map.next_value_seed(self.check.field(field.name, &field.rule))?)
                }
                _ => Held::Raw(map.next_value()?),
            };
            known.fields.push((field.name, held));
        }
        Ok(known)
    }
}

/// A key; borrowed unless it holds escapes.
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// The same body, asking the backend for usage: spliced in as text, so that everything else stays as the
/// client wrote it.
fn with_usage(body: &Bytes, known: &Known<'_>) -> Result<Bytes, ApiError> {
    let (range, text) = match known.stands("stream_options").map(RawValue::get) {
        Some(raw) => {
            // `raw` is a part of `body`: its address tells where.
            let start = raw.as_ptr().addr().wrapping_sub(body.as_ptr().addr());
            (start..start + raw.len(), options_with_usage(raw))
        }
        None => {
            let start = body.iter().position(|b| *b == b'{').unwrap_or(0) + 1;
            (start..start, r#""stream_options":{"include_usage":true},"#.to_owned())
        }
    };
    let (Some(before), Some(after)) = (body.get(..range.start), body.get(range.end..)) else {
        return Err(ApiError::new(ErrorKind::Internal, "stream_options is not where it was read"));
    };
    let mut spliced = BytesMut::with_capacity(body.len() + text.len());
    spliced.extend_from_slice(before);
    spliced.extend_from_slice(text.as_bytes());
    spliced.extend_from_slice(after);
    Ok(spliced.freeze())
}

fn options_with_usage(raw: &str) -> String {
    let mut options: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(raw).unwrap_or_default();
    options.insert("include_usage".into(), true.into());
    serde_json::Value::Object(options).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &str) -> Result<ParsedRequest, ApiError> {
        ParsedRequest::read(Operation::ChatCompletions, Bytes::from(body.to_owned()))
    }

    fn chat(extra: &str) -> String {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{extra}}}"#)
    }

    #[test]
    fn a_body_that_needs_no_change_is_not_touched() {
        let body = chat(r#" , "x" :  {"y":[1]}"#);
        let parsed = read(&body).unwrap();
        assert_eq!(parsed.body, body.as_bytes());
        assert_eq!((parsed.model.as_str(), parsed.stream), ("m", false));
        let asked = chat(r#","stream":true,"stream_options":{"include_usage":true}"#);
        let parsed = read(&asked).unwrap();
        assert!(parsed.show_usage);
        assert_eq!(parsed.body, asked.as_bytes());
    }

    #[test]
    fn streams_ask_for_usage_whatever_the_client_said() {
        let cases = [
            "",
            r#","stream_options":null"#,
            r#","stream_options":{}"#,
            r#","stream_options": {"include_usage":false,"other":1} ,"z":2"#,
        ];
        for extra in cases {
            let parsed = read(&chat(&format!(r#","stream":true{extra}"#))).unwrap();
            assert!(!parsed.show_usage);
            let body: Value = serde_json::from_slice(&parsed.body).unwrap();
            assert_eq!(body["stream_options"]["include_usage"], json!(true), "{extra}");
            assert_eq!(body["messages"][0]["content"], "hi");
            if extra.contains("other") {
                assert_eq!((&body["stream_options"]["other"], &body["z"]), (&json!(1), &json!(2)));
            }
        }
    }

    /// Every value of a body that has all kinds of parts, in turn, replaced by values of every type.
    #[test]
    fn what_the_quick_check_lets_through_is_in_order() {
        let all = json!({ "model": "m", "stop": ["a"], "logit_bias": { "1": 2 }, "tools": [{ "type": "function",
            "function": { "name": "f", "parameters": {} } }], "prompt": ["x"], "input": [[1, 2]], "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "x" },
                    { "type": "image_url", "image_url": { "url": "x" } }, { "type": "image_url", "image_url": "x" }] },
                { "role": "assistant", "content": null, "tool_calls": [{ "id": "1", "type": "function",
                    "function": { "name": "f", "arguments": "{}" } }] },
                { "role": "tool", "tool_call_id": "1", "content": "x" }] });
        let others = r#"null true 1 -1.5 1e400 "" "x" "\ud800" [] {} [null] [1] ["x"] [[1],"x"] {"a":1}"#;
        let mut seen = [0, 0];
        for path in paths(&all, String::new()) {
            for other in others.split(' ') {
                let mut body = all.clone();
                *body.pointer_mut(&path).unwrap() = json!("#here#");
                let body = body.to_string().replace("\"#here#\"", other);
                for operation in [Operation::ChatCompletions, Operation::Completions, Operation::Embeddings] {
                    let (quick, careful) = (Check::quick(), Check::careful());
                    let passes = Known::read(operation, &quick, body.as_bytes()).is_ok() && quick.is_clean();
                    let is_right =
                        Known::read(operation, &careful, body.as_bytes()).is_ok() && careful.is_clean();
                    assert!(is_right || !passes, "{operation:?} {body}");
                    seen[usize::from(passes)] += 1;
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 300), "{seen:?}");
    }

    fn paths(value: &Value, at: String) -> Vec<String> {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect(),
            _ => Vec::new(),
        };
        let deeper = below.into_iter().flat_map(|(step, value)| paths(value, format!("{at}/{step}")));
        deeper.chain((!at.is_empty()).then(|| at.clone())).collect()
    }

    #[test]
    fn what_is_not_utf_8_is_refused_wherever_it_stands() {
        for field in [&b"\"x\":\"\xff\""[..], b"\"user\":\"\xff\"", b"\"\xff\":1"] {
            let body = chat(",#").into_bytes();
            let at = body.iter().position(|b| *b == b'#').unwrap();
            let body = [&body[..at], field, &body[at + 1..]].concat();
            let error = ParsedRequest::read(Operation::ChatCompletions, body.into()).unwrap_err();
            assert_eq!((error.status().as_u16(), error.kind()), (400, ErrorKind::InvalidJson));
        }
    }

    #[test]
    fn what_is_no_json_object_is_told_with_its_place() {
        for (body, says) in [
            ("", "empty"),
            ("[]", "an object"),
            ("{\"model\": \"m\",}", "line 1"),
            ("{\"model\": \"m\"} x", "trailing"),
            ("{\"model\":\"a\",\"model\":\"b\"}", "stands twice"),
            (r#"{"model":"\ud800","messages":[{"role":"user","content":"x"}]}"#, "`model`"),
        ] {
            let error = read(body).unwrap_err();
            let text = String::from_utf8(error.body().to_vec()).unwrap();
            assert!(text.contains(says), "{body}: {text}");
            assert_eq!(error.status(), 400);
        }
    }
}
