//! What an operator can watch: the log, and what is counted.
//!
//! The log: lines for people on a terminal, JSON elsewhere. Always on standard error, never blocking a
//! request: where it is not read fast enough, lines are dropped and counted.

mod metrics;
mod telemetry;
mod writer;

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::Env;

pub use metrics::{MAX_SERIES, Metrics};
pub use telemetry::{Telemetry, authorities};
pub use writer::{LogDrops, LogGuard};

/// Starts logging for the process. What still waits is written when the guard is dropped.
///
/// `AIRLOCK_LOG` chooses what is logged, in the form of `RUST_LOG`; by default `info`.
pub fn start(env: &Env) -> Result<LogGuard, String> {
    let directives = env.get("AIRLOCK_LOG").unwrap_or("info");
    let filter = EnvFilter::try_new(directives)
        .map_err(|e| format!("AIRLOCK_LOG is not a log filter ({e}); for example: info,airlock=debug"))?;
    let is_terminal = std::io::stderr().is_terminal();
    let (buffer, guard) =
        writer::Buffer::start(std::io::stderr()).map_err(|e| format!("the log cannot be started: {e}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = if is_terminal {
        registry.with(fmt::layer().with_writer(buffer)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(buffer)).try_init()
    };
    started.map_err(|e| e.to_string())?;
    Ok(guard)
}
