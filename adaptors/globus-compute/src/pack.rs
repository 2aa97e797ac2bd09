//! How arguments go to a worker and results come back: Globus Compute's serialization, of which only the JSON kind is
//! written.
//!
//! A payload is `L(args) ‖ L(kwargs)` with `L(b) = "<length>\n" + b`, and each `b` begins with two characters that name
//! its kind: `11` JSON, `00` a pickle in base64, `13` several kinds of one value (globus-compute-sdk, `serialize/`).

use airlock_adaptor::serde_json::{self, Value};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::pickle;

/// The name of the JSON kind, for `result_serializers`.
pub(crate) const JSON_KIND: &str = "globus_compute_sdk.serialize.JSONData";

/// A call's arguments as a payload: one positional argument, or none.
pub(crate) fn arguments(argument: Option<&str>) -> String {
    let args = argument.map_or_else(|| "[]".to_owned(), |argument| format!("[{argument}]"));
    format!("{}{}", part(&args), part("{}"))
}

/// One buffer of the JSON kind. Lengths count characters and not bytes, so everything is made ASCII.
fn part(json: &str) -> String {
    let body = format!("11\n{}", ascii(json));
    format!("{}\n{body}", body.len())
}

/// The same JSON with `\uXXXX` for what is not ASCII, which JSON has in strings only.
fn ascii(json: &str) -> String {
    use std::fmt::Write as _;
    if json.is_ascii() {
        return json.to_owned();
    }
    let mut text = String::with_capacity(json.len() + json.len() / 2);
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            // A string cannot fail to be written to.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// A worker's result as JSON text. Functions often return JSON as a string: what is inside is taken, where it is JSON.
pub(crate) fn result(packed: &str) -> Result<String, String> {
    let value = value(packed)?;
    if let Value::String(text) = &value
        && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
    {
        return Ok(text.clone());
    }
    Ok(value.to_string())
}

fn value(packed: &str) -> Result<Value, String> {
    let (kind, body) = packed.split_once('\n').ok_or("the result has no kind")?;
    match kind {
        "11" => serde_json::from_str(body).map_err(|error| format!("the result is not JSON: {error}")),
        "00" => {
            let base64: String = body.split_ascii_whitespace().collect();
            let bytes = BASE64_STANDARD
                .decode(base64)
                .map_err(|error| format!("the result is not base64: {error}"))?;
            pickle::read(&bytes)
        }
        "13" => parts(body)?
            .into_iter()
            .find_map(|part| value(part).ok())
            .ok_or_else(|| "the result is of several kinds, of which none can be read".to_owned()),
        other => Err(format!(
            "the result is of a kind that is not read: {:?}",
            other.chars().take(8).collect::<String>()
        )),
    }
}

/// Takes `L(a) ‖ L(b) ‖ …` apart, counting characters.
fn parts(mut text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let (length, rest) = text.split_once('\n').ok_or("a part of the result has no length")?;
        let length: usize = length.parse().map_err(|_| "a part of the result has no length")?;
        let end = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
        let (part, after) = rest.split_at(end);
        parts.push(part);
        text = after;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_packed_as_the_sdk_packs_them() {
        assert_eq!(arguments(None), "5\n11\n[]5\n11\n{}");
        let argument = r#"{"model_params":{"model":"m","messages":[{"role":"user","content":"hé"}],"openai_endpoint":"chat/completions","api_port":8001}}"#;
        let expected = concat!(
            "137\n11\n",
            r#"[{"model_params":{"model":"m","messages":[{"role":"user","content":"h\u00e9"}],"openai_endpoint":"chat/completions","api_port":8001}}]"#,
            "5\n11\n{}"
        );
        assert_eq!(arguments(Some(argument)), expected);
        assert_eq!(arguments(Some("\"😀\"")), "19\n11\n[\"\\ud83d\\ude00\"]5\n11\n{}");
    }

    #[test]
    fn results_of_every_kind_are_read() {
        assert_eq!(result("11\n\"{\\\"a\\\": 1}\"").unwrap(), "{\"a\": 1}");
        assert_eq!(result("11\n{\"a\":1.5}").unwrap(), "{\"a\":1.5}");
        assert_eq!(result("11\n\"no json\"").unwrap(), "\"no json\"");
        assert_eq!(result("00\ngASVDAAAAAAAAACMCHsiYSI6IDF9lC4=\n").unwrap(), "{\"a\": 1}");
        assert_eq!(
            result("13\n8\n11\n{\"é\"}9\n11\n[\"é\"]x").unwrap_err(),
            "the result is of several kinds, of which none can be read"
        );
        assert_eq!(result("13\n6\n11\n{é}8\n11\n[\"é\"]").unwrap(), "[\"é\"]");
        // What globus-compute-sdk 3.16.1 and 4.19.0 both make of a Python value by default.
        let dill = "00\ngASVSgAAAAAAAAB9lCiMAWGUXZQoSwFHQAQAAAAAAABOiEr5////TSwBSnARAQCMBsOp8J+YgJRl\n\
                    jAFilEsBSwKFlCmHlIwBY5R9lIwBZJRdlHN1Lg==\n";
        let expected = r#"{"a":[1,2.5,null,true,-7,300,70000,"é😀"],"b":[1,[2],[]],"c":{"d":[]}}"#;
        assert_eq!(result(dill).unwrap(), expected);
        for bad in ["", "11", "11\n{", "00\n!", "00\ngASV", "99\nx", "13\nx\n"] {
            assert!(result(bad).is_err(), "{bad:?}");
        }
    }
}
