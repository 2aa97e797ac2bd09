//! The run: start everything, check every rung, load them in turn, report.

use crate::error::Fallible;
use crate::field::{Field, Load};
use crate::load::Aim;
use crate::report::{Report, Settings};
use crate::rungs::{Rung, Via};
use crate::summary::{Row, State};
use crate::targets::{LOADED, QUIET, Verdict};
use crate::{gateway, load, machine, mock, nginx, plot, probe, report, rungs};
use std::path::PathBuf;
use std::process::ExitCode;

/// How to run the ladder.
#[derive(clap::Args)]
pub struct Options {
    /// The gateway: a release build with the feature `native-path`.
    #[arg(long)]
    pub gateway: Option<PathBuf>,
    /// Where the test guests were built (front.wasm, rewrite.wasm, body-upstream.wasm).
    #[arg(long, default_value = "target/guests")]
    pub guests: PathBuf,
    /// Seconds per load.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// How often every rung is loaded.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Server-sent events per streamed answer.
    #[arg(long, default_value_t = mock::EVENTS, value_parser = mock::parse_events)]
    pub events: usize,
    /// Where ladder.json and ladder.svg go.
    #[arg(long, default_value = "bench/results")]
    out: PathBuf,
    /// Only these rungs, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// End with an error unless every target is reached.
    #[arg(long)]
    check: bool,
}

/// Measures and reports. The exit code says whether the measurement, or with `--check` the gateway, is good.
pub async fn run(options: &Options) -> Fallible<ExitCode> {
    machine::require_proc()?;
    let plan = rungs::select(&options.only)?;
    let wrk = load::version().ok_or(load::REMEDY)?;
    let version = gateway_version(options, &plan)?;
    let nginx = nginx::find();
    if nginx.is_none() {
        eprintln!("{}", nginx::REMEDY);
    }
    let facts = machine::look(Some(wrk), nginx.as_ref().map(|nginx| nginx.version.clone()), version);
    let field = Field::start(options, &plan, nginx.as_ref()).await?;
    let rows = climb(&field, &plan, options).await;
    let settings = Settings::new(options, field.commands());
    drop(field);
    let report = Report::new(facts, settings, &rows);
    println!("{}", report::markdown(&report));
    report::write(&options.out, "ladder.json", &(serde_json::to_string_pretty(&report)? + "\n"))?;
    report::write(&options.out, "ladder.svg", &plot::draw(&report))?;
    Ok(exit_code(options, &rows, &report))
}

/// The gateway's version; an error where a rung needs a gateway and none is given.
fn gateway_version(options: &Options, plan: &[&Rung]) -> Fallible<Option<String>> {
    let needed = plan.iter().any(|rung| matches!(rung.via, Via::Gateway(_)));
    match &options.gateway {
        Some(binary) => gateway::version(binary).map(Some),
        None if needed => Err("give the gateway to measure: --gateway target/release/airlock, or leave its rungs out: --only mock,nginx,nginx-stream".into()),
        None => Ok(None),
    }
}

/// A rung that can be loaded, and its place among the rows.
struct Step {
    rung: &'static Rung,
    aim: Aim,
    script: PathBuf,
    place: usize,
}

async fn climb(field: &Field, plan: &[&'static Rung], options: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut steps = Vec::new();
    for (place, rung) in plan.iter().enumerate() {
        let state = match field.aim(rung) {
            Err(reason) => State::Skipped(reason),
            Ok(aim) => match prepare(field, rung, &aim, options.events).await {
                Err(error) => State::Failed(error.to_string()),
                Ok(script) => {
                    steps.push(Step { rung, aim, script, place });
                    State::Measured
                }
            },
        };
        report_trouble(rung, &state);
        rows.push(Row { rung, state, samples: Vec::new() });
    }
    for round in 0..=options.rounds {
        load_all(field, &steps, &mut rows, round, options).await;
        // The other way round next time, so that no rung always follows the same one.
        steps.reverse();
    }
    rows
}

async fn prepare(field: &Field, rung: &Rung, aim: &Aim, events: usize) -> Fallible<PathBuf> {
    probe::check(aim, rung.streamed.then_some(events)).await?;
    field.write_script(rung, aim)
}

/// Loads every step once per number of connections; round 0 warms up and is not kept.
async fn load_all(field: &Field, steps: &[Step], rows: &mut [Row], round: u32, options: &Options) {
    let (levels, seconds) = match round {
        0 => (&[LOADED][..], 1),
        _ => (&[LOADED, QUIET][..], options.seconds),
    };
    for &connections in levels {
        let load = Load { round, connections, seconds };
        for step in steps {
            let Some(row) = rows.get_mut(step.place) else { continue };
            if !matches!(row.state, State::Measured) {
                continue;
            }
            match field.sample(step.rung, &step.aim.url, &step.script, &load).await {
                Ok(sample) => {
                    let (name, rate) = (step.rung.name, sample.requests_per_second);
                    let rounds = options.rounds;
                    eprintln!("round {round}/{rounds} c={connections} {name}: {rate:.0} req/s");
                    row.samples.extend((round > 0).then_some(sample));
                }
                Err(error) => row.state = State::Failed(error.to_string()),
            }
            report_trouble(step.rung, &row.state);
        }
    }
}

fn report_trouble(rung: &Rung, state: &State) {
    match state {
        State::Measured => {}
        State::Skipped(note) => eprintln!("{} is left out: {note}", rung.name),
        State::Failed(note) => eprintln!("{} failed: {note}", rung.name),
    }
}

fn exit_code(options: &Options, rows: &[Row], report: &Report) -> ExitCode {
    let failed = rows.iter().any(|row| matches!(row.state, State::Failed(_)));
    let missed = report.targets.iter().any(|target| target.verdict != Verdict::Pass);
    if failed || (options.check && missed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
