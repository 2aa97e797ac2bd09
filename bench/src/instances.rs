//! What four instances of a model give, beside one: FIRST's paper reports 2.9 times the throughput. Each has room for a few
//! requests at a time, as an inference server has; which one is asked is the gateway's business.

use crate::backend::{CAPACITY, INSTANCES, WORK};
use crate::error::Fallible;
use crate::load::{self, Aim};
use crate::machine::Machine;
use crate::report::align;
use crate::rungs::{Model, named};
use crate::stage::{Common, Stage};
use serde::Serialize;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What four have to give, in times of what one gives.
const BOUND: f64 = 3.8;
/// Enough to keep all of them busy, with as many waiting.
const CONNECTIONS: usize = 2 * INSTANCES * CAPACITY;
/// The name of all of them together.
const ALL: &str = "all";
/// How long the gateway may take to see a new file.
const RELOAD_LIMIT: Duration = Duration::from_secs(20);

const MODELS: [Model; INSTANCES] = [
    named("instance-0", "direct-api").at("/capped/0/v1"),
    named("instance-1", "direct-api").at("/capped/1/v1"),
    named("instance-2", "direct-api").at("/capped/2/v1"),
    named("instance-3", "direct-api").at("/capped/3/v1"),
];

/// How to measure instances.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Seconds for each load.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often each is loaded.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

#[derive(Serialize)]
struct Figures {
    machine: Machine,
    command: String,
    capacity: usize,
    work_ms: u128,
    connections: usize,
    bound: f64,
    rounds: Vec<Round>,
}

/// Answers in a second.
#[derive(Serialize)]
struct Round {
    one: f64,
    four: f64,
    times: f64,
}

/// Measures and reports. The exit code is 1 where four give less than they should.
pub async fn run(options: &Options) -> Fallible<ExitCode> {
    let machine = options.common.look()?;
    let stage = Stage::start(&options.common, &MODELS, &[]).await?;
    federate(&stage).await?;
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        let one = rate(&stage, "instance-0", options.seconds).await?;
        let four = rate(&stage, ALL, options.seconds).await?;
        eprintln!("{round}/{}: one {one:.1}/s, four {four:.1}/s", options.rounds);
        rounds.push(Round { one, four, times: four / one });
        stage.gateway.server.trim_logs();
    }
    let (work_ms, command) = (WORK.as_millis(), stage.gateway.server.command.clone());
    let (capacity, connections) = (CAPACITY, CONNECTIONS);
    let figures = Figures { machine, command, capacity, work_ms, connections, bound: BOUND, rounds };
    println!("{}", align(&table(&figures.rounds)));
    options.common.write("instances.json", &figures)?;
    let short = figures.rounds.iter().find(|round| round.times < BOUND);
    if let Some(round) = short {
        println!("FAIL: four instances give {:.2} times what one gives, not {BOUND}", round.times);
    }
    Ok(if short.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Puts one name in front of all, in a file that the gateway sees while it runs.
async fn federate(stage: &Stage) -> Fallible<()> {
    let targets: Vec<Value> = MODELS
        .iter()
        .map(|model| json!({ "cluster": "bench", "framework": "api", "model": model.name }))
        .collect();
    let entry = json!([{ "model": "resource_server.federatedendpoint", "fields": {
        "name": ALL, "target_model_name": ALL, "targets": targets,
    }}]);
    std::fs::write(stage.dir().join("fixtures/federated.json"), entry.to_string())?;
    let started = Instant::now();
    while load::run(&url(stage), &script(stage, ALL)?, 1, 1).await?.bad_statuses > 0 {
        if started.elapsed() > RELOAD_LIMIT {
            return Err("the gateway has not read the new file".into());
        }
    }
    Ok(())
}

async fn rate(stage: &Stage, model: &str, seconds: u64) -> Fallible<f64> {
    let outcome = load::run(&url(stage), &script(stage, model)?, CONNECTIONS, seconds).await?;
    let failed = outcome.bad_statuses + outcome.broken;
    if failed > 0 {
        return Err(format!("{failed} requests to {model} failed").into());
    }
    Ok(outcome.rate())
}

fn url(stage: &Stage) -> String {
    format!("{}/chat/completions", stage.gateway.url)
}

fn script(stage: &Stage, model: &str) -> Fallible<std::path::PathBuf> {
    let authorization = format!("Bearer {}", stage.gateway.key);
    let aim = Aim { url: url(stage), authorization, body: load::body(model, false) };
    load::write_script(stage.dir(), model, &aim)
}

fn table(rounds: &[Round]) -> Vec<Vec<String>> {
    let heads = ["one instance", "four", "times"].map(str::to_owned).to_vec();
    let line = |round: &Round| {
        vec![format!("{:.1}/s", round.one), format!("{:.1}/s", round.four), format!("{:.2}", round.times)]
    };
    std::iter::once(heads).chain(rounds.iter().map(line)).collect()
}
