//! What the demo model says. Everything follows from the prompt; nothing is random.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::schema;

/// A long prompt is quoted only so far.
const QUOTED_CHARS: usize = 300;

/// One of these closes an answer, so that different prompts do not all read the same.
const CLOSINGS: [&str; 4] = [
    "Ask me to stream and you will see these words arrive one by one.",
    "Offer me a tool and name it in your question, and I will call it.",
    "Set `max_tokens` and I will stop in the middle of a sentence and say why.",
    "Ask the same question again and compare: not a letter will differ.",
];

/// The answer to a prompt. Further choices for one prompt start with their number.
pub(super) fn reply(model: &str, prompt: &str, choice: usize) -> String {
    let number = match choice {
        0 => String::new(),
        n => format!("(Answer {}.) ", n + 1),
    };
    let said = match prompt.trim() {
        "" => "You said nothing.".to_owned(),
        prompt => format!("You said: “{}”", quote(prompt)),
    };
    let closing = pick(&CLOSINGS, prompt);
    format!(
        "{number}{said} I am the demo model {model}; I answer the same thing every time. \
         No neural network was asked: I run inside `airlock demo`, so that you can see a request \
         travel through the gateway and its sandbox and come back. {closing} \
         To connect a real model, write its address as `api_url` into a fixture file and start \
         `airlock serve --fixtures DIR`."
    )
}

/// The answer after tools were called: it quotes what they gave back.
pub(super) fn reply_to_tools(model: &str, results: &[String], choice: usize) -> String {
    let number = match choice {
        0 => String::new(),
        n => format!("(Answer {}.) ", n + 1),
    };
    let quotes: Vec<_> = results.iter().map(|result| format!("“{}”", quote(result.trim()))).collect();
    format!(
        "{number}The tool answered: {}. I am the demo model {model}, so I only pass that on; \
         a real model would now put it into words of its own.",
        quotes.join(" and ")
    )
}

/// An answer for `response_format`, or nothing if plain text is wanted.
pub(super) fn json_reply(format: Option<&Value>, model: &str, prompt: &str) -> Option<String> {
    let format = format?;
    let answer = match format.get("type").and_then(Value::as_str)? {
        "json_object" => json!({
            "answer": format!("You said: “{}”", quote(prompt.trim())),
            "model": model,
            "deterministic": true,
        }),
        "json_schema" => schema::fill(format.pointer("/json_schema/schema").unwrap_or(&Value::Null), prompt),
        _ => return None,
    };
    Some(answer.to_string())
}

fn quote(text: &str) -> String {
    let mut chars = text.chars();
    let mut quoted: String = chars.by_ref().take(QUOTED_CHARS).collect();
    if chars.next().is_some() {
        quoted.push('…');
    }
    quoted
}

/// One of the choices, the same one for the same text.
fn pick(choices: &[&'static str], text: &str) -> &'static str {
    let first = Sha256::digest(text).first().copied().unwrap_or_default();
    choices.iter().cycle().nth(usize::from(first)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_prompt_gets_the_same_answer() {
        assert_eq!(reply("m", "Hello", 0), reply("m", "Hello", 0));
        assert!(reply("m", "Hello", 0).starts_with("You said: “Hello” I am the demo model m;"));
        assert!(reply("m", "Hello", 2).starts_with("(Answer 3.) You said"));
        assert!(reply("m", " ", 0).starts_with("You said nothing."));
    }

    #[test]
    fn a_long_prompt_is_quoted_only_so_far() {
        let reply = reply("m", &"ä".repeat(QUOTED_CHARS + 1), 0);
        assert!(reply.contains("ä…”"));
        assert_eq!(reply.matches('ä').count(), QUOTED_CHARS);
    }

    #[test]
    fn json_answers_follow_the_format() {
        let object = json_reply(Some(&json!({ "type": "json_object" })), "m", "Hi \"you\"").unwrap();
        assert_eq!(serde_json::from_str::<Value>(&object).unwrap()["model"], "m");
        let schema = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": {
            "type": "object", "properties": { "ok": { "type": "boolean" } }, "required": ["ok"] } } });
        assert_eq!(json_reply(Some(&schema), "m", "Hi").unwrap(), r#"{"ok":true}"#);
        assert_eq!(json_reply(Some(&json!({ "type": "text" })), "m", "Hi"), None);
        assert_eq!(json_reply(None, "m", "Hi"), None);
    }
}
