//! The texts in a JSON document. It is read as it stands, not as a tree: what is not replaced keeps its bytes, and
//! of two keys of one name neither is overlooked.

use airlock_adaptor::serde_json;

/// Keys whose values are no text that a model reads: names, and binary data.
const NO_TEXT: [&str; 5] = ["model", "role", "type", "url", "data"];

/// Shows `look` every text and puts what it gives in the text's place. The document as it is then, or none inside
/// where nothing was replaced; none outside where this is no JSON.
pub(crate) fn edit(json: &str, mut look: impl FnMut(&str) -> Option<String>) -> Option<Option<String>> {
    let mut edited = String::new();
    let mut copied = 0;
    // For each list and object that is open, the key whose value comes next or is being read.
    let mut keys: Vec<String> = vec![String::new()];
    let mut rest = 0;
    while let Some(found) = json.get(rest..)?.find(['"', '{', '[', '}', ']']) {
        let at = rest + found;
        rest = at + 1;
        match json.as_bytes().get(at)? {
            b'"' => {
                rest = end_of_string(json, at)?;
                let text: String = serde_json::from_str(json.get(at..rest)?).ok()?;
                let key = keys.last_mut()?;
                if json.get(rest..)?.trim_ascii_start().starts_with(':') {
                    *key = text;
                } else if !NO_TEXT.contains(&key.as_str())
                    && let Some(new) = look(&text)
                {
                    edited.push_str(json.get(copied..at)?);
                    edited.push_str(&serde_json::Value::from(new).to_string());
                    copied = rest;
                }
            }
            b'{' | b'[' => keys.push(keys.last()?.clone()),
            _ => drop(keys.pop()),
        }
    }
    if copied == 0 {
        return Some(None);
    }
    edited.push_str(json.get(copied..)?);
    Some(Some(edited))
}

/// Where the string that begins at `start` is over.
fn end_of_string(json: &str, start: usize) -> Option<usize> {
    let mut escaped = false;
    let bytes = json.bytes().enumerate().skip(start + 1);
    for (at, byte) in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(json: &str) -> Vec<String> {
        let mut seen = Vec::new();
        assert_eq!(
            edit(json, |text| {
                seen.push(text.to_owned());
                None
            }),
            Some(None),
            "{json}"
        );
        seen
    }

    #[test]
    fn every_text_is_seen_but_keys_names_and_data() {
        assert_eq!(seen(r#"{"a":"x","b":["y",{"c":"z"},"w"],"d":1}"#), ["x", "y", "z", "w"]);
        assert_eq!(seen(r#"{"a" : "\"q\\","a":"\u00e9"}"#), ["\"q\\", "é"]);
        assert_eq!(seen(r#"{"model":"m","x":[{"role":"user"},"t"],"image_url":{"url":"data:"}}"#), ["t"]);
        assert_eq!(seen(r#"{"role":["r",{"x":"y"}],"z":"w"}"#), ["y", "w"]);
        assert!(seen("{}").is_empty());
    }

    #[test]
    fn only_what_is_replaced_changes() {
        let json = r#" {"a": "one",  "b":["two" ,"\u0074hree"]} "#;
        let upper = edit(json, |text| text.contains('t').then(|| text.to_uppercase())).unwrap().unwrap();
        assert_eq!(upper, r#" {"a": "one",  "b":["TWO" ,"THREE"]} "#);
    }

    #[test]
    fn what_is_no_json_is_not_taken() {
        for broken in [r#"{"a":"x"#, r#"{"a":"\x"}"#, "}}\"a\"", r#""\ud800""#] {
            assert_eq!(edit(broken, |_| None), None, "{broken}");
        }
    }
}
