//! What one call takes.

use std::time::{Duration, Instant};

use airlock_sandbox::Meter;

use crate::gate::report::Cost;

/// Calls that are measured, and the longest that this takes.
const MEASURED: usize = 20;
const MEASURED_FOR: Duration = Duration::from_secs(1);

/// What was measured so far.
pub(super) struct Costs {
    started: Instant,
    times: Vec<Duration>,
    peak_memory: usize,
}

impl Costs {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), times: Vec::with_capacity(MEASURED), peak_memory: 0 }
    }

    /// Whether another call is worth its time.
    pub(super) fn want_more(&self) -> bool {
        let count = self.times.len();
        count == 0 || (count < MEASURED && self.started.elapsed() < MEASURED_FOR)
    }

    /// Adds a call that is over.
    pub(super) fn add(&mut self, meter: &Meter) {
        self.times.push(meter.cpu());
        self.peak_memory = self.peak_memory.max(meter.peak_memory());
    }

    /// The median of the times, and the most memory.
    pub(super) fn of_one(mut self, compile_ms: u64) -> Cost {
        self.times.sort_unstable();
        let median = self.times.get(self.times.len() / 2).copied().unwrap_or_default();
        let request_cpu_us = u64::try_from(median.as_micros()).unwrap_or(u64::MAX);
        Cost { compile_ms, request_cpu_us, peak_memory_bytes: self.peak_memory }
    }
}
