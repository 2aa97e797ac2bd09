//! Two tenants on one gateway: one asks its model at a steady rate, the other's adaptors compute for ever, take all
//! memory, wait for a slow backend or relay huge bodies, at ten times that rate. What does the first one lose?
//!
//! The clients and backends of the second tenant are processes of the lowest priority, as they would be on other
//! machines. They share this machine's cores, memory and kernel all the same: how much that alone costs is told by the
//! first tenant on a gateway of its own, while the second loads the first gateway as before.

mod pace;
mod report;
mod rival;
mod tenants;

use crate::error::Fallible;
use crate::stage::{Common, Stage};
use crate::tally::Tally;
use pace::{Pace, Paced};
use report::{Figures, Row};
use rival::Rival;
pub use rival::{LoadOptions, load, serve};
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;
use tenants::{KINDS, Tenants};

/// How much faster the second tenant asks.
const TIMES: u32 = 10;
/// Connections of the first tenant's clients.
const CONNECTIONS: usize = 32;

/// How to measure isolation.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Requests of the first tenant in a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Seconds per cell.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often every cell is measured, alone and beside the other tenant in turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only what the other tenant does under this name, for example `huge bodies`.
    #[arg(long)]
    only: Option<String>,
    /// End with an error unless every target is reached.
    #[arg(long)]
    check: bool,
}

/// One round of one kind: alone, then beside, then on another gateway.
#[derive(Serialize)]
pub struct Round {
    alone: Paced,
    beside: Paced,
    apart: Paced,
    /// What became of the other tenant's requests.
    rival: Tally,
}

/// Measures and reports.
pub async fn run(options: &Options) -> Fallible<ExitCode> {
    let machine = options.common.look()?;
    let settings = [
        ("AIRLOCK_SANDBOX__SLOTS", "256".to_owned()),
        ("AIRLOCK_EGRESS__ALLOW_NETWORKS", r#"["127.0.0.0/8"]"#.to_owned()),
    ];
    let stage = Stage::start(&options.common, &[], &settings).await?;
    let own = Stage::start(&options.common, &[], &settings).await?;
    let rival = Rival::start(stage.dir()).await?;
    let tenants = Tenants::make(&stage, &options.common, stage.backend.address, rival.address()).await?;
    let calm_alone = tenants::calm_alone(&own, &options.common, own.backend.address).await?;
    let seconds = Duration::from_secs(options.seconds);
    let pace = Pace { rate: options.rate, connections: CONNECTIONS };
    let [right, own_right] = [&stage, &own].map(|stage| stage.backend.mock.completion().clone());
    let mut rows = Vec::new();
    for kind in KINDS.iter().filter(|kind| options.only.as_ref().is_none_or(|only| *only == kind.name)) {
        let mut rounds = Vec::new();
        for round in 0..=options.rounds {
            // Round 0 warms up.
            let time = if round == 0 { Duration::from_secs(2) } else { seconds };
            let alone = pace.run(stage.address, &tenants.calm, &right, time).await?;
            let noise = rival.load(&stage, &tenants, kind, options.rate * TIMES, time)?;
            let beside = pace.run(stage.address, &tenants.calm, &right, time).await?;
            let mut noise = noise.end().await?;
            let more = rival.load(&stage, &tenants, kind, options.rate * TIMES, time)?;
            let apart = pace.run(own.address, &calm_alone, &own_right, time).await?;
            noise.merge(&more.end().await?);
            eprintln!(
                "{} {round}/{}: {}",
                kind.name,
                options.rounds,
                report::progress(&alone, &beside, &apart)
            );
            rounds.extend((round > 0).then_some(Round { alone, beside, apart, rival: noise }));
            stage.gateway.server.trim_logs();
            own.gateway.server.trim_logs();
        }
        rows.extend(Row::of(kind.name, rounds));
    }
    let figures = Figures::new(machine, stage.gateway.server.command.clone(), options, rows);
    println!("{}", report::tell(&figures));
    options.common.write("isolation.json", &figures)?;
    let failed = options.check && !figures.misses.is_empty();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
