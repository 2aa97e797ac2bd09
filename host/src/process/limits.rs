//! Limits of the system on one process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Outcome, Step};

/// Below this a gateway runs out of files early: each request in progress holds two.
const FEW_FILES: u64 = 4096;

/// What one process that compiles may use.
#[derive(Debug, Clone)]
pub struct CompilerLimits {
    /// CPU time over all its threads, in seconds.
    pub cpu_seconds: u64,
    /// Address space, in bytes: what the program itself takes counts too.
    pub memory_bytes: u64,
}

/// As many as the hard limit allows.
pub(super) fn raise_open_files() -> Outcome {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        if let Err(error) = raised {
            return Outcome::CouldNot(error.to_string());
        }
    }
    match maximum {
        Some(few) if few < FEW_FILES => Outcome::CouldNot(format!(
            "above the hard limit of {few}, and each request takes two; raise that (LimitNOFILE, ulimit -Hn)"
        )),
        _ if current == maximum => Outcome::NotNeeded,
        _ => Outcome::Done,
    }
}

/// A core dump holds keys, prompts and answers.
pub(super) fn no_core_dumps() -> Outcome {
    // Linux hands a dump to a program (`|` in core_pattern) whatever the limit is, unless it is 1. To a file it
    // writes none with either.
    let most = getrlimit(Resource::Core).maximum.unwrap_or(1).min(1);
    lower(Resource::Core, most)
}

pub(super) fn for_compiler(limits: &CompilerLimits) -> Vec<Step> {
    vec![
        Step { action: "limit CPU time", outcome: limit_cpu_time(limits.cpu_seconds) },
        Step { action: "limit memory", outcome: lower(Resource::As, limits.memory_bytes) },
        Step { action: "limit open files", outcome: lower(Resource::Nofile, 16) },
        Step { action: "switch core dumps off", outcome: no_core_dumps() },
    ]
}

/// At the soft limit comes SIGXCPU, so that whoever waits for the process knows why it ended.
fn limit_cpu_time(seconds: u64) -> Outcome {
    let maximum = seconds.saturating_add(1);
    Outcome::of(setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum: Some(maximum) }))
}

/// For good: the hard limit too.
fn lower(resource: Resource, limit: u64) -> Outcome {
    Outcome::of(setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) }))
}
