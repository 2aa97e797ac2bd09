//! `[routing]`: which endpoints are asked, and when others are asked in their place.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `[routing]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoutingSection {
    /// Failures in a row after which an endpoint rests.
    pub failures: u32,
    /// The first rest, in seconds; each further one without a success between is twice as long.
    pub rest_seconds: u64,
    /// The longest, in seconds.
    pub longest_rest_seconds: u64,
    /// The share of requests that may be asked again elsewhere, from 0 to 1.
    pub retry_ratio: f64,
    /// So many more at once, after a time without any.
    pub retry_burst: u64,
    /// Whether requests of a session are sent to the same endpoint.
    pub affinity: Affinity,
    /// How often clusters are asked which models run, in seconds, where that decides who is asked. 0: never.
    pub state_seconds: u64,
}

/// What makes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Affinity {
    /// Nothing.
    Off,
    /// What the client says, else its user.
    Session,
}

impl Default for RoutingSection {
    fn default() -> Self {
        Self {
            failures: 3,
            rest_seconds: 5,
            longest_rest_seconds: 60,
            retry_ratio: 0.2,
            retry_burst: 100,
            affinity: Affinity::Off,
            state_seconds: 15,
        }
    }
}

impl RoutingSection {
    pub(super) fn check(&self) -> Result<(), String> {
        let rules = [
            (self.failures == 0, "routing.failures must be at least 1"),
            (self.rest_seconds == 0, "routing.rest_seconds must be at least 1"),
            (
                self.longest_rest_seconds < self.rest_seconds,
                "routing.longest_rest_seconds must not be below routing.rest_seconds",
            ),
            (self.longest_rest_seconds > 3600, "routing.longest_rest_seconds must not be above 3600"),
            (!(0.0..=1.0).contains(&self.retry_ratio), "routing.retry_ratio must be from 0 to 1"),
            (self.retry_burst > 1_000_000, "routing.retry_burst must not be above 1000000"),
        ];
        rules.iter().find(|(broken, _)| *broken).map_or(Ok(()), |(_, rule)| Err((*rule).to_owned()))
    }

    /// The share of requests that may be asked again elsewhere, in thousandths.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1")]
    pub fn retries_per_mille(&self) -> u64 {
        (self.retry_ratio * 1000.0).round() as u64
    }

    /// The first rest, and the longest.
    pub fn rests(&self) -> (Duration, Duration) {
        (Duration::from_secs(self.rest_seconds), Duration::from_secs(self.longest_rest_seconds))
    }

    /// How often clusters are asked which models run.
    pub fn state_period(&self) -> Option<Duration> {
        (self.state_seconds > 0).then(|| Duration::from_secs(self.state_seconds))
    }
}
