//! From rounds to what is reported, and the targets.

use super::pace::Paced;
use super::{Options, Round, TIMES};
use crate::machine::Machine;
use crate::report::align;
use crate::summary::median;
use crate::tally::Tally;
use serde::Serialize;

/// Right answers beside the other tenant, as a part of those alone, are at least this.
const THROUGHPUT: f64 = 0.9;
/// The 99th percentile beside it is at most so many times that alone.
const P99: f64 = 2.0;

/// Everything that was measured.
#[derive(Serialize)]
pub struct Figures {
    machine: Machine,
    command: String,
    rate: u32,
    rival_rate: u32,
    seconds: u64,
    /// What was missed.
    pub misses: Vec<String>,
    rows: Vec<Row>,
}

/// One kind of neighbour, over all rounds: medians.
#[derive(Serialize)]
pub struct Row {
    kind: &'static str,
    alone_per_second: f64,
    beside_per_second: f64,
    throughput: f64,
    alone_p50_ms: f64,
    beside_p50_ms: f64,
    alone_p99_ms: f64,
    beside_p99_ms: f64,
    p99: f64,
    apart_p99_ms: f64,
    /// What it is beside, over what it is on a gateway of its own on the same busy machine.
    p99_of_apart: f64,
    wrong: u64,
    rival: Tally,
    rounds: Vec<Round>,
}

impl Row {
    /// Sums up. None where nothing was answered.
    pub fn of(kind: &'static str, rounds: Vec<Round>) -> Option<Self> {
        let over = |value: fn(&Round) -> Option<f64>| median(rounds.iter().filter_map(value));
        let mut rival = Tally::default();
        rounds.iter().for_each(|round| rival.merge(&round.rival));
        Some(Self {
            kind,
            alone_per_second: over(|round| Some(round.alone.per_second))?,
            beside_per_second: over(|round| Some(round.beside.per_second))?,
            throughput: over(|round| Some(round.beside.per_second / round.alone.per_second))?,
            alone_p50_ms: over(|round| Some(round.alone.latency.as_ref()?.p50_ms))?,
            beside_p50_ms: over(|round| Some(round.beside.latency.as_ref()?.p50_ms))?,
            alone_p99_ms: over(|round| Some(round.alone.latency.as_ref()?.p99_ms))?,
            beside_p99_ms: over(|round| Some(round.beside.latency.as_ref()?.p99_ms))?,
            p99: over(|r| Some(r.beside.latency.as_ref()?.p99_ms / r.alone.latency.as_ref()?.p99_ms))?,
            apart_p99_ms: over(|round| Some(round.apart.latency.as_ref()?.p99_ms))?,
            p99_of_apart: over(|r| {
                Some(r.beside.latency.as_ref()?.p99_ms / r.apart.latency.as_ref()?.p99_ms)
            })?,
            wrong: rounds
                .iter()
                .flat_map(|r| [&r.alone, &r.beside, &r.apart])
                .map(|paced| paced.tally.wrong)
                .sum(),
            rival,
            rounds,
        })
    }

    fn misses(&self) -> Vec<String> {
        let Self { kind, throughput, p99, wrong, .. } = self;
        let throughput = (*throughput < THROUGHPUT)
            .then(|| format!("{kind}: {throughput:.2} of the throughput alone (≥ {THROUGHPUT})"));
        let p99 = (*p99 > P99).then(|| format!("{kind}: {p99:.2} times the p99 alone (≤ {P99})"));
        let wrong = (*wrong > 0).then(|| format!("{kind}: {wrong} wrong answers"));
        [throughput, p99, wrong].into_iter().flatten().collect()
    }
}

impl Figures {
    /// Puts them together and compares them with the targets.
    pub fn new(machine: Machine, command: String, options: &Options, rows: Vec<Row>) -> Self {
        let misses = rows.iter().flat_map(Row::misses).collect();
        let &Options { rate, seconds, .. } = options;
        Self { machine, command, rate, rival_rate: rate * TIMES, seconds, misses, rows }
    }
}

/// A round in one line.
pub fn progress(alone: &Paced, beside: &Paced, apart: &Paced) -> String {
    let told = |paced: &Paced| {
        let latency = paced.latency.as_ref();
        let (p50, p99) = latency.map(|l| (l.p50_ms, l.p99_ms)).unwrap_or_default();
        format!("{:.1}/s p50 {p50:.2} p99 {p99:.2} ms", paced.per_second)
    };
    format!("alone {}; beside {}; apart {}", told(alone), told(beside), told(apart))
}

/// The report.
pub fn tell(figures: &Figures) -> String {
    let heads = [
        "the other tenant",
        "req/s alone",
        "beside",
        "of alone",
        "p50 ms",
        "beside",
        "p99 ms",
        "beside",
        "×",
        "apart",
        "×",
        "wrong",
    ];
    let mut lines = vec![heads.map(str::to_owned).to_vec()];
    lines.extend(figures.rows.iter().map(|row| {
        let two = |value: f64| format!("{value:.2}");
        let rates = [row.alone_per_second, row.beside_per_second].map(|rate| format!("{rate:.1}"));
        let times = [row.alone_p50_ms, row.beside_p50_ms, row.alone_p99_ms, row.beside_p99_ms].map(two);
        let [alone, beside] = rates;
        let [p50, p50_beside, p99, p99_beside] = times;
        let wrong = row.wrong.to_string();
        vec![
            row.kind.to_owned(),
            alone,
            beside,
            two(row.throughput),
            p50,
            p50_beside,
            p99,
            p99_beside,
            two(row.p99),
            two(row.apart_p99_ms),
            two(row.p99_of_apart),
            wrong,
        ]
    }));
    let mut text = align(&lines) + "\n";
    for row in &figures.rows {
        text += &format!(
            "{}: {} requests of the other tenant: {}\n",
            row.kind,
            row.rival.requests,
            row.rival.line()
        );
    }
    text += "apart: the p99 on a gateway of its own, while the other tenant loads the first one: what the machine costs\n";
    text += &format!(
        "targets: ≥ {THROUGHPUT} of the throughput alone, p99 ≤ {P99} times that alone, nothing wrong\n"
    );
    let misses: String = figures.misses.iter().map(|miss| format!("MISSED: {miss}\n")).collect();
    text + if misses.is_empty() { "all reached\n" } else { &misses }
}
