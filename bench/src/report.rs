//! What a run says: tables for people, JSON for programs.

use crate::error::{Context, Fallible};
use crate::ladder::Options;
use crate::machine::Machine;
use crate::server;
use crate::summary::{self, Level, Row, Sample, State};
use crate::targets::{self, LOADED, QUIET, Target, Verdict};
use serde::Serialize;
use std::path::Path;

/// A whole run.
#[derive(Serialize)]
pub struct Report {
    /// What it ran on.
    pub machine: Machine,
    /// How it was run.
    pub settings: Settings,
    /// Every rung that was asked for.
    pub rungs: Vec<Entry>,
    /// Every target.
    pub targets: Vec<Target>,
}

/// How a run was set up.
#[derive(Serialize)]
pub struct Settings {
    seconds: u64,
    rounds: u32,
    events: usize,
    body_bytes: usize,
    cpu_resolution_us: u128,
    commands: Vec<String>,
}

impl Settings {
    /// Notes the options and how everything was started.
    pub fn new(options: &Options, mut commands: Vec<String>) -> Self {
        for connections in [LOADED, QUIET] {
            let words = crate::load::arguments(connections, options.seconds, "RUNG.lua", "URL");
            commands.push(format!("wrk {}", words.join(" ")));
        }
        Self {
            seconds: options.seconds,
            rounds: options.rounds,
            events: options.events,
            body_bytes: crate::load::body("bench", false).len(),
            cpu_resolution_us: server::tick().as_micros(),
            commands,
        }
    }
}

/// A rung in the report.
#[derive(Serialize)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Whether its answers are streams.
    pub streamed: bool,
    /// Whether it is ours and has a sandbox.
    pub sandboxed: bool,
    #[serde(flatten)]
    state: State,
    /// What it came to, per number of connections.
    pub levels: Vec<Level>,
    samples: Vec<Sample>,
}

impl Entry {
    /// What it came to at `connections`.
    pub fn at(&self, connections: usize) -> Option<&Level> {
        self.levels.iter().find(|level| level.connections == connections)
    }

    fn new(row: &Row, rows: &[Row], events: usize) -> Self {
        let level = |connections| summary::level(row, rows, connections, events);
        Self {
            name: row.rung.name,
            what: row.rung.what,
            streamed: row.rung.streamed,
            sandboxed: row.rung.is_sandboxed(),
            state: row.state.clone(),
            levels: [LOADED, QUIET].into_iter().filter_map(level).collect(),
            samples: row.samples.clone(),
        }
    }
}

impl Report {
    /// Sums up `rows`.
    pub fn new(machine: Machine, settings: Settings, rows: &[Row]) -> Self {
        let entry = |row| Entry::new(row, rows, settings.events);
        let rungs: Vec<Entry> = rows.iter().map(entry).collect();
        let targets = targets::judge(&rungs);
        Self { machine, settings, rungs, targets }
    }
}

/// The report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = heading(report);
    for (streamed, title) in [(false, "Whole answers"), (true, "Streams")] {
        for (connections, load) in [(LOADED, "32 connections"), (QUIET, "1 connection")] {
            let rungs: Vec<&Entry> = report.rungs.iter().filter(|entry| entry.streamed == streamed).collect();
            if !rungs.is_empty() {
                text += &format!("\n## {title}, {load}\n\n{}", table(&rungs, connections));
            }
        }
    }
    text + "\n## Targets\n\n" + &checklist(&report.targets)
}

fn heading(report: &Report) -> String {
    let Report { machine, settings, .. } = report;
    let versions: Vec<&str> = [machine.airlock.as_ref(), machine.nginx.as_ref(), machine.wrk.as_ref()]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    format!(
        "# Bench ladder\n\n{} × {}, Linux {}, {}, commit {}\n{}\n{} rounds of {} s per rung and number of connections; {} events per stream. Everything shares these cores.\n\
         Medians of the rounds; ratios are taken within a round. Processor time is counted in ticks of {} ms per load.\n",
        machine.cores,
        machine.cpu,
        machine.kernel,
        machine.date,
        machine.commit,
        versions.join(", "),
        settings.rounds,
        settings.seconds,
        settings.events,
        settings.cpu_resolution_us / 1000,
    )
}

