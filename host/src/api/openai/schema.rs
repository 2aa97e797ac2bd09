//! The bodies of requests as JSON Schema: made from the rules that they are checked by.

use airlock_sandbox::Operation;
use serde_json::{Map, Value, json};

use super::{
    fields::{self, required},
    validation::{Form, Kinds, NAME, Rule},
};

/// The body of an operation. What the gateway does not know passes to the backend.
pub(in crate::api) fn request(operation: Operation) -> Value {
    let required = required(operation);
    let properties = fields::of(operation).map(|field| (field.name, field.rule));
    json!({
        "type": "object",
        "required": required,
        "properties": properties_of(properties, required),
        "additionalProperties": true,
    })
}

/// `null` counts as absent.
fn properties_of(
    fields: impl Iterator<Item = (&'static str, Rule)>,
    needs: &[&'static str],
) -> Map<String, Value> {
    let described = fields.map(|(name, rule)| {
        let schema = rule.schema();
        let may_be_null = json!({ "anyOf": [schema, { "type": "null" }] });
        (name.to_owned(), if needs.contains(&name) { schema } else { may_be_null })
    });
    described.collect()
}

impl Rule {
    fn schema(self) -> Value {
        let text = json!({ "type": "string" });
        match self {
            Self::Any => json!({}),
            Self::Bool => json!({ "type": "boolean" }),
            Self::Text => text,
            Self::Chars(min, usize::MAX) => json!({ "type": "string", "minLength": min }),
            Self::Chars(min, max) => json!({ "type": "string", "minLength": min, "maxLength": max }),
            Self::Name => {
                let pattern = format!("^[^\\s\\u0000-\\u001f\\u007f-\\u009f]{{1,{NAME}}}$");
                json!({ "type": "string", "pattern": pattern })
            }
            Self::Int(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Self::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
            Self::OneOf(words) => json!({ "enum": words }),
            Self::Object => json!({ "type": "object" }),
            Self::Fields(form) => form.schema(),
            Self::List(min, max, item) => list(min, max, &item.schema()),
            Self::Map(max, longest, value) => {
                let mut schema = json!({ "type": "object", "additionalProperties": value.schema() });
                if let (true, Some(schema)) = (max < usize::MAX, schema.as_object_mut()) {
                    schema.insert("maxProperties".into(), max.into());
                    schema.insert("propertyNames".into(), json!({ "maxLength": longest }));
                }
                schema
            }
            Self::TextOr(other) => json!({ "anyOf": [text, other.schema()] }),
            Self::Input(max) => {
                let tokens =
                    list(1, usize::MAX, &json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX }));
                json!({ "anyOf": [text, tokens, list(1, max, &text), list(1, max, &tokens)] })
            }
        }
    }
}

fn list(min: usize, max: usize, items: &Value) -> Value {
    match max {
        usize::MAX => json!({ "type": "array", "items": items, "minItems": min }),
        max => json!({ "type": "array", "items": items, "minItems": min, "maxItems": max }),
    }
}

impl Form {
    fn schema(&self) -> Value {
        let mut schema = json!({
            "type": "object",
            "required": self.needs,
            "properties": properties_of(self.fields.iter().copied(), self.needs),
        });
        if let (Some(kinds), Some(schema)) = (&self.kinds, schema.as_object_mut()) {
            schema.insert("anyOf".into(), kinds.schema(self.needs.contains(&kinds.tag)));
        }
        schema
    }
}

impl Kinds {
    /// One alternative for each kind.
    fn schema(&self, is_needed: bool) -> Value {
        let known = self.of.iter().map(|(kind, needs)| {
            let mut properties = Map::from_iter([(self.tag.to_owned(), json!({ "const": kind }))]);
            let there = json!({ "not": { "enum": [null, []] } });
            properties.extend(needs.iter().map(|name| ((*name).to_owned(), there.clone())));
            let required: Vec<&str> = [self.tag].into_iter().chain(needs.iter().copied()).collect();
            json!({ "properties": properties, "required": required })
        });
        let mut all: Vec<Value> = known.collect();
        if self.is_open {
            let others: Vec<&str> = self.names().collect();
            let other = json!({ "type": "string", "not": { "enum": others } });
            all.push(json!({ "properties": { self.tag: other }, "required": [self.tag] }));
        }
        if !is_needed {
            all.push(json!({ "properties": { self.tag: { "type": "null" } } }));
        }
        Value::Array(all)
    }
}
