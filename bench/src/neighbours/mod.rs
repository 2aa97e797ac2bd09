//! What guests that compute for ever do to others on the same worker: to chats, to `/health`, to memory.

mod cells;
mod loops;
mod report;
mod spinners;

use crate::error::Fallible;
use crate::models;
use crate::stage::{Common, Stage};
use crate::tally::Tally;
use cells::{CELLS, Sample};
use report::{Figures, Row};
use spinners::Spinners;
use std::process::ExitCode;
use std::time::Duration;

/// Clients of dead loops: alone, one, many.
const SPINNING: [usize; 3] = [0, 1, 8];

/// How to measure neighbours.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Seconds per cell.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often every cell is measured, alone and with neighbours in turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Dead loops in a row, for memory; 0 leaves them out.
    #[arg(long, default_value_t = 10_000)]
    loops: u64,
    /// End with an error unless every target is reached.
    #[arg(long)]
    check: bool,
}

/// The samples of one cell with one number of spinning clients, one for each round.
pub struct Series {
    cell: &'static cells::Cell,
    spinning: usize,
    samples: Vec<Sample>,
}

/// Measures and reports.
pub async fn run(options: &Options) -> Fallible<ExitCode> {
    let machine = options.common.look()?;
    let settings = [("AIRLOCK_WORKERS", "1".to_owned()), ("AIRLOCK_SANDBOX__CPU_MS", "2000".to_owned())];
    let served = [models::FORWARD, models::SLOW_FORWARD, models::SPIN];
    let stage = Stage::start(&options.common, &served, &settings).await?;
    let command = stage.gateway.server.command.clone();
    let mut all: Vec<Series> = SPINNING
        .iter()
        .flat_map(|&spinning| CELLS.iter().map(move |cell| Series { cell, spinning, samples: Vec::new() }))
        .collect();
    let mut dead_loops = Tally::default();
    for round in 0..=options.rounds {
        dead_loops.merge(&play(&stage, &mut all, round, options).await?);
    }
    drop(stage);
    let loops = match options.loops {
        0 => None,
        count => {
            eprintln!("{count} dead loops in a row …");
            Some(loops::run(&options.common, count).await?)
        }
    };
    let (rounds, seconds) = (options.rounds, options.seconds);
    let rows: Vec<Row> = all.iter().filter_map(|series| report::row(series, &all)).collect();
    let figures = Figures::new(machine, command, rounds, seconds, rows, dead_loops, loops);
    println!("{}", report::tell(&figures));
    options.common.write("neighbours.json", &figures)?;
    let failed = options.check && !figures.misses.is_empty();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One round: every cell alone and with neighbours, the other way round next time. Round 0 warms up.
async fn play(stage: &Stage, all: &mut [Series], round: u32, options: &Options) -> Fallible<Tally> {
    let time = Duration::from_secs(if round == 0 { 1 } else { options.seconds });
    let mut levels = SPINNING;
    if round % 2 == 1 {
        levels.reverse();
    }
    let mut dead_loops = Tally::default();
    for spinning in levels {
        let mut observer = stage.client().await?;
        let spinners = Spinners::start(stage, &mut observer, spinning).await?;
        for series in all.iter_mut().filter(|series| series.spinning == spinning) {
            let sample = series.cell.measure(stage, time).await?;
            eprintln!(
                "round {round}/{} with {spinning} spinning: {} chats at a time, {} ms upstream: {:.0} req/s",
                options.rounds,
                series.cell.clients,
                series.cell.delay_ms(),
                sample.requests_per_second
            );
            series.samples.extend((round > 0).then_some(sample));
        }
        dead_loops.merge(&spinners.stop(stage, &mut observer).await?);
        stage.gateway.server.trim_logs();
    }
    Ok(dead_loops)
}
