//! Edits of a JSON object at its top level. What is below stays the client's text, byte for byte: a
//! backend puts a tool's schema into the prompt, so even the order of its keys matters.
//!
//! ```
//! use airlock_adaptor::object::Object;
//!
//! let mut object = Object::parse(br#"{"messages": [{"role" : "user"}], "seed": 1}"#)?;
//! object.set("temperature", "0");
//! object.remove("seed");
//! assert_eq!(object.to_json(), r#"{"messages":[{"role" : "user"}],"temperature":0}"#);
//! # Ok::<(), airlock_adaptor::serde_json::Error>(())
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON object: its keys, and each value as text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Object<'a> {
    entries: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Object<'a> {
    /// Reads an object. Values are checked to be JSON and not looked into.
    pub fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Keys and the text of their values, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// Puts a value, given as JSON text, under a key: in the place of the first one of that name, or
    /// at the end. Repeated keys go, so that no reader can prefer another one.
    pub fn set(&mut self, key: &str, json: &str) {
        let Some(first) = self.entries.iter().position(|(name, _)| name == key) else {
            self.entries.push((Cow::Owned(key.to_owned()), Cow::Owned(json.to_owned())));
            return;
        };
        let mut at = 0;
        self.entries.retain(|(name, _)| {
            at += 1;
            name != key || at == first + 1
        });
        if let Some((_, value)) = self.entries.get_mut(first) {
            *value = Cow::Owned(json.to_owned());
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) {
        self.entries.retain(|(name, _)| name != key);
    }

    /// The object as JSON text.
    pub fn to_json(&self) -> String {
        let length = self.entries.iter().map(|(key, value)| key.len() + value.len() + 4).sum::<usize>();
        let mut text = String::with_capacity(length + 2);
        text.push('{');
        for (at, (key, value)) in self.entries.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(&serde_json::Value::from(key.as_ref()).to_string());
            text.push(':');
            text.push_str(value);
        }
        text.push('}');
        text
    }

    /// The same as bytes, for a body.
    pub fn to_vec(&self) -> Vec<u8> {
        self.to_json().into_bytes()
    }
}

/// The object as JSON text.
impl fmt::Display for Object<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_json())
    }
}

/// A key, borrowed from the text where it holds no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// Collects the entries of an object.
struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            entries.push((key, Cow::Borrowed(value.get())));
        }
        Ok(Object { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, edit: impl FnOnce(&mut Object<'_>)) -> String {
        let mut object = Object::parse(text.as_bytes()).unwrap();
        edit(&mut object);
        String::from_utf8(object.to_vec()).unwrap()
    }

    #[test]
    fn what_is_below_the_top_level_keeps_its_bytes() {
        let text = r#"{"z":1.50, "a":{"b" : [1,  2], "A":"\u00e9"},"model":"x"}"#;
        let expected = r#"{"z":1.50,"a":{"b" : [1,  2], "A":"\u00e9"},"model":"y"}"#;
        assert_eq!(edited(text, |object| object.set("model", r#""y""#)), expected);
    }

    #[test]
    fn a_key_is_replaced_added_or_removed() {
        assert_eq!(edited(r#"{"a":1}"#, |object| object.set("b", "[2]")), r#"{"a":1,"b":[2]}"#);
        assert_eq!(edited(r#"{"a":1,"b":2,"a":3}"#, |object| object.remove("a")), r#"{"b":2}"#);
        assert_eq!(
            edited(r#"{"b":2,"a":1,"c":0,"a":3}"#, |object| object.set("a", "9")),
            r#"{"b":2,"a":9,"c":0}"#
        );
        assert_eq!(edited("{}", |_| ()), "{}");
        assert_eq!(Object::parse(br#"{"a" : "\u00e9"}"#).unwrap().to_string(), r#"{"a":"\u00e9"}"#);
    }

    #[test]
    fn an_escaped_key_is_the_key_it_stands_for() {
        assert_eq!(edited(r#"{"mod\u0065l":1}"#, |object| object.set("model", "2")), r#"{"model":2}"#);
        assert_eq!(edited(r#"{"a\"b":1}"#, |object| object.set("c", "2")), r#"{"a\"b":1,"c":2}"#);
    }

    #[test]
    fn anything_but_an_object_is_refused() {
        for text in ["[]", "1", "{", "{\"a\":}", "", "{} x"] {
            assert!(Object::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
