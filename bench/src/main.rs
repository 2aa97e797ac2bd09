//! The bench ladder: a mock upstream, nginx in front of it, and the gateway with every kind of reply,
//! loaded in turn in one run on one machine. See README.md beside this crate.
#![allow(
    clippy::print_stdout,
    reason = "a command line tool: the report goes to standard output, progress to standard error"
)]

mod error;
mod field;
mod gateway;
mod ladder;
mod load;
mod machine;
mod mock;
mod nginx;
mod plot;
mod probe;
mod report;
mod rungs;
mod server;
mod summary;
mod targets;

use clap::{Parser, Subcommand};
use error::{Context, Fallible};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures the gateway against nginx, on this machine", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load every rung in turn and report.
    Ladder(ladder::Options),
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
