//! What the calls of one request use up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// What calls have used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Costs {
    /// CPU time of guests, what it takes to make their instances included.
    pub cpu: Duration,
    /// The most linear memory that one instance had, in bytes.
    pub peak_memory: usize,
    /// Bytes of bodies that were sent to backends. What stands around them on the wire counts for the tenant's day alone.
    pub egress_bytes: u64,
}

/// Adds up what the calls of one request use, whichever endpoints they are of. Clones add to the same.
#[derive(Debug, Clone, Default)]
pub struct Spent(Arc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    cpu_ns: AtomicU64,
    peak_memory: AtomicUsize,
    egress_bytes: AtomicU64,
}

impl Spent {
    /// All of it, so far.
    pub fn total(&self) -> Costs {
        Costs {
            cpu: Duration::from_nanos(self.0.cpu_ns.load(Ordering::Relaxed)),
            peak_memory: self.0.peak_memory.load(Ordering::Relaxed),
            egress_bytes: self.0.egress_bytes.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn charge_cpu(&self, nanoseconds: u64) {
        self.0.cpu_ns.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn note_memory(&self, bytes: usize) {
        self.0.peak_memory.fetch_max(bytes, Ordering::Relaxed);
    }

    pub(crate) fn charge_egress(&self, bytes: u64) {
        self.0.egress_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
