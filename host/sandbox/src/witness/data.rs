//! Bytes, in JSON: a text where they are one.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes that JSON shows as a text where they are UTF-8, and as `{"base64": …}` where they are not.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct Data(pub Bytes);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Coded {
    base64: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Coded(Coded),
}

impl Data {
    /// As a text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_text() {
            Some(text) => serializer.serialize_str(text),
            None => Coded { base64: BASE64_STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Ok(Self(text.into())),
            Written::Coded(Coded { base64 }) => {
                BASE64_STANDARD.decode(base64).map(Self::from).map_err(D::Error::custom)
            }
        }
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<Data> for Vec<u8> {
    fn from(data: Data) -> Self {
        data.0.into()
    }
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_whatever_the_bytes_are() {
        for bytes in [&b""[..], b"{\"a\":\"b\"}\n", "grüß".as_bytes(), &[0xff, 0x00, 0x80]] {
            let data = Data::from(bytes.to_vec());
            let written = serde_json::to_string(&data).unwrap();
            assert_eq!(serde_json::from_str::<Data>(&written).unwrap(), data, "{written}");
        }
        assert_eq!(serde_json::to_string(&Data::from(vec![0xff])).unwrap(), r#"{"base64":"/w=="}"#);
        for wrong in [r#"{"base64":"?"}"#, "7", r#"{"base64":"","more":1}"#] {
            assert!(serde_json::from_str::<Data>(wrong).is_err(), "{wrong}");
        }
    }
}
