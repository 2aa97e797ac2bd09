//! The soak: good and hostile requests at once, for a long time. No good one may be lost, and nothing may
//! be left or grow.

mod kinds;
mod lanes;
mod tallies;
mod watch;

use crate::client::Gauges;
use crate::error::Fallible;
use crate::machine::Machine;
use crate::report::align;
use crate::stage::{Common, REST_LIMIT, Stage, restless};
use crate::stats::Memory;
use crate::summary::median;
use crate::tally::Tally;
use kinds::Kind;
use lanes::Lanes;
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tallies::Tallies;
use watch::{Sample, Watch};

const WARM_UP: Duration = Duration::from_secs(120);
const EVERY: Duration = Duration::from_secs(10);
const TELL: Duration = Duration::from_secs(60);
/// Descriptors that a gateway may keep: its store opens another connection when the first is in use.
const SPARE_DESCRIPTORS: usize = 4;

/// How to soak.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// How long.
    #[arg(long, default_value_t = 30.0, value_parser = parse_minutes)]
    minutes: f64,
    /// Threads of the gateway that serve requests.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// The part of all cores to keep busy, load and backend included, in percent.
    #[arg(long, default_value_t = 55, value_parser = clap::value_parser!(u32).range(10..=100))]
    busy: u32,
}

fn parse_minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes| (0.1..=10_000.0).contains(minutes));
    minutes.ok_or_else(|| "a soak takes from 0.1 to 10000 minutes".into())
}

#[derive(Serialize)]
struct Figures {
    machine: Machine,
    command: String,
    minutes: f64,
    warm_up_minutes: f64,
    cores_busy: Option<f64>,
    faults: Vec<String>,
    good_requests: u64,
    good_lost: u64,
    memory: Option<Memory>,
    descriptors: Descriptors,
    gauges_at_rest: Gauges,
    kinds: Vec<Row>,
    samples: Vec<Sample>,
}

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    good: bool,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Serialize)]
struct Descriptors {
    before: usize,
    most: usize,
    at_rest: usize,
}

