//! The list of a chat's messages. Those of the client keep their bytes.

use airlock_adaptor::object::Object;
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::serde_json::{self, json, value::RawValue};

/// What tells whose message it is.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Role<'a> {
    #[serde(borrow)]
    role: Option<std::borrow::Cow<'a, str>>,
}

/// The body with a system prompt as its first message, and without others where it `replaces` them.
pub(crate) fn with_prompt(body: &[u8], prompt: &str, replaces: bool) -> Result<Vec<u8>, String> {
    let mut object =
        Object::parse(body).map_err(|error| format!("the body is not a JSON object: {error}"))?;
    // Of several, backends read the last.
    let given =
        object.entries().filter(|(key, _)| *key == "messages").last().map_or("[]", |(_, value)| value);
    let given: Vec<&RawValue> =
        serde_json::from_str(given).map_err(|_| "`messages` is not a list".to_owned())?;
    let own = json!({"role": "system", "content": prompt}).to_string();
    let kept = given.iter().map(|message| message.get()).filter(|message| !(replaces && is_system(message)));
    let messages: Vec<&str> = std::iter::once(own.as_str()).chain(kept).collect();
    let messages = format!("[{}]", messages.join(","));
    object.set("messages", &messages);
    Ok(object.to_vec())
}

fn is_system(message: &str) -> bool {
    let role = serde_json::from_str::<Role<'_>>(message).ok().and_then(|message| message.role);
    role.is_some_and(|role| matches!(&*role, "system" | "developer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(body: &str, replaces: bool) -> String {
        String::from_utf8(with_prompt(body.as_bytes(), "Be \"kind\".", replaces).unwrap()).unwrap()
    }

    #[test]
    fn the_prompt_comes_first_and_the_clients_bytes_stay() {
        let body = r#"{"a":1.50,"messages":[{"role" : "user", "content":"\u00e9"}],"b":{}}"#;
        let expected = r#"{"a":1.50,"messages":[{"content":"Be \"kind\".","role":"system"},{"role" : "user", "content":"\u00e9"}],"b":{}}"#;
        assert_eq!(edited(body, false), expected);
        assert_eq!(edited(body, true), expected);
        let alone = r#"{"messages":[{"content":"Be \"kind\".","role":"system"}]}"#;
        assert_eq!(edited(r#"{"messages":[]}"#, false), alone);
        assert_eq!(edited("{}", false), alone);
    }

    #[test]
    fn the_clients_own_system_messages_go_where_the_operator_says_so() {
        let body =
            r#"{"messages":[{"role":"system","content":"x"},{"role":"dev\u0065loper"},{"role":"user"},7]}"#;
        assert!(edited(body, false).contains("\"x\""));
        let expected = r#"{"messages":[{"content":"Be \"kind\".","role":"system"},{"role":"user"},7]}"#;
        assert_eq!(edited(body, true), expected);
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        for body in ["[]", "{", r#"{"messages":{}}"#, r#"{"messages":"x"}"#] {
            assert!(with_prompt(body.as_bytes(), "x", false).is_err(), "{body}");
        }
    }

    #[test]
    fn the_last_of_several_lists_is_the_one_that_counts() {
        let body = r#"{"messages":[1],"messages":[2]}"#;
        assert_eq!(edited(body, false), r#"{"messages":[{"content":"Be \"kind\".","role":"system"},2]}"#);
    }
}
