//! Which tools the demo model calls, and with what.

use serde_json::{Value, json};

use super::request::ChatRequest;
use super::schema;
use super::tokens::count;

/// Words of a tool's name that say nothing about its subject.
const COMMON_WORDS: [&str; 10] =
    ["get", "set", "the", "and", "for", "all", "run", "tool", "function", "call"];

/// One call of a tool.
#[derive(Clone, Debug)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
    /// The arguments as JSON text, which is how OpenAI sends them.
    pub(super) arguments: String,
}

impl ToolCall {
    /// The call inside a complete message.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "type": "function",
            "function": { "name": self.name, "arguments": self.arguments },
        })
    }

    /// What the call counts.
    pub(super) fn tokens(&self) -> usize {
        count(&self.name) + count(&self.arguments)
    }
}

/// The calls that answer a request; none means that a text answers it.
///
/// A tool is called if `tool_choice` asks for it, or if the prompt names it or a word of its name:
/// “what is the weather” calls `get_weather`.
pub(super) fn calls(request: &ChatRequest, prompt: &str, id: &str) -> Vec<ToolCall> {
    let tools = request.tools.as_deref().unwrap_or_default();
    let functions: Vec<_> = tools.iter().filter_map(|tool| tool.get("function")).collect();
    let hinted = || functions.iter().copied().filter(|function| is_hinted(name_of(function), prompt));
    let mut chosen: Vec<_> = match choice(request.tool_choice.as_ref()) {
        Choice::Never => Vec::new(),
        Choice::Auto => hinted().collect(),
        Choice::Must => match hinted().next() {
            Some(_) => hinted().collect(),
            None => functions.iter().copied().take(1).collect(),
        },
        Choice::Named(name) => {
            functions.iter().copied().filter(|function| name_of(function) == name).collect()
        }
    };
    if request.parallel_tool_calls == Some(false) {
        chosen.truncate(1);
    }
    let call = |(index, function): (usize, &Value)| ToolCall {
        id: format!("call_{id}{index}"),
        name: name_of(function).to_owned(),
        arguments: arguments(function, prompt),
    };
    chosen.into_iter().enumerate().map(call).collect()
}

enum Choice<'a> {
    Never,
    Auto,
    Must,
    Named(&'a str),
}

fn choice(choice: Option<&Value>) -> Choice<'_> {
    match choice {
        Some(Value::String(word)) if word == "none" => Choice::Never,
        Some(Value::String(word)) if word == "required" => Choice::Must,
        Some(object) => match object.pointer("/function/name").and_then(Value::as_str) {
            Some(name) => Choice::Named(name),
            None => Choice::Auto,
        },
        None => Choice::Auto,
    }
}

fn name_of(function: &Value) -> &str {
    function.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// A tool without parameters takes an empty object.
fn arguments(function: &Value, prompt: &str) -> String {
    match function.get("parameters") {
        Some(parameters @ Value::Object(_)) => match schema::fill(parameters, prompt) {
            object @ Value::Object(_) => object.to_string(),
            _ => "{}".to_owned(),
        },
        _ => "{}".to_owned(),
    }
}

fn is_hinted(name: &str, prompt: &str) -> bool {
    let prompt = prompt.to_lowercase();
    let whole = name.to_lowercase();
    if !whole.is_empty() && prompt.contains(&whole) {
        return true;
    }
    let said: Vec<_> = prompt.split(|c: char| !c.is_alphanumeric()).collect();
    words_of(name).iter().any(|word| said.contains(&word.as_str()))
}

/// The words of a name in any spelling: `get_weather`, `get-weather`, `getWeather`.
fn words_of(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && after_lower {
            spaced.push(' ');
        }
        after_lower = c.is_lowercase();
        spaced.extend(c.to_lowercase());
    }
    let words = spaced.split(|c: char| !c.is_alphanumeric());
    let telling = words.filter(|word| word.chars().count() > 2 && !COMMON_WORDS.contains(word));
    telling.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(extra: Value, prompt: &str) -> Vec<String> {
        let mut request = json!({
            "model": "m",
            "messages": [],
            "tools": [
                { "type": "function", "function": { "name": "get_weather", "parameters": {
                    "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } } },
                { "type": "function", "function": { "name": "listFiles" } },
            ],
        });
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let request: ChatRequest = serde_json::from_value(request).unwrap();
        let calls = calls(&request, prompt, "id");
        calls.iter().map(|call| format!("{} {}", call.name, call.arguments)).collect()
    }

    #[test]
    fn a_tool_is_called_when_its_subject_is_mentioned() {
        assert_eq!(names(json!({}), "How is the weather in Rome?"), [r#"get_weather {"city":"Rome"}"#]);
        assert_eq!(names(json!({}), "Use listfiles"), ["listFiles {}"]);
        assert_eq!(names(json!({}), "files, and the weather").len(), 2);
        assert!(names(json!({}), "Get me a coffee").is_empty());
    }

    #[test]
    fn tool_choice_decides() {
        assert!(names(json!({ "tool_choice": "none" }), "weather").is_empty());
        assert_eq!(names(json!({ "tool_choice": "required" }), "hello").len(), 1);
        let named = json!({ "tool_choice": { "type": "function", "function": { "name": "listFiles" } } });
        assert_eq!(names(named, "weather"), ["listFiles {}"]);
        assert_eq!(names(json!({ "parallel_tool_calls": false }), "files, and the weather").len(), 1);
    }
}
