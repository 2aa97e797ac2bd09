//! What the end of a call says about the component.

use airlock_sandbox::{EgressError, Fault};

use crate::gate::report::Finding;

/// Why a check ends before its end.
pub(super) enum Stop {
    /// With this finding.
    Found(Finding),
    /// All there is of something is in use.
    Busy(String),
}

impl Stop {
    pub(super) fn fails(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Found(Finding::fails(message, remedy))
    }
}

/// The longest account of a fault. A trap's has a line for each function.
const MAX_WORDS: usize = 400;

/// What the fault of a call comes to: words where it may happen, and an end where it may not. `when` says what the call
/// was for.
pub(super) fn judge(fault: &Fault, when: &str) -> Result<String, Stop> {
    let words = words(fault);
    let remedy = match fault {
        Fault::Reported(_) => return Ok(words),
        Fault::Overloaded { .. }
        | Fault::DayUsedUp { .. }
        | Fault::Egress(EgressError::Busy(_) | EgressError::DayUsedUp(_)) => return Err(Stop::Busy(words)),
        Fault::Egress(_) => return Ok(words),
        Fault::Trap(_) => {
            "return an `adaptor-error` instead: nothing that a backend or a client sends may make it panic; its last \
             words are in the gateway's log"
        }
        Fault::CpuLimit => "let it compute less, or ask the operator for more (`sandbox.cpu_ms`)",
        Fault::MemoryLimit => {
            "let it hold less at a time, or ask the operator for more (`sandbox.memory_mib`)"
        }
        Fault::Timeout => {
            "let it end what takes too long: give its calls a timeout and wait for nothing without one"
        }
        Fault::BadOutput(_) => {
            "reply with one JSON object: a body is one, and each event is one on one line (docs/adaptors.md)"
        }
    };
    Err(Stop::fails(format!("{when}: {words}"), remedy))
}

/// The fault in one line.
pub(super) fn words(fault: &Fault) -> String {
    let all = fault.to_string();
    let mut lines = all.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut words = lines.next().unwrap_or_default().to_owned();
    // Of a trap the last line is what happened; those before say where.
    if let Some(last) = lines.next_back() {
        words = format!("{words} … {last}");
    }
    words.chars().take(MAX_WORDS).collect()
}
