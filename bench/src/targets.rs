//! What the gateway is meant to reach, and whether it did in this run.

use crate::report::Entry;
use serde::Serialize;

/// Connections of the loaded measurement.
pub const LOADED: usize = 32;
/// Connections of the quiet measurement.
pub const QUIET: usize = 1;

/// One target and how the run stands to it.
#[derive(Serialize)]
pub struct Target {
    /// What is asked.
    pub asked: String,
    /// What was measured; None where a rung it needs was not.
    pub measured: Option<f64>,
    /// Whether it was reached.
    pub verdict: Verdict,
}

/// How a run stands to a target.
#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Reached.
    Pass,
    /// Missed.
    Fail,
    /// A rung that it needs was not measured.
    NotMeasured,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Compares the run with every target.
pub fn judge(entries: &[Entry]) -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    let at = |name: &str, connections| {
        entries.iter().find(|entry| entry.name == name).and_then(|entry| entry.at(connections))
    };
    let (forward, relay) = (at("forward", LOADED), at("relay", LOADED));
    let (quiet, chain) = (at("forward", QUIET), at("chain", LOADED));
    let (python, javascript) = (at("forward-python", QUIET), at("forward-js", QUIET));
    vec![
        target("c=32: forward's req/s, part of native", AtLeast(0.65), forward.and_then(|l| l.of_native)),
        target("c=32: forward's req/s, part of nginx", AtLeast(0.35), forward.and_then(|l| l.of_nginx)),
        target("c=32: relay's req/s, part of native", AtLeast(0.45), relay.and_then(|l| l.of_native)),
        target("c=32: relay's req/s, part of nginx", AtLeast(0.25), relay.and_then(|l| l.of_nginx)),
        target(
            "c=32: forward's CPU per request, times nginx",
            AtMost(6.0),
            forward.and_then(|l| l.cpu_times_nginx),
        ),
        target(
            "c=32: a chain of two's CPU per request, times forward",
            AtMost(1.5),
            chain.and_then(|l| l.cpu_times_forward),
        ),
        target("c=1: forward's p50 above nginx, µs", AtMost(120.0), quiet.and_then(|l| l.added_p50_us)),
        target("c=1: Python's p50 above nginx, µs", AtMost(1000.0), python.and_then(|l| l.added_p50_us)),
        target(
            "c=1: JavaScript's p50 above nginx, µs",
            AtMost(1000.0),
            javascript.and_then(|l| l.added_p50_us),
        ),
    ]
}

fn target(what: &str, bound: Bound, measured: Option<f64>) -> Target {
    let (asked, reached) = match bound {
        Bound::AtLeast(least) => (format!("{what} ≥ {least}"), measured.map(|value| value >= least)),
        Bound::AtMost(most) => (format!("{what} ≤ {most}"), measured.map(|value| value <= most)),
    };
    let verdict = match reached {
        Some(true) => Verdict::Pass,
        Some(false) => Verdict::Fail,
        None => Verdict::NotMeasured,
    };
    Target { asked, measured, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_include_their_edge_and_nothing_measured_is_no_pass() {
        let verdict = |bound, measured| target("x", bound, measured).verdict;
        assert!(verdict(Bound::AtLeast(0.5), Some(0.5)) == Verdict::Pass);
        assert!(verdict(Bound::AtLeast(0.5), Some(0.4)) == Verdict::Fail);
        assert!(verdict(Bound::AtMost(6.0), Some(6.1)) == Verdict::Fail);
        assert!(verdict(Bound::AtMost(6.0), None) == Verdict::NotMeasured);
        assert!(judge(&[]).iter().all(|target| target.verdict == Verdict::NotMeasured));
    }
}
