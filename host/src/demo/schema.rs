//! A value that fits a JSON schema: arguments of a tool call, and answers in a given form.
//!
//! It knows what tools and structured answers use: types, `properties`, `required`, `enum`, `const`,
//! `default`, references, `anyOf`/`oneOf`/`allOf`, bounds of numbers, lengths and common formats.
//! It does not know `pattern`; a string for one is a guess.

use serde_json::{Map, Value, json};

/// A schema that refers to itself ends here.
const DEEPEST: usize = 12;
/// Optional properties are filled only this deep, so that an answer stays readable.
const OPTIONAL_DEPTH: usize = 3;
/// The longest list made for `minItems`.
const LONGEST_LIST: u64 = 64;
/// The longest string that is taken from a prompt.
const LONGEST_STRING: usize = 60;

/// A value that fits the schema, with strings and numbers taken from the prompt where they fit.
pub(super) fn fill(schema: &Value, prompt: &str) -> Value {
    Filler { root: schema, prompt }.value(schema, 0)
}

struct Filler<'a> {
    root: &'a Value,
    prompt: &'a str,
}

impl<'a> Filler<'a> {
    fn value(&self, schema: &'a Value, depth: usize) -> Value {
        if depth > DEEPEST {
            return Value::Null;
        }
        if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
            return value.clone();
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            return self.one_of(values);
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|path| self.root.pointer(path));
            return target.map_or(Value::Null, |target| self.value(target, depth + 1));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(Value::Array(branches)) = schema.get(key) {
                let not_null = branches.iter().find(|branch| type_of(branch) != Some("null"));
                return not_null.map_or(Value::Null, |branch| self.value(branch, depth + 1));
            }
        }
        if let Some([only]) = schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice)
            && schema.get("properties").is_none()
        {
            return self.value(only, depth + 1);
        }
        match type_of(schema).unwrap_or_else(|| guess_type(schema)) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => self.integer(schema),
            "number" => self.number(schema),
            "boolean" => json!(true),
            "null" => Value::Null,
            _ => Value::String(self.string(schema)),
        }
    }

    /// The first allowed value that the prompt mentions, or else the first one.
    fn one_of(&self, values: &[Value]) -> Value {
        let prompt = self.prompt.to_lowercase();
        let said = |value: &&Value| match value {
            Value::String(text) => !text.is_empty() && prompt.contains(&text.to_lowercase()),
            _ => false,
        };
        values.iter().find(said).or_else(|| values.first()).cloned().unwrap_or_default()
    }

    fn object(&self, schema: &'a Value, depth: usize) -> Value {
        let mut object = Map::new();
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            if let Value::Object(more) = self.value(part, depth + 1) {
                object.extend(more);
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        let wanted = |name: &str| match required {
            Some(names) => names.iter().any(|required| required.as_str() == Some(name)),
            None => depth < OPTIONAL_DEPTH,
        };
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if wanted(name) {
                object.insert(name.clone(), self.value(property, depth + 1));
            }
        }
        // A name may be required without being described.
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            object.entry(name).or_insert_with(|| json!(self.phrase()));
        }
        Value::Object(object)
    }

    fn array(&self, schema: &'a Value, depth: usize) -> Value {
        let limit = |key| schema.get(key).and_then(Value::as_u64);
        let length = limit("minItems").unwrap_or(1).max(1).min(limit("maxItems").unwrap_or(LONGEST_LIST));
        let item = schema.get("items").unwrap_or(&Value::Null);
        (0..length.min(LONGEST_LIST)).map(|_| self.value(item, depth + 1)).collect()
    }

    fn integer(&self, schema: &Value) -> Value {
        let (low, high) = bounds(schema);
        let step =
            schema.get("multipleOf").and_then(Value::as_f64).filter(|step| *step >= 1.0).unwrap_or(1.0);
        let said = self.numbers().find(|n| n.fract() == 0.0 && *n % step == 0.0 && *n >= low && *n <= high);
        let number = said.unwrap_or_else(|| near_one(low, high, step));
        // Whole numbers must be written without a fraction; beyond the range of i64 the cast saturates.
        json!(number as i64)
    }

    fn number(&self, schema: &Value) -> Value {
        let (low, high) = bounds(schema);
        let said = self.numbers().find(|n| *n >= low && *n <= high);
        json!(said.unwrap_or_else(|| if low <= 1.0 && high >= 1.0 { 1.0 } else { low.max(high.min(1.0)) }))
    }

    fn string(&self, schema: &Value) -> String {
        let known = match schema.get("format").and_then(Value::as_str) {
            Some("date") => "2026-01-01",
            Some("date-time") => "2026-01-01T12:00:00Z",
            Some("time") => "12:00:00Z",
            Some("duration") => "PT1H",
            Some("email") => "someone@example.org",
            Some("hostname") => "example.org",
            Some("ipv4") => "192.0.2.1",
            Some("ipv6") => "2001:db8::1",
            Some("uri" | "url") => "https://example.org/",
            Some("uuid") => "00000000-0000-4000-8000-000000000000",
            _ => "",
        };
        if !known.is_empty() {
            return known.to_owned();
        }
        let limit = |key| schema.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let mut text: String = self.phrase().chars().take(limit("maxLength").unwrap_or(usize::MAX)).collect();
        let missing = limit("minLength").unwrap_or(0).min(4096).saturating_sub(text.chars().count());
        text.extend(std::iter::repeat_n('x', missing));
        text
    }

    /// What a string is made of: the last name in the prompt (a capital letter inside a sentence),
    /// because “the weather in Paris” should ask for Paris, or else the prompt's beginning.
    fn phrase(&self) -> String {
        let words = self.prompt.split_whitespace().zip(self.prompt.split_whitespace().skip(1));
        let inside = words.filter(|(before, _)| !before.ends_with(['.', '?', '!', ':']));
        let bare = inside.map(|(_, word)| word.trim_matches(|c: char| !c.is_alphanumeric()));
        let names = bare.filter(|word| word.len() > 1 && word.starts_with(char::is_uppercase));
        match names.last() {
            Some(name) => name.chars().take(LONGEST_STRING).collect(),
            None => self.prompt.trim().chars().take(LONGEST_STRING).collect(),
        }
    }

    fn numbers(&self) -> impl Iterator<Item = f64> {
        let words = self.prompt.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'));
        words.filter_map(|word| word.trim_end_matches('.').parse().ok())
    }
}

