//! From samples to what is reported, and the targets.

use super::Series;
use super::cells::Sample;
use super::loops::Loops;
use crate::machine::Machine;
use crate::report::align;
use crate::stats::{Memory, Spread};
use crate::summary::median;
use crate::tally::Tally;
use serde::Serialize;

/// Chats per second beside neighbours, as a part of those alone, are at least this.
const RATIO: f64 = 0.8;
/// The 99th percentile of `/health` is below this.
const HEALTH_MS: f64 = 50.0;

/// Everything that was measured.
#[derive(Serialize)]
pub struct Figures {
    machine: Machine,
    command: String,
    rounds: u32,
    seconds: u64,
    /// What was missed.
    pub misses: Vec<String>,
    rows: Vec<Row>,
    /// What became of the neighbours' requests.
    dead_loops: Tally,
    /// Dead loops in a row.
    loops: Option<Loops>,
}

/// A cell with a number of spinning clients, over all rounds.
#[derive(Serialize)]
pub struct Row {
    clients: usize,
    delay_ms: u128,
    spinning: usize,
    requests_per_second: f64,
    /// Against the same cell alone, within a round; the median of the rounds.
    of_alone: Option<f64>,
    chat_p50_ms: Option<f64>,
    chat_p99_ms: Option<f64>,
    health: Spread,
    wrong: u64,
    gateway_cores: f64,
    tool_cores: f64,
    samples: Vec<Sample>,
}

/// Sums up `series`, against the same cell alone among `all`. None where nothing was measured.
pub fn row(series: &Series, all: &[Series]) -> Option<Row> {
    let samples = &series.samples;
    let over = |value: fn(&Sample) -> Option<f64>| median(samples.iter().filter_map(value));
    let is_alone =
        |other: &&Series| other.spinning == 0 && std::ptr::eq(other.cell, series.cell) && series.spinning > 0;
    let of_alone = all.iter().find(is_alone).and_then(|alone| {
        let pairs = samples.iter().zip(&alone.samples);
        let ratios = pairs.map(|(own, alone)| own.requests_per_second / alone.requests_per_second);
        median(ratios.filter(|ratio| ratio.is_finite()))
    });
    Some(Row {
        clients: series.cell.clients,
        delay_ms: series.cell.delay_ms(),
        spinning: series.spinning,
        requests_per_second: over(|sample| Some(sample.requests_per_second))?,
        of_alone,
        chat_p50_ms: over(|sample| Some(sample.chat.as_ref()?.p50_ms)),
        chat_p99_ms: over(|sample| Some(sample.chat.as_ref()?.p99_ms)),
        health: Spread::of(samples.iter().flat_map(|sample| sample.health.iter().copied()))?,
        wrong: samples.iter().map(|sample| sample.wrong).sum(),
        gateway_cores: over(|sample| Some(sample.gateway_cores))?,
        tool_cores: over(|sample| Some(sample.tool_cores))?,
        samples: samples.clone(),
    })
}

impl Figures {
    /// Puts them together and compares them with the targets.
    pub fn new(
        machine: Machine,
        command: String,
        rounds: u32,
        seconds: u64,
        rows: Vec<Row>,
        dead_loops: Tally,
        loops: Option<Loops>,
    ) -> Self {
        let of_rows = rows.iter().flat_map(Row::misses);
        let misses = of_rows.chain(loops.iter().flat_map(loop_misses)).collect();
        Self { machine, command, rounds, seconds, misses, rows, dead_loops, loops }
    }
}

impl Row {
    fn misses(&self) -> Vec<String> {
        let Self { clients, delay_ms, spinning, wrong, health, .. } = self;
        let place = format!("{clients} chats at a time, {delay_ms} ms upstream, {spinning} spinning");
        let ratio = self.of_alone.filter(|ratio| *ratio < RATIO);
        let ratio = ratio.map(|ratio| format!("{place}: {ratio:.2} of the throughput alone (≥ {RATIO})"));
        let health_ms = health.p99_ms;
        let health = (health_ms >= HEALTH_MS)
            .then(|| format!("{place}: /health p99 {health_ms:.1} ms (< {HEALTH_MS} ms)"));
        let wrong = (*wrong > 0).then(|| format!("{place}: {wrong} wrong answers"));
        [ratio, health, wrong].into_iter().flatten().collect()
    }
}

