//! What the calls of one version of an adaptor come to.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::Fault;

/// Calls of a version, and those of them that failed by its own fault.
#[derive(Debug, Default)]
pub struct Health {
    calls: AtomicU64,
    faults: AtomicU64,
}

impl Health {
    /// Calls that came to an end, of any kind.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Calls in which it crashed, went over a limit or broke its contract.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}

/// Notes how a call ended.
pub(crate) fn note_call(health: &[Arc<Health>], fault: Option<&Fault>) {
    for health in health {
        health.calls.fetch_add(1, Ordering::Relaxed);
    }
    note_fault(health, fault);
}

/// Notes a fault within a call that is counted already: in a stream.
pub(crate) fn note_fault(health: &[Arc<Health>], fault: Option<&Fault>) {
    if !fault.is_some_and(is_its_own) {
        return;
    }
    for health in health {
        health.faults.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the adaptor itself is to blame. What it reports is most often the backend's, and a full pool nobody's.
fn is_its_own(fault: &Fault) -> bool {
    match fault {
        Fault::Trap(_) | Fault::CpuLimit | Fault::MemoryLimit | Fault::BadOutput(_) | Fault::Timeout => true,
        Fault::Reported(_) | Fault::Egress(_) | Fault::Overloaded { .. } | Fault::DayUsedUp { .. } => false,
    }
}
