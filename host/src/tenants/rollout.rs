//! Which versions of an uploaded adaptor get tasks, and when a version is taken back.

use airlock_sandbox::Health;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A version is judged once so many of its calls have failed by its own fault …
const MIN_FAULTS: u64 = 5;
/// … and taken back where they are at least so many of a hundred.
const MAX_FAULT_PERCENT: u64 = 20;
/// How long after a version went live it may be taken back without a person, in seconds.
const PROBATION: i64 = 600;

/// What is stored of an adaptor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The digest of the version that tasks go to.
    pub live: String,
    /// The one before it, to go back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// A version on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Trial>,
    /// When this was decided, in Unix seconds.
    pub since: i64,
}

/// A version on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Its digest.
    pub version: String,
    /// How many of a hundred tasks it gets.
    pub percent: u8,
}

/// A change of a rollout that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RolloutError {
    /// There is no version to go back to.
    #[error("there is no earlier version to go back to")]
    NothingBefore,
    /// A trial beside nothing.
    #[error("a trial gets 1 to 99 of a hundred tasks; with 100 the version goes live")]
    Percent,
}

impl Rollout {
    /// The first version of an adaptor.
    pub fn first(version: &str, now: i64) -> Self {
        Self { live: version.to_owned(), since: now, ..Self::default() }
    }

    /// All tasks go to this version from now on.
    #[must_use]
    pub fn go_live(&self, version: &str, now: i64) -> Self {
        if self.live == version {
            // What was live already stays what can be gone back from.
            return Self { canary: None, since: now, ..self.clone() };
        }
        Self { live: version.to_owned(), previous: Some(self.live.clone()), canary: None, since: now }
    }

    /// So many of a hundred tasks go to this version.
    pub fn try_out(&self, version: &str, percent: u8, now: i64) -> Result<Self, RolloutError> {
        if !(1..100).contains(&percent) {
            return Err(RolloutError::Percent);
        }
        let canary = Some(Trial { version: version.to_owned(), percent });
        Ok(Self { canary, since: now, ..self.clone() })
    }

    /// Ends a trial; without one, goes back to the version before.
    pub fn roll_back(&self, now: i64) -> Result<Self, RolloutError> {
        if self.canary.is_some() {
            return Ok(Self { canary: None, since: now, ..self.clone() });
        }
        let previous = self.previous.clone().ok_or(RolloutError::NothingBefore)?;
        Ok(Self { live: previous, previous: None, canary: None, since: now })
    }

    /// The version that a person's decision brought, which is the one that is judged.
    pub fn newest(&self) -> &str {
        self.canary.as_ref().map_or(&self.live, |trial| &trial.version)
    }

    /// Whether the newest version is to be taken back, by what its calls came to.
    pub fn is_failing(&self, newest: &Health, now: i64) -> bool {
        let can_go_back = self.canary.is_some() || self.previous.is_some();
        let is_on_probation = self.canary.is_some() || now.saturating_sub(self.since) < PROBATION;
        let (calls, faults) = (newest.calls().max(1), newest.faults());
        can_go_back
            && is_on_probation
            && faults >= MIN_FAULTS
            && faults.saturating_mul(100) >= calls.saturating_mul(MAX_FAULT_PERCENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_go_live_and_back() {
        let one = Rollout::first("a", 1);
        assert_eq!(one.roll_back(2), Err(RolloutError::NothingBefore));
        let two = one.go_live("b", 2);
        assert_eq!((two.live.as_str(), two.previous.as_deref()), ("b", Some("a")));
        assert_eq!(two.go_live("b", 3).previous.as_deref(), Some("a"), "twice is once");
        let back = two.roll_back(3).unwrap();
        assert_eq!((back.live.as_str(), back.previous.as_deref()), ("a", None));

        let trial = two.try_out("c", 10, 4).unwrap();
        assert_eq!((trial.live.as_str(), trial.newest()), ("b", "c"));
        assert_eq!(trial.roll_back(5).unwrap(), Rollout { since: 5, ..two.clone() });
        assert_eq!(trial.go_live("c", 5).previous.as_deref(), Some("b"));
        for percent in [0, 100, 200] {
            assert_eq!(two.try_out("c", percent, 4), Err(RolloutError::Percent));
        }
    }
}
