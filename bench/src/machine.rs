//! The facts a reader needs beside the numbers.

use crate::error::{Context, Fallible};
use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// What it was measured on, and with which programs.
#[derive(Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many cores there are to use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// When the run began.
    pub date: String,
    /// The commit of the tree, with `+changes` where the tree differs from it.
    pub commit: String,
    /// The load generator of the ladder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrk: Option<String>,
    /// The scale of the ladder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nginx: Option<String>,
    /// The gateway.
    pub airlock: Option<String>,
    /// Names of the gateway's settings that came from the environment of the bench.
    pub settings_from_environment: Vec<String>,
}

/// Reads what the system tells about itself.
pub fn look(wrk: Option<String>, nginx: Option<String>, airlock: Option<String>) -> Machine {
    #[expect(clippy::disallowed_methods, reason = "a tool of its own, not a room of the gateway")]
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    Machine {
        cpu: cpu().unwrap_or_else(|| "unknown".into()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into()),
        date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        commit: commit().unwrap_or_else(|| "none".into()),
        wrk,
        nginx,
        airlock,
        settings_from_environment: names.filter(|name| name.starts_with("AIRLOCK_")).collect(),
    }
}

/// Refuses where there is no /proc to read processor time from.
pub fn require_proc() -> Fallible<()> {
    std::fs::metadata("/proc/self/stat")
        .map(drop)
        .context(|| "this tool reads what processes use from /proc: run it on Linux".into())
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

fn cpu() -> Option<String> {
    let text = read("/proc/cpuinfo")?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(": ")?.1.to_owned())
}

fn commit() -> Option<String> {
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    let clean = git(&["status", "--porcelain"])?.is_empty();
    Some(if clean { head } else { head + "+changes" })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
