//! What the gateway costs, loses and leaves, measured on the real binary: the ladder beside nginx, the soak,
//! clients that leave, and neighbours that compute for ever. See README.md beside this crate.
#![allow(
    clippy::print_stdout,
    reason = "a command line tool: the report goes to standard output, progress to standard error"
)]

mod backend;
mod client;
mod disconnects;
mod error;
mod field;
mod gateway;
mod instances;
mod isolation;
mod ladder;
mod load;
mod machine;
mod mock;
mod models;
mod neighbours;
mod nginx;
mod plot;
mod probe;
mod report;
mod rungs;
mod server;
mod soak;
mod stage;
mod stats;
mod summary;
mod tally;
mod targets;

use clap::{Parser, Subcommand};
use error::{Context, Fallible};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures the gateway on this machine", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load every rung in turn and report.
    Ladder(ladder::Options),
    /// Send good and hostile requests at once, for a long time: nothing may be lost, left or grow.
    Soak(soak::Options),
    /// Leave in the middle of requests, and measure how soon nothing of them is left.
    Disconnects(disconnects::Options),
    /// Measure what guests that compute for ever do to others.
    Neighbours(neighbours::Options),
    /// Measure what one tenant's hostile adaptors do to another tenant.
    Isolation(isolation::Options),
    /// Measure what four instances of a model give, beside one.
    Instances(instances::Options),
    /// Load a gateway, as the other tenant of `isolation`.
    #[command(hide = true)]
    RivalLoad(isolation::LoadOptions),
    /// Answer, as the backend of the other tenant of `isolation`.
    #[command(hide = true)]
    RivalBackend,
    /// Answer chat completions from memory, as the upstream of every rung.
    Mock(mock::Options),
}

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Fallible<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context(|| "cannot start the runtime".into())?;
    runtime.block_on(async {
        match cli.command {
            Command::Mock(options) => mock::run(&options).await.map(|()| ExitCode::SUCCESS),
            Command::Ladder(options) => until_signal(ladder::run(&options)).await,
            Command::Soak(options) => until_signal(soak::run(&options)).await,
            Command::Disconnects(options) => until_signal(disconnects::run(&options)).await,
            Command::Neighbours(options) => until_signal(neighbours::run(&options)).await,
            Command::Isolation(options) => until_signal(isolation::run(&options)).await,
            Command::Instances(options) => until_signal(instances::run(&options)).await,
            Command::RivalLoad(options) => isolation::load(&options).await.map(|()| ExitCode::SUCCESS),
            Command::RivalBackend => isolation::serve().await.map(|()| ExitCode::SUCCESS),
        }
    })
}

/// Runs `work`; a signal drops it, and with it every process it started.
async fn until_signal(work: impl Future<Output = Fallible<ExitCode>>) -> Fallible<ExitCode> {
    let mut terminate = signal(SignalKind::terminate()).context(|| "cannot watch for SIGTERM".into())?;
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err("interrupted: stopped everything it had started".into()),
        _ = terminate.recv() => Err("terminated: stopped everything it had started".into()),
    }
}
