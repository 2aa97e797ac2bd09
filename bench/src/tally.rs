//! Counts what became of requests.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Different wrong outcomes that are kept; what is more is counted as others.
const KEPT: usize = 20;

/// What became of requests of one kind.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How many there were.
    pub requests: u64,
    /// How many did not come to what they should.
    pub wrong: u64,
    /// How often each outcome, right ones too.
    pub outcomes: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one: what it came to, or what was wrong.
    pub fn add(&mut self, done: Result<String, String>) {
        self.requests += 1;
        self.wrong += u64::from(done.is_err());
        self.count(&done.unwrap_or_else(|wrong| wrong), 1);
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.wrong += other.wrong;
        other.outcomes.iter().for_each(|(outcome, times)| self.count(outcome, *times));
    }

    fn count(&mut self, outcome: &str, times: u64) {
        let has_room = self.outcomes.len() < KEPT || self.outcomes.contains_key(outcome);
        let outcome = if has_room { outcome } else { "others" };
        *self.outcomes.entry(outcome.to_owned()).or_default() += times;
    }

    /// The outcomes in one line.
    pub fn line(&self) -> String {
        let outcomes = self.outcomes.iter().map(|(outcome, count)| format!("{count} × {outcome}"));
        outcomes.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_outcomes_are_counted_and_bounded() {
        let mut tally = Tally::default();
        tally.add(Ok("200".into()));
        tally.add(Ok("200".into()));
        for wrong in 0..100 {
            tally.add(Err(format!("wrong {wrong}")));
        }
        assert_eq!((tally.requests, tally.wrong), (102, 100));
        assert_eq!(tally.outcomes.len(), KEPT + 1);
        assert_eq!(tally.outcomes.values().sum::<u64>(), 102);
        assert!(tally.line().starts_with("2 × 200, "));
        let mut both = tally.clone();
        both.merge(&tally);
        assert_eq!((both.requests, both.wrong), (204, 200));
        assert_eq!(both.outcomes.values().sum::<u64>(), 204);
    }
}
