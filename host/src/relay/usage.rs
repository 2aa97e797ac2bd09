//! Token counts inside JSON that is otherwise left alone.

use serde::{Deserialize, de::IgnoredAny};

use crate::ledger::Usage;

/// What is read of an answer or a chunk.
#[derive(Deserialize)]
pub(super) struct Glimpse {
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    #[serde(default)]
    choices: Option<Vec<IgnoredAny>>,
}

/// The counts of a member `usage`, from its colon on; none of nothing, and of `null`.
pub(super) fn parse_usage(member: &[u8]) -> Result<Option<Usage>, serde_json::Error> {
    member.strip_prefix(b":").map_or(Ok(None), serde_json::from_slice)
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