/// The schema's type; of several, the first that is not null.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        name => name.as_str(),
    }
}

fn guess_type(schema: &Value) -> &'static str {
    let has = |key| schema.get(key).is_some();
    if has("properties") || has("required") || has("allOf") {
        "object"
    } else if has("items") {
        "array"
    } else {
        "string"
    }
}

/// The smallest and the largest allowed number. An exclusive bound moves in by one, or by a bit if
/// there is no room for that.
fn bounds(schema: &Value) -> (f64, f64) {
    let get = |key| schema.get(key).and_then(Value::as_f64);
    let (above, below) = (get("exclusiveMinimum"), get("exclusiveMaximum"));
    let (low, high) = (get("minimum").or(above), get("maximum").or(below));
    let (low, high) = (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY));
    let gap = if high - low < 2.0 { (high - low) / 4.0 } else { 1.0 };
    let inside = |open: Option<f64>, bound: f64| if open == Some(bound) { gap } else { 0.0 };
    (low + inside(above, low), high - inside(below, high))
}

/// The multiple of `step` within the bounds that is nearest to the first one above zero.
fn near_one(low: f64, high: f64, step: f64) -> f64 {
    if step < low {
        (low / step).ceil() * step
    } else if step > high {
        (high / step).floor() * step
    } else {
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_properties_are_filled_and_optional_ones_left_out() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": { "type": "string" },
                "unit": { "type": "string", "enum": ["celsius", "fahrenheit"] },
                "days": { "type": "integer", "minimum": 2, "maximum": 7 },
                "exact": { "type": "boolean" },
                "note": { "type": "string" },
            },
            "required": ["city", "unit", "days", "exact"],
        });
        assert_eq!(
            fill(&schema, "What is the weather in Paris for 3 days, in Fahrenheit? Tell me."),
            json!({ "city": "Fahrenheit", "unit": "fahrenheit", "days": 3, "exact": true })
        );
        assert_eq!(
            fill(&schema, "weather in Paris?"),
            json!({ "city": "Paris", "unit": "celsius", "days": 2, "exact": true })
        );
    }

    #[test]
    fn references_and_branches_are_followed_and_recursion_ends() {
        let schema = json!({
            "$defs": { "node": {
                "type": "object",
                "properties": {
                    "name": { "type": ["null", "string"] },
                    "next": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/node" }] },
                },
            } },
            "$ref": "#/$defs/node",
        });
        let value = fill(&schema, "hello");
        assert_eq!(value.pointer("/name"), Some(&json!("hello")));
        assert!(value.to_string().len() < 1000);
    }

    #[test]
    fn all_of_joins_its_parts() {
        let schema = json!({ "allOf": [{ "enum": ["a", "b"] }] });
        assert_eq!(fill(&schema, ""), json!("a"));
        let part = |name: &str| json!({ "properties": { name: { "type": "boolean" } } });
        let schema = json!({ "allOf": [part("x"), part("y")] });
        assert_eq!(fill(&schema, ""), json!({ "x": true, "y": true }));
    }

    #[test]
    fn numbers_keep_their_bounds() {
        assert_eq!(fill(&json!({ "type": "integer", "multipleOf": 5, "minimum": 12 }), ""), json!(15));
        assert_eq!(fill(&json!({ "type": "integer", "maximum": -3 }), "7"), json!(-3));
        assert_eq!(fill(&json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 0.5 }), ""), json!(0.5));
        assert_eq!(
            fill(&json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 }), ""),
            json!(0.75)
        );
        assert_eq!(fill(&json!({ "type": "number", "maximum": 1.5 }), "0.25 of it"), json!(0.25));
    }

    #[test]
    fn strings_and_lists_keep_their_lengths() {
        assert_eq!(fill(&json!({ "type": "string", "maxLength": 3 }), "hello"), json!("hel"));
        assert_eq!(fill(&json!({ "type": "string", "minLength": 7 }), "hello"), json!("helloxx"));
        assert_eq!(fill(&json!({ "items": { "type": "boolean" }, "minItems": 2 }), ""), json!([true, true]));
        assert_eq!(fill(&json!({ "type": "array", "maxItems": 0 }), ""), json!([]));
        assert_eq!(fill(&json!({ "type": "string", "format": "date" }), "hello"), json!("2026-01-01"));
    }
}
