//! How soon nothing is left of a request whose client has gone: no instance, no connection to the backend.

use crate::client::{Client, Visitor};
use crate::error::Fallible;
use crate::machine::Machine;
use crate::models;
use crate::report::align;
use crate::rungs::Model;
use crate::stage::{Common, INSTANCES, Stage, restless};
use crate::stats::Spread;
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The 99th percentile has to be below.
const BOUND_MS: f64 = 100.0;
/// Nothing that works takes this long.
const LIMIT: Duration = Duration::from_secs(20);
/// So that a guest is in the middle of its loop when the client goes.
const INTO_THE_LOOP: Duration = Duration::from_millis(10);

/// How to measure disconnects.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Disconnects in all; each phase has a quarter of them.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    count: u32,
}

/// Where the request is when its client goes.
#[derive(Clone, Copy)]
enum Phase {
    BeforeHead,
    MidRelay,
    MidEvents,
    Computing,
}

impl Phase {
    const ALL: [Self; 4] = [Self::BeforeHead, Self::MidRelay, Self::MidEvents, Self::Computing];

    fn name(self) -> &'static str {
        match self {
            Self::BeforeHead => "before the head",
            Self::MidRelay => "within a relayed stream",
            Self::MidEvents => "within a guest's events",
            Self::Computing => "while a guest computes",
        }
    }

    /// The model to ask; before the head it is in turn the host and the guest that waits for the backend.
    fn model(self, round: u32) -> Model {
        match self {
            Self::BeforeHead if round.is_multiple_of(2) => models::HELD_FORWARD,
            Self::BeforeHead => models::HELD_REWRITE,
            Self::MidRelay => models::DRIP_FORWARD,
            Self::MidEvents => models::DRIP_REWRITE,
            Self::Computing => models::SPIN,
        }
    }

    fn streamed(self) -> bool {
        matches!(self, Self::MidRelay | Self::MidEvents)
    }
}

#[derive(Serialize)]
struct Figures {
    machine: Machine,
    command: String,
    bound_p99_ms: f64,
    phases: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    phase: &'static str,
    #[serde(flatten)]
    times: Spread,
}

/// Measures and reports. The exit code is 1 where the gateway is too slow, or something is left.
pub async fn run(options: &Options) -> Fallible<ExitCode> {
    let machine = options.common.look()?;
    let models = [
        models::HELD_FORWARD,
        models::HELD_REWRITE,
        models::DRIP_FORWARD,
        models::DRIP_REWRITE,
        models::SPIN,
    ];
    // Nothing but the disconnect ends a guest. The second worker is for the connection that asks.
    let settings = [("AIRLOCK_WORKERS", "2".into()), ("AIRLOCK_SANDBOX__CPU_MS", "600000".into())];
    let stage = Stage::start(&options.common, &models, &settings).await?;
    let mut observer = stage.client().await?;
    let mut times = Phase::ALL.map(|phase| (phase, Vec::new()));
    for round in 0..options.count.div_ceil(4) {
        for (phase, times) in &mut times {
            times.push(leave(&stage, &mut observer, *phase, round).await?);
        }
        if round % 50 == 49 {
            stage.gateway.server.trim_logs();
            eprintln!("{} of {} disconnects", (round + 1) * 4, options.count);
        }
    }
    let left = restless(&stage.rest(&mut observer).await?);
    let figures = Figures {
        machine,
        command: stage.gateway.server.command.clone(),
        bound_p99_ms: BOUND_MS,
        phases: rows(times),
    };
    println!("{}", align(&table(&figures.phases)));
    options.common.write("disconnects.json", &figures)?;
    let slow = figures.phases.iter().find(|row| row.times.p99_ms >= BOUND_MS);
    let slow = slow.map(|row| format!("p99 {} is not below {BOUND_MS} ms", row.phase));
    let faults: Vec<String> = left.into_iter().chain(slow).collect();
    faults.iter().for_each(|fault| println!("FAIL: {fault}"));
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Brings one request to its phase, leaves, and measures until all is as it was.
async fn leave(stage: &Stage, observer: &mut Client, phase: Phase, round: u32) -> Fallible<Duration> {
    let before = stage.rest(observer).await?;
    if let Some(fault) = restless(&before) {
        return Err(format!("after a disconnect {}: {fault}", phase.name()).into());
    }
    let (connections, held) = (stage.backend.open(), stage.backend.held());
    let mut visitor =
        Visitor::send(stage.address, &stage.chat(&phase.model(round), phase.streamed())).await?;
    let reached = async {
        match phase {
            Phase::BeforeHead => stage.backend.held_beyond(held).await,
            Phase::MidRelay | Phase::MidEvents => visitor.first_event().await?,
            Phase::Computing => {
                while instances(observer).await? == 0 {}
                tokio::time::sleep(INTO_THE_LOOP).await;
            }
        }
        Fallible::Ok(())
    };
    let late = |what: &str| format!("{}: {what} in {} s", phase.name(), LIMIT.as_secs());
    tokio::time::timeout(LIMIT, reached).await.map_err(|_| late("it did not come to that"))??;
    let started = Instant::now();
    drop(visitor);
    let gone = async {
        let instances_gone = async {
            while instances(observer).await? > 0 {}
            Fallible::Ok(())
        };
        tokio::join!(instances_gone, stage.backend.closed_to(connections)).0
    };
    tokio::time::timeout(LIMIT, gone).await.map_err(|_| late("something was left"))??;
    Ok(started.elapsed())
}

async fn instances(observer: &mut Client) -> Fallible<u64> {
    Ok(observer.gauges().await?.get(INSTANCES).copied().ok_or("the gateway does not count its instances")?)
}

/// Each phase, and all together.
fn rows(times: [(Phase, Vec<Duration>); 4]) -> Vec<Row> {
    let all = Spread::of(times.iter().flat_map(|(_, times)| times.iter().copied()));
    let of_phases = times.into_iter().map(|(phase, times)| (phase.name(), Spread::of(times)));
    let rows = of_phases.chain([("all", all)]);
    rows.filter_map(|(phase, times)| Some(Row { phase, times: times? })).collect()
}

fn table(rows: &[Row]) -> Vec<Vec<String>> {
    let heads = ["the client goes", "count", "p50 ms", "p99 ms", "max ms"].map(str::to_owned).to_vec();
    let line = |Row { phase, times }: &Row| {
        let ms = [times.p50_ms, times.p99_ms, times.max_ms].map(|ms| format!("{ms:.2}"));
        [phase.to_string(), times.count.to_string()].into_iter().chain(ms).collect()
    };
    std::iter::once(heads).chain(rows.iter().map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_is_of_all_phases() {
        let times = Phase::ALL.map(|phase| (phase, vec![Duration::from_millis(phase as u64 + 1)]));
        let rows = rows(times);
        assert_eq!(rows.len(), 5);
        let last = rows.last().map(|row| (row.phase, row.times.count, row.times.max_ms));
        assert_eq!(last, Some(("all", 4, 4.0)));
        assert!(table(&rows).iter().all(|line| line.len() == 5));
    }

    #[test]
    fn both_ways_of_waiting_for_a_backend_take_turns() {
        let names = [0, 1, 2].map(|round| Phase::BeforeHead.model(round).name);
        assert_eq!(names, ["held-forward", "held-rewrite", "held-forward"]);
    }
}
