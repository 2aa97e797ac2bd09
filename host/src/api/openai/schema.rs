//! The bodies of requests as JSON Schema: made from the rules that they are checked by.

use airlock_sandbox::Operation;
use serde_json::{Map, Value, json};

use super::fields::{FIELDS, Field, ROLES, Rule, required};

/// The body of an operation. What the gateway does not know passes to the backend.
pub(in crate::api) fn request(operation: Operation) -> Value {
    let required = required(operation);
    let fields = FIELDS.iter().filter(|field| field.of.contains(&operation));
    let properties = fields.map(|field| {
        let schema = field.rule.schema();
        // `null` counts as absent.
        let may_be_null = json!({ "anyOf": [schema, { "type": "null" }] });
        (field.name.to_owned(), if required.contains(&field.name) { field.required() } else { may_be_null })
    });
    let properties: Map<String, Value> = properties.collect();
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": true })
}

impl Field {
    fn required(&self) -> Value {
        match self.rule {
            Rule::Text => json!({ "type": "string", "minLength": 1 }),
            rule => rule.schema(),
        }
    }
}

impl Rule {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Bool => json!({ "type": "boolean" }),
            Self::Int(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Self::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
            Self::OneOf(words) => json!({ "enum": words }),
            Self::Object => json!({ "type": "object" }),
            Self::Stop => {
                let text = json!({ "type": "string" });
                json!({ "anyOf": [text, { "type": "array", "items": text, "minItems": 1, "maxItems": 4 }] })
            }
            Self::Messages => json!({ "type": "array", "minItems": 1, "items": message() }),
            Self::Input => json!({ "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1 }] }),
            Self::Tools => json!({ "type": "array", "items": tool() }),
            Self::TextOrObject => json!({ "type": ["string", "object"] }),
            Self::StreamOptions => json!({
                "type": "object", "properties": { "include_usage": { "type": ["boolean", "null"] } },
            }),
        }
    }
}

fn message() -> Value {
    json!({
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": { "enum": ROLES },
            "content": { "type": ["string", "array", "null"], "items": { "type": "object" } },
        },
    })
}

fn tool() -> Value {
    let function =
        json!({ "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } });
    json!({
        "type": "object",
        "required": ["type"],
        "properties": { "type": { "type": "string" }, "function": {} },
        "if": { "properties": { "type": { "const": "function" } } },
        "then": { "required": ["function"], "properties": { "function": function } },
    })
}