/// A column: its head, and what a level has in it.
type Column = (&'static str, fn(&Level) -> String);

const COLUMNS: [Column; 9] = [
    ("req/s", |level| format!("{:.0}", level.requests_per_second)),
    ("best", |level| format!("{:.0}", level.best_requests_per_second)),
    ("p50 µs", |level| format!("{:.0}", level.p50_us)),
    ("p99 µs", |level| format!("{:.0}", level.p99_us)),
    ("CPU µs/req", |level| format!("{:.1}", level.cpu_us)),
    ("RSS MiB", |level| format!("{:.0}", level.rss_bytes as f64 / f64::from(1 << 20))),
    ("× nginx", |level| optional(level.of_nginx, 2)),
    ("× native", |level| optional(level.of_native, 2)),
    ("p50 − nginx µs", |level| optional(level.added_p50_us, 0)),
];

const STREAM_COLUMNS: [Column; 2] = [
    ("events/s", |level| optional(level.events_per_second, 0)),
    ("CPU µs/event", |level| optional(level.cpu_us_per_event, 2)),
];

fn table(rungs: &[&Entry], connections: usize) -> String {
    let streamed = rungs.iter().any(|entry| entry.streamed);
    let extra = if streamed { &STREAM_COLUMNS[..] } else { &[] };
    let columns: Vec<&Column> = COLUMNS.iter().chain(extra).collect();
    let heads = columns.iter().map(|(head, _)| (*head).to_owned());
    let mut lines = vec![std::iter::once("rung".to_owned()).chain(heads).collect::<Vec<_>>()];
    let mut notes = String::new();
    for entry in rungs {
        let level = entry.at(connections);
        let cell = |(_, show): &&Column| level.map_or("–".to_owned(), show);
        let name = std::iter::once(entry.name.to_owned());
        lines.push(name.chain(columns.iter().map(cell)).collect());
        if let Some(note) = note(&entry.state) {
            notes += &format!("- {}: {note}\n", entry.name);
        }
    }
    let gap = if notes.is_empty() { "" } else { "\n" };
    align(&lines) + gap + &notes
}

/// Writes what was measured into `dir`.
pub fn write(dir: &Path, name: &str, text: &str) -> Fallible<()> {
    let path = dir.join(name);
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&path, text))
        .context(|| format!("cannot write {}; choose another place with --out", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// Lays out cells as a Markdown table, names to the left and numbers to the right.
pub fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(2)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (row, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text += &if column == 0 { format!("| {cell:<width$} ") } else { format!("| {cell:>width$} ") };
        }
        text += "|\n";
        if row == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column == 0 { "-" } else { ":" };
                text += &format!("| {}{end} ", "-".repeat(width - 1));
            }
            text += "|\n";
        }
    }
    text
}

fn checklist(targets: &[Target]) -> String {
    let line = |target: &Target| {
        let (mark, verdict) = match target.verdict {
            Verdict::Pass => ("x", "PASS"),
            Verdict::Fail => (" ", "FAIL"),
            Verdict::NotMeasured => (" ", "not measured"),
        };
        format!("- [{mark}] {verdict}: {} (measured: {})\n", target.asked, optional(target.measured, 2))
    };
    targets.iter().map(line).collect()
}

fn note(state: &State) -> Option<String> {
    match state {
        State::Measured => None,
        State::Skipped(reason) => Some(reason.clone()),
        State::Failed(reason) => {
            let first = reason.lines().next().unwrap_or_default();
            Some(format!("FAILED: {first}"))
        }
    }
}

fn optional(value: Option<f64>, decimals: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.decimals$}"))
}
