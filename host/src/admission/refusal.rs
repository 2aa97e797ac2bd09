//! Why a request is not let on.

use std::time::Duration;

use super::account::{Kind, Short};

/// Why a request is not let on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A limit is reached; it can come again after a while.
    #[error("Rate limit reached for {whose}: {limit} {} at most. Try again in {}.", .kind.words(), go_duration(*.wait))]
    Rate {
        /// Which limit.
        kind: Kind,
        /// Whose it is.
        whose: &'static str,
        /// How much that is.
        limit: u64,
        /// When to come again.
        wait: Duration,
    },
    /// The tokens of the day are used up.
    #[error("The tokens of this day (UTC) are used up for {whose}: {limit} at most. It ends at 00:00 UTC.")]
    UsedUp {
        /// Whose they are.
        whose: &'static str,
        /// How many there are.
        limit: u64,
    },
    /// The body is larger than the endpoint takes.
    #[error("The request body is larger than {0} bytes, which is the limit.")]
    Body(u64),
    /// What counts cannot be reached, and nothing is let on meanwhile.
    #[error("It cannot be told at the moment whether a limit is reached. Try again.")]
    Unavailable,
}

impl Refusal {
    /// All labels.
    pub(super) const LABELS: [&'static str; 7] = [
        Kind::RequestsPerSecond.label(),
        Kind::RequestsPerMinute.label(),
        Kind::TokensPerMinute.label(),
        Kind::TokensPerDay.label(),
        Kind::Concurrent.label(),
        "body",
        "unavailable",
    ];

    /// As metrics have it.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Rate { kind, .. } => kind.label(),
            Self::UsedUp { .. } => Kind::TokensPerDay.label(),
            Self::Body(_) => "body",
            Self::Unavailable => "unavailable",
        }
    }

    /// When it may be different; the first of several that come to nothing is worth telling.
    pub(super) fn wait(&self) -> Duration {
        match self {
            Self::Rate { wait, .. } => *wait,
            Self::Unavailable => Duration::from_secs(1),
            Self::UsedUp { .. } | Self::Body(_) => Duration::MAX,
        }
    }
}

impl From<Short> for Refusal {
    fn from(short: Short) -> Self {
        let (kind, whose, limit) = (short.account.kind, short.account.whose.words(), short.limit);
        short.wait.map_or(Self::UsedUp { whose, limit }, |wait| Self::Rate { kind, whose, limit, wait })
    }
}

/// As OpenAI writes durations, and Go does: `12ms`, `1.5s`, `6m0s`.
pub fn go_duration(duration: Duration) -> String {
    let all = duration.as_millis();
    if all < 1_000 {
        return format!("{all}ms");
    }
    let (whole, rest) = (all / 1_000, all % 1_000);
    let (hours, minutes, seconds) = (whole / 3_600, whole / 60 % 60, whole % 60);
    let fraction =
        if rest == 0 { String::new() } else { format!(".{rest:03}").trim_end_matches('0').to_owned() };
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        for (ms, text) in [
            (0, "0ms"),
            (12, "12ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (59_001, "59.001s"),
            (360_000, "6m0s"),
            (3_723_040, "1h2m3.04s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn every_refusal_is_counted_under_a_label() {
        let rate = |kind| Refusal::Rate { kind, whose: "", limit: 1, wait: Duration::ZERO };
        let kinds =
            [Kind::RequestsPerSecond, Kind::RequestsPerMinute, Kind::TokensPerMinute, Kind::Concurrent];
        let others = [Refusal::UsedUp { whose: "", limit: 1 }, Refusal::Body(1), Refusal::Unavailable];
        let all: Vec<Refusal> = kinds.map(rate).into_iter().chain(others).collect();
        assert_eq!(all.len(), Refusal::LABELS.len());
        assert!(all.iter().all(|refusal| Refusal::LABELS.contains(&refusal.label())));
    }
}
