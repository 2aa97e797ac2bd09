//! What calls use, for whoever wants to know.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{Spent, Tenant, counted::Counted, limits::CpuClock};

/// Measures the calls that carry it: all of them together. Clones are one meter.
#[derive(Clone)]
pub struct Meter(Arc<Measured>);

struct Measured {
    clock: CpuClock,
    memory: AtomicUsize,
    live: Arc<AtomicUsize>,
}

impl Meter {
    /// A meter of calls of this tenant, whose use they are beside.
    pub fn of(tenant: &Tenant) -> Self {
        let clock = CpuClock::new(tenant.usage(), Spent::default());
        Self(Arc::new(Measured { clock, memory: AtomicUsize::new(0), live: Arc::default() }))
    }

    /// CPU time of the guest, what it takes to make the instance included.
    pub fn cpu(&self) -> Duration {
        self.0.clock.used()
    }

    /// The most linear memory that one instance had.
    pub fn peak_memory(&self) -> usize {
        self.0.memory.load(Ordering::Relaxed)
    }

    /// Instances that exist at this moment.
    pub fn live_instances(&self) -> usize {
        self.0.live.load(Ordering::Acquire)
    }

    pub(crate) fn clock(&self) -> CpuClock {
        self.0.clock.clone()
    }

    pub(crate) fn note_memory(&self, bytes: usize) {
        self.0.memory.fetch_max(bytes, Ordering::Relaxed);
    }

    pub(crate) fn instance(&self) -> Counted {
        Counted::new(&self.0.live)
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Meter({:?}, {} bytes)", self.cpu(), self.peak_memory())
    }
}