fn loop_misses(loops: &Loops) -> Vec<String> {
    let wrong = loops.tally.wrong;
    let wrong = (wrong > 0).then(|| format!("{wrong} dead loops in a row ended in another way"));
    let grown = loops.memory.as_ref().and_then(Memory::fault);
    [wrong, grown, loops.left.clone()].into_iter().flatten().collect()
}

/// The report.
pub fn tell(figures: &Figures) -> String {
    let heads = [
        "chats × upstream",
        "spinning",
        "req/s",
        "of alone",
        "chat p50 ms",
        "p99 ms",
        "/health p50 ms",
        "p99 ms",
        "wrong",
        "gateway cores",
        "tool cores",
    ];
    let mut lines = vec![heads.map(str::to_owned).to_vec()];
    let mut rows: Vec<&Row> = figures.rows.iter().collect();
    rows.sort_by_key(|row| (row.delay_ms, row.clients, row.spinning));
    lines.extend(rows.into_iter().map(line));
    let Tally { requests, wrong, .. } = figures.dead_loops;
    let mut text = align(&lines);
    text += &format!("\nthe neighbours' own requests: {requests}, {wrong} with another end");
    text += &format!(" ({})\n", figures.dead_loops.line());
    text += &figures.loops.as_ref().map(tell_loops).unwrap_or_default();
    text +=
        &format!("targets: ≥ {RATIO} of the throughput alone, /health p99 < {HEALTH_MS} ms, nothing wrong\n");
    let misses: String = figures.misses.iter().map(|miss| format!("MISSED: {miss}\n")).collect();
    text + if misses.is_empty() { "all reached\n" } else { &misses }
}

fn line(row: &Row) -> Vec<String> {
    let optional =
        |value: Option<f64>, digits| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
    vec![
        format!("{} × {} ms", row.clients, row.delay_ms),
        row.spinning.to_string(),
        format!("{:.0}", row.requests_per_second),
        optional(row.of_alone, 2),
        optional(row.chat_p50_ms, 2),
        optional(row.chat_p99_ms, 2),
        format!("{:.2}", row.health.p50_ms),
        format!("{:.2}", row.health.p99_ms),
        row.wrong.to_string(),
        format!("{:.2}", row.gateway_cores),
        format!("{:.2}", row.tool_cores),
    ]
}

fn tell_loops(loops: &Loops) -> String {
    let Loops { tally, seconds, cpu_ms, at_once, before_kib, .. } = loops;
    let memory = loops.memory.as_ref().map_or("too few samples for a slope".to_owned(), |memory| {
        let (warm, end) = (memory.warm_kib / 1024.0, memory.end_kib / 1024.0);
        let (growth, slope) = (memory.growth * 100.0, memory.slope_kib_per_minute);
        format!("{warm:.1} after a tenth, {end:.1} at the end ({growth:+.1} %), {slope:+.1} KiB a minute")
    });
    format!(
        "{} dead loops of {cpu_ms} ms, {at_once} at a time, in {seconds:.0} s ({}); MiB: {:.1} before, {memory}\n",
        tally.requests,
        tally.line(),
        *before_kib as f64 / 1024.0
    )
}

#[cfg(test)]
mod tests {
    use super::super::cells::CELLS;
    use super::*;
    use std::time::Duration;

    fn series(spinning: usize, rates: &[f64], health_ms: u64) -> Option<Series> {
        let sample = |&requests_per_second: &f64| Sample {
            requests: 1,
            wrong: 0,
            requests_per_second,
            chat: None,
            gateway_cores: 1.0,
            tool_cores: 0.5,
            health: vec![Duration::from_millis(health_ms)],
        };
        Some(Series { cell: CELLS.first()?, spinning, samples: rates.iter().map(sample).collect() })
    }

    #[test]
    fn throughput_is_compared_within_a_round_and_misses_are_told() {
        let all: Vec<Series> = [
            series(0, &[100.0, 200.0, 50.0], 1),
            series(1, &[50.0, 180.0, 45.0], 1),
            series(8, &[100.0, 200.0, 50.0], 50),
        ]
        .into_iter()
        .flatten()
        .collect();
        let rows: Vec<Row> = all.iter().filter_map(|series| row(series, &all)).collect();
        let ratios: Vec<Option<f64>> = rows.iter().map(|row| row.of_alone).collect();
        assert_eq!(ratios, [None, Some(0.9), Some(1.0)]);
        let misses: Vec<usize> = rows.iter().map(|row| row.misses().len()).collect();
        assert_eq!(misses, [0, 0, 1]);
    }
}
