//! From samples to what is reported: medians over rounds, and ratios taken within a round.

use crate::rungs::Rung;
use serde::Serialize;

/// What one load on one rung took.
#[derive(Clone, Serialize)]
pub struct Sample {
    /// The round, counted from 1.
    pub round: u32,
    /// Connections at a time.
    pub connections: usize,
    /// Complete answers.
    pub requests: u64,
    /// Complete answers per second.
    pub requests_per_second: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of latency in microseconds.
    pub p99_us: f64,
    /// Processor time per request of what is measured, in microseconds.
    pub cpu_us: f64,
    /// Processor time per request of the mock behind it, in microseconds.
    pub upstream_cpu_us: f64,
    /// Resident memory afterwards.
    pub rss_bytes: u64,
}

/// How it went for a rung.
#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "note")]
pub enum State {
    /// Every load was answered as it should be.
    Measured,
    /// It could not be measured here.
    Skipped(String),
    /// Something was wrong with its answers.
    Failed(String),
}

/// A rung and what was measured of it.
pub struct Row {
    /// The rung.
    pub rung: &'static Rung,
    /// How it went.
    pub state: State,
    /// One sample per round and number of connections.
    pub samples: Vec<Sample>,
}

/// A rung at one number of connections, over all rounds.
#[derive(Serialize)]
pub struct Level {
    /// Connections at a time.
    pub connections: usize,
    /// Complete answers per second, the median of the rounds.
    pub requests_per_second: f64,
    /// The same, in the best round.
    pub best_requests_per_second: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of latency in microseconds.
    pub p99_us: f64,
    /// Processor time per request in microseconds.
    pub cpu_us: f64,
    /// Processor time per request of the mock behind it.
    pub upstream_cpu_us: f64,
    /// Resident memory after the last round.
    pub rss_bytes: u64,
    /// Requests per second, as a part of nginx's.
    pub of_nginx: Option<f64>,
    /// Requests per second, as a part of the gateway's without a sandbox.
    pub of_native: Option<f64>,
    /// Processor time per request, in multiples of nginx's.
    pub cpu_times_nginx: Option<f64>,
    /// Processor time per request, in multiples of that of `forward`.
    pub cpu_times_forward: Option<f64>,
    /// Median latency above nginx's, in microseconds.
    pub added_p50_us: Option<f64>,
    /// Events per second, of a stream.
    pub events_per_second: Option<f64>,
    /// Processor time per event in microseconds, of a stream.
    pub cpu_us_per_event: Option<f64>,
}

/// Sums up `row` at `connections`, against the other rows of the same run. None if it was not measured.
pub fn level(row: &Row, rows: &[Row], connections: usize, events: usize) -> Option<Level> {
    if !matches!(row.state, State::Measured) {
        return None;
    }
    let samples: Vec<&Sample> = at(row, connections).collect();
    let over = |value: fn(&Sample) -> f64| median(samples.iter().map(|sample| value(sample)));
    let against = |name, value: fn(&Sample, &Sample) -> f64| {
        let scale = rows.iter().find(|row| row.rung.name == name)?;
        paired(&samples, scale, value)
    };
    let (nginx, native) = (row.rung.nginx(), row.rung.native());
    let rate = |own: &Sample, scale: &Sample| own.requests_per_second / scale.requests_per_second;
    let streamed = |value: f64| row.rung.streamed.then_some(value);
    let requests_per_second = over(|sample| sample.requests_per_second)?;
    let cpu_us = over(|sample| sample.cpu_us)?;
    Some(Level {
        connections,
        requests_per_second,
        best_requests_per_second: best(&samples),
        p50_us: over(|sample| sample.p50_us)?,
        p99_us: over(|sample| sample.p99_us)?,
        cpu_us,
        upstream_cpu_us: over(|sample| sample.upstream_cpu_us)?,
        rss_bytes: samples.last()?.rss_bytes,
        of_nginx: against(nginx, rate),
        of_native: against(native, rate),
        cpu_times_nginx: against(nginx, |own, scale| own.cpu_us / scale.cpu_us),
        cpu_times_forward: against(row.rung.forward(), |own, scale| own.cpu_us / scale.cpu_us),
        added_p50_us: against(nginx, |own, scale| own.p50_us - scale.p50_us),
        events_per_second: streamed(requests_per_second * events as f64),
        cpu_us_per_event: streamed(cpu_us / events as f64),
    })
}

/// The median, or None of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let high = *values.get(values.len() / 2)?;
    let low = *values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(low, high))
}

fn at(row: &Row, connections: usize) -> impl Iterator<Item = &Sample> {
    row.samples.iter().filter(move |sample| sample.connections == connections)
}

fn best(samples: &[&Sample]) -> f64 {
    samples.iter().map(|sample| sample.requests_per_second).fold(0.0, f64::max)
}

/// Compares the samples of one rung with those of another, round by round: the machine drifts between
/// rounds, less within one. A scale that failed half-way is no scale.
fn paired(samples: &[&Sample], scale: &Row, value: fn(&Sample, &Sample) -> f64) -> Option<f64> {
    if !matches!(scale.state, State::Measured) {
        return None;
    }
    median(samples.iter().filter_map(|own| {
        let same_round = |other: &&Sample| other.round == own.round;
        let other = at(scale, own.connections).find(same_round)?;
        Some(value(own, other)).filter(|value| value.is_finite())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rungs::ALL;

    fn row(name: &str, rates: &[f64]) -> Option<Row> {
        let sample = |(round, &rate): (u32, &f64)| Sample {
            round,
            connections: 32,
            requests: 1,
            requests_per_second: rate,
            p50_us: 1e6 / rate,
            p99_us: 0.0,
            cpu_us: 1e6 / rate,
            upstream_cpu_us: 0.0,
            rss_bytes: 1,
        };
        Some(Row {
            rung: ALL.iter().find(|rung| rung.name == name)?,
            state: State::Measured,
            samples: (1..).zip(rates).map(sample).collect(),
        })
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median([4.0, 1.0, 3.0].into_iter()), Some(3.0));
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let rows: Vec<Row> = [row("nginx", &[100.0, 200.0, 50.0]), row("forward", &[50.0, 100.0, 25.0])]
            .into_iter()
            .flatten()
            .collect();
        let forward = rows.last().and_then(|row| level(row, &rows, 32, 20));
        assert!(forward.as_ref().is_some_and(|level| level.of_nginx == Some(0.5)));
        assert!(forward.is_some_and(|level| level.of_native.is_none()));
    }

    #[test]
    fn what_failed_has_no_level() {
        let Some(mut failed) = row("forward", &[1.0]) else { return };
        failed.state = State::Failed("500".into());
        assert!(level(&failed, &[], 32, 20).is_none());
    }
}
