//! What is blocked and what is taken out.

use airlock_adaptor::AdaptorError;
use airlock_adaptor::serde::Deserialize;
use regex_lite::{NoExpand, Regex};

use crate::text;

/// The keys of the configuration.
#[derive(Default, Deserialize)]
#[serde(crate = "airlock_adaptor::serde", default)]
pub(crate) struct Settings {
    prompt_block: Vec<String>,
    prompt_redact: Vec<String>,
    prompt_redaction: Option<String>,
}

/// The expressions, ready.
#[derive(Debug)]
pub(crate) struct Policy {
    block: Vec<Regex>,
    redact: Vec<Regex>,
    redaction: String,
}

/// What is to be done with a body; one that is blocked is an error.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It may go as it is.
    Fine,
    /// It may go like this.
    Changed(Vec<u8>),
}

impl Policy {
    pub(crate) fn new(settings: Settings) -> Result<Self, AdaptorError> {
        if settings.prompt_block.is_empty() && settings.prompt_redact.is_empty() {
            let why = "is missing, and so is `prompt_redact`: name expressions in one of them";
            return Err(AdaptorError::invalid_config("prompt_block", why));
        }
        Ok(Self {
            block: compile("prompt_block", &settings.prompt_block)?,
            redact: compile("prompt_redact", &settings.prompt_redact)?,
            redaction: settings.prompt_redaction.unwrap_or_else(|| "[redacted]".to_owned()),
        })
    }

    /// Blocks by what the client wrote, then takes out.
    pub(crate) fn judge(&self, body: &[u8]) -> Result<Verdict, AdaptorError> {
        let unreadable = || AdaptorError::bad_request("invalid_json", "the body is not JSON");
        let body = std::str::from_utf8(body).map_err(|_| unreadable())?;
        let mut blocked = false;
        let changed = text::edit(body, |text| {
            blocked |= self.block.iter().any(|expression| expression.is_match(text));
            self.redacted(text)
        })
        .ok_or_else(unreadable)?;
        if blocked {
            // Which expression it was is not the client's business.
            let message = "the prompt is against the rules of this endpoint, and was not sent";
            return Err(AdaptorError::bad_request("prompt_blocked", message));
        }
        Ok(changed.map_or(Verdict::Fine, |body| Verdict::Changed(body.into_bytes())))
    }

    /// The text with every match replaced, if there is one.
    fn redacted(&self, text: &str) -> Option<String> {
        let mut changed = None;
        for expression in &self.redact {
            let now: &str = changed.as_deref().unwrap_or(text);
            if expression.is_match(now) {
                changed = Some(expression.replace_all(now, NoExpand(&self.redaction)).into_owned());
            }
        }
        changed
    }
}

fn compile(key: &str, expressions: &[String]) -> Result<Vec<Regex>, AdaptorError> {
    let one = |expression: &String| {
        Regex::new(expression).map_err(|error| {
            AdaptorError::invalid_config(key, format!("{expression:?} is no regular expression: {error}"))
        })
    };
    expressions.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(block: &[&str], redact: &[&str]) -> Result<Policy, AdaptorError> {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let settings =
            Settings { prompt_block: owned(block), prompt_redact: owned(redact), prompt_redaction: None };
        Policy::new(settings)
    }

    #[test]
    fn a_match_is_blocked_wherever_it_stands() {
        let policy = policy(&["(?i)project\\s+x"], &[]).unwrap();
        for body in [
            r#"{"messages":[{"role":"user","content":"tell me of Project  X"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"project x"}]}]}"#,
            r#"{"prompt":["fine","pr\u006fject x"]}"#,
            r#"{"input":"project x"}"#,
            r#"{"input":[{"role":"user"},"project x"]}"#,
            r#"{"input":"project x","input":"fine"}"#,
            r#"{"tools":[{"function":{"description":"project x"}}]}"#,
        ] {
            let error = policy.judge(body.as_bytes()).unwrap_err();
            assert_eq!((error.status, error.code.as_str()), (400, "prompt_blocked"), "{body}");
            assert!(!error.message.contains("project"), "{}", error.message);
        }
        for body in [r#"{"prompt":"project y"}"#, r#"{"model":"project x","prompt":"a"}"#] {
            assert_eq!(policy.judge(body.as_bytes()).unwrap(), Verdict::Fine, "{body}");
        }
    }

    #[test]
    fn matches_are_taken_out_and_the_rest_keeps_its_bytes() {
        let policy = policy(&[], &["[0-9]{3}-[0-9]{2}", "(?i)alice"]).unwrap();
        let body = r#"{"n":1.50, "messages":[{"role":"user","content":"Alice: \"123-45\"\n$1"}],"seed":123}"#;
        let expected = r#"{"n":1.50, "messages":[{"role":"user","content":"[redacted]: \"[redacted]\"\n$1"}],"seed":123}"#;
        let Verdict::Changed(changed) = policy.judge(body.as_bytes()).unwrap() else { panic!("unchanged") };
        assert_eq!(String::from_utf8(changed).unwrap(), expected);
        assert_eq!(policy.judge(br#"{"prompt":"bob"}"#).unwrap(), Verdict::Fine);
    }

    #[test]
    fn what_is_blocked_is_what_the_client_wrote() {
        let error = policy(&["secret"], &["secret"]).unwrap().judge(br#"{"prompt":"secret"}"#).unwrap_err();
        assert_eq!(error.code, "prompt_blocked");
    }

    #[test]
    fn mistakes_of_the_operator_name_their_key() {
        let broken = policy(&[], &["("]).unwrap_err();
        assert!(
            broken.message.starts_with("config key `prompt_redact`: \"(\" is no regular"),
            "{}",
            broken.message
        );
        let none = policy(&[], &[]).unwrap_err();
        assert!(none.message.starts_with("config key `prompt_block`: is missing"), "{}", none.message);
    }
}