/// Soaks and reports. The exit code is 1 where the gateway lost or kept something.
pub async fn run(options: &Options) -> Fallible<ExitCode> {
    let machine = options.common.look()?;
    let settings = [
        ("AIRLOCK_WORKERS", options.workers.to_string()),
        ("AIRLOCK_SANDBOX__CPU_MS", "50".to_owned()),
        ("AIRLOCK_SANDBOX__MEMORY_MIB", "16".to_owned()),
    ];
    let stage = Stage::start(&options.common, &kinds::models(), &settings).await?;
    let command = stage.gateway.server.command.clone();
    let time = Duration::from_secs_f64(options.minutes * 60.0);
    let warm_up_minutes = WARM_UP.min(time / 4).as_secs_f64() / 60.0;
    let soaked = soak(options, stage, time).await?;
    let memory = soaked.memory(warm_up_minutes);
    let kinds =
        soaked.tallies.into_iter().map(|(kind, tally)| Row { kind: kind.name, good: kind.is_good(), tally });
    let kinds: Vec<Row> = kinds.collect();
    let good = || kinds.iter().filter(|row| row.good);
    let mut figures = Figures {
        machine,
        command,
        minutes: options.minutes,
        warm_up_minutes,
        cores_busy: median(soaked.samples.iter().map(|sample| sample.cores_busy)),
        faults: Vec::new(),
        good_requests: good().map(|row| row.tally.requests).sum(),
        good_lost: good().map(|row| row.tally.wrong).sum(),
        memory,
        descriptors: soaked.descriptors,
        gauges_at_rest: soaked.gauges_at_rest,
        kinds,
        samples: soaked.samples,
    };
    figures.faults = faults(&figures);
    println!("{}", tell(&figures));
    options.common.write("soak.json", &figures)?;
    Ok(if figures.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a soak leaves for the report.
struct Soaked {
    tallies: Vec<(&'static Kind, Tally)>,
    samples: Vec<Sample>,
    descriptors: Descriptors,
    gauges_at_rest: Gauges,
}

impl Soaked {
    fn memory(&self, warm_minute: f64) -> Option<Memory> {
        let resident = self.samples.iter().map(|sample| (sample.minute, sample.rss_kib as f64));
        Memory::of(&resident.collect::<Vec<_>>(), warm_minute)
    }
}

async fn soak(options: &Options, stage: Stage, time: Duration) -> Fallible<Soaked> {
    let mut observer = stage.client().await?;
    observer.gauges().await?;
    let before = stage.gateway.server.descriptors()?;
    let (scale, pace) = tokio::sync::watch::channel(0.25);
    let mut lanes = Lanes::start(&stage, &pace, time).await?;
    // Short runs have as many samples as long ones, as far as a second allows.
    let every = EVERY.min(time / 60).max(Duration::from_secs(1));
    let watch = Watch { every, busy: f64::from(options.busy) / 100.0, scale };
    let mut samples = Vec::new();
    let mut told = Instant::now();
    {
        let tallies = lanes.tallies.clone();
        let watching = watch.run(&stage, &mut observer, |sample| {
            if told.elapsed() >= TELL {
                told = Instant::now();
                progress(&sample, &tallies, *pace.borrow());
            }
            samples.push(sample);
        });
        tokio::select! {
            ended = lanes.ended() => ended?,
            watched = watching => watched?,
        }
    }
    let tallies = lanes.tallies.get();
    drop(lanes);
    let gauges_at_rest = stage.rest(&mut observer).await?;
    let most = samples.iter().map(|sample| sample.descriptors).max().unwrap_or(before);
    let at_rest = descriptors_at_rest(stage, before).await?;
    Ok(Soaked { tallies, samples, descriptors: Descriptors { before, most, at_rest }, gauges_at_rest })
}

/// Takes the backend away, so that connections kept for it close, and waits until no more descriptors are
/// open than may be.
async fn descriptors_at_rest(stage: Stage, before: usize) -> Fallible<usize> {
    let Stage { gateway, backend, .. } = stage;
    drop(backend);
    let started = Instant::now();
    loop {
        let open = gateway.server.descriptors()?;
        if open <= before + SPARE_DESCRIPTORS || started.elapsed() > REST_LIMIT {
            return Ok(open);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is wrong with how it went.
fn faults(figures: &Figures) -> Vec<String> {
    let Figures { good_requests, good_lost, descriptors, .. } = figures;
    let lost = (*good_lost > 0).then(|| format!("{good_lost} of {good_requests} good requests were lost"));
    let none = (*good_requests == 0).then(|| "no good request was sent".to_owned());
    let kept = (descriptors.at_rest > descriptors.before + SPARE_DESCRIPTORS)
        .then(|| format!("{} descriptors at rest, {} before", descriptors.at_rest, descriptors.before));
    let grown = figures.memory.as_ref().and_then(Memory::fault);
    [lost, none, restless(&figures.gauges_at_rest), kept, grown].into_iter().flatten().collect()
}

fn progress(sample: &Sample, tallies: &Tallies, scale: f64) {
    let tallies = tallies.get();
    let sum = |of: fn(&Tally) -> u64, good: bool| {
        tallies.iter().filter(|(kind, _)| kind.is_good() == good).map(|(_, tally)| of(tally)).sum::<u64>()
    };
    let (good, lost) = (sum(|tally| tally.requests, true), sum(|tally| tally.wrong, true));
    let (minute, mib) = (sample.minute, sample.rss_kib / 1024);
    let (others, busy) = (sum(|tally| tally.requests, false), sample.cores_busy * 100.0);
    eprintln!(
        "minute {minute:.1}: {good} good, {lost} lost, {others} others, {mib} MiB, {} descriptors, \
         cores {busy:.0} % busy, good ones at {:.0} % of their pace",
        sample.descriptors,
        scale * 100.0
    );
}

fn tell(figures: &Figures) -> String {
    let mut lines = vec![["what", "requests", "unexpected", "outcomes"].map(str::to_owned).to_vec()];
    lines.extend(figures.kinds.iter().map(|Row { kind, tally, .. }| {
        vec![kind.to_string(), tally.requests.to_string(), tally.wrong.to_string(), tally.line()]
    }));
    let Descriptors { before, most, at_rest } = figures.descriptors;
    let memory = figures.memory.as_ref().map_or("memory: too few samples".to_owned(), |memory| {
        let (warm, end) = (memory.warm_kib / 1024.0, memory.end_kib / 1024.0);
        let (growth, slope) = (memory.growth * 100.0, memory.slope_kib_per_minute);
        format!(
            "memory: {warm:.1} MiB warm, {end:.1} MiB at the end ({growth:+.1} %), {slope:+.1} KiB a minute"
        )
    });
    let gauges: Vec<String> = figures.gauges_at_rest.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let verdict = match figures.faults.as_slice() {
        [] => "PASS".to_owned(),
        faults => faults.iter().map(|fault| format!("FAIL: {fault}")).collect::<Vec<_>>().join("\n"),
    };
    format!(
        "{}\n{} good requests, {} lost; cores {:.0} % busy\n{memory}\n\
         descriptors: {before} before, {most} at most, {at_rest} at rest\nat rest: {}\n{verdict}",
        align(&lines),
        figures.good_requests,
        figures.good_lost,
        figures.cores_busy.unwrap_or_default() * 100.0,
        gauges.join(", "),
    )
}
