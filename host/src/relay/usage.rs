//! Token counts, and what else is read of JSON that is otherwise left alone.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::ledger::Usage;

/// Token counts in all the words that the APIs have for them. What comes later in a stream adds to what came before:
/// Anthropic's first event counts the prompt, a later one the answer.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    /// Anthropic's `input_tokens` leaves out what went into its cache, and what came from there.
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

impl Counts {
    /// These, and of `before` what they do not say.
    pub(super) fn after(self, before: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.or(before.prompt_tokens),
            completion_tokens: self.completion_tokens.or(before.completion_tokens),
            input_tokens: self.input_tokens.or(before.input_tokens),
            output_tokens: self.output_tokens.or(before.output_tokens),
            total_tokens: self.total_tokens.or(before.total_tokens),
            cache_creation_input_tokens: self
                .cache_creation_input_tokens
                .or(before.cache_creation_input_tokens),
            cache_read_input_tokens: self.cache_read_input_tokens.or(before.cache_read_input_tokens),
        }
    }

    pub(super) fn usage(self) -> Usage {
        let cached = [self.cache_creation_input_tokens, self.cache_read_input_tokens];
        let input = cached.into_iter().flatten().fold(self.input_tokens.unwrap_or(0), u64::saturating_add);
        let prompt_tokens = self.prompt_tokens.unwrap_or(input);
        let completion_tokens = self.completion_tokens.or(self.output_tokens).unwrap_or(0);
        let total_tokens =
            self.total_tokens.unwrap_or_else(|| prompt_tokens.saturating_add(completion_tokens));
        Usage { prompt_tokens, completion_tokens, total_tokens }
    }
}

/// What is read of a chunk.
#[derive(Deserialize)]
pub(super) struct Glimpse {
    #[serde(default)]
    pub(super) usage: Option<Counts>,
    #[serde(default)]
    choices: Option<Vec<IgnoredAny>>,
}

/// The counts of a member `usage`, from its colon on; none of nothing, and of `null`.
pub(super) fn parse_usage(member: &[u8]) -> Result<Option<Usage>, serde_json::Error> {
    let counts: Option<Counts> = member.strip_prefix(b":").map_or(Ok(None), serde_json::from_slice)?;
    Ok(counts.map(Counts::usage))
}

impl Glimpse {
    /// Reads a whole JSON object; the error is serde's, for one that is malformed.
    pub(super) fn of(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The extra chunk that `stream_options.include_usage` asks for: usage, and no choices.
    pub(super) fn is_usage_only(&self) -> bool {
        self.usage.is_some() && self.choices.as_ref().is_some_and(Vec::is_empty)
    }
}

/// What is read of an event that has a name. Both APIs that name their events have the name in the JSON too, as `type`.
pub(super) struct NamedGlimpse {
    pub(super) name: String,
    pub(super) counts: Option<Counts>,
}

impl NamedGlimpse {
    /// Reads a whole JSON object; the error is serde's, for one that is malformed or has no `type`.
    pub(super) fn of(json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Event<'a> {
            r#type: String,
            usage: Option<Counts>,
            /// What is complete, with its usage.
            #[serde(borrow)]
            response: Option<&'a RawValue>,
            /// What begins, with its usage; in an error, text.
            #[serde(borrow)]
            message: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Part {
            usage: Option<Counts>,
        }
        let event: Event<'_> = serde_json::from_slice(json)?;
        let inside = |part: Option<&RawValue>| serde_json::from_str::<Part>(part?.get()).ok()?.usage;
        let counts = event.usage.or_else(|| inside(event.response)).or_else(|| inside(event.message));
        Ok(Self { name: event.r#type, counts })
    }
}

/// The `sequence_number` for an event that follows these.
pub(super) fn next_number(events: &[u8]) -> u64 {
    const KEY: &[u8] = b"\"sequence_number\":";
    let last = memchr::memmem::rfind(events, KEY).and_then(|at| events.get(at + KEY.len()..));
    let digits = last.map(<[u8]>::trim_ascii_start).unwrap_or_default().iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit()).map(|byte| u64::from(byte - b'0'));
    let number = digits.fold(None::<u64>, |number, digit| {
        Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit))
    });
    number.map_or(0, |number| number.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_in_the_words_of_each_api() {
        for (member, expected) in [
            (r#":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#, (3, 4, 7)),
            (r#":{"input_tokens":3,"output_tokens":4,"total_tokens":7,"x":{}}"#, (3, 4, 7)),
            (r#":{"input_tokens":3,"output_tokens":4}"#, (3, 4, 7)),
            (
                r#":{"input_tokens":3,"cache_read_input_tokens":5,"cache_creation_input_tokens":2,"output_tokens":1}"#,
                (10, 1, 11),
            ),
            (r#":{"total_tokens":7}"#, (0, 0, 7)),
        ] {
            let usage = parse_usage(member.as_bytes()).unwrap().unwrap();
            assert_eq!(
                (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
                expected,
                "{member}"
            );
        }
    }

    #[test]
    fn a_named_event_is_understood_wherever_its_usage_is() {
        for (json, name, total) in [
            (r#"{"type":"a","usage":{"output_tokens":1}}"#, "a", Some(1)),
            (
                r#"{"type":"b","response":{"id":"x","usage":{"input_tokens":2,"output_tokens":1}}}"#,
                "b",
                Some(3),
            ),
            (r#"{"message":{"usage":{"input_tokens":2}},"type":"c"}"#, "c", Some(2)),
            (r#"{"type":"error","message":"text","code":null}"#, "error", None),
        ] {
            let glimpse = NamedGlimpse::of(json.as_bytes()).unwrap();
            assert_eq!(
                (&*glimpse.name, glimpse.counts.map(|c| c.usage().total_tokens)),
                (name, total),
                "{json}"
            );
        }
        assert!(NamedGlimpse::of(b"{}").is_err());
    }

    #[test]
    fn the_number_after_the_last_event_is_told() {
        let events =
            br#"data: {"sequence_number":3}data: {"delta":"\"sequence_number\":99","sequence_number": 41}"#;
        assert_eq!(next_number(events), 42);
        assert_eq!(next_number(b"data: {}"), 0);
    }
}
