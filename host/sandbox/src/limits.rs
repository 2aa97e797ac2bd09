//! What one call may use, and the counters that enforce it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, Result};

use crate::{Meter, Spent, Usage, engine::TICK, lane::BURST};

/// What one call may use. Each limit has its own error code.
#[derive(Debug, Clone)]
pub struct Budgets {
    /// CPU time of the guest, over the whole call including its events (`adaptor_cpu_limit`).
    pub cpu: Duration,
    /// Wall time until the guest has replied, and until each event (`adaptor_timeout`).
    pub wall: Duration,
    /// Linear memory, summed over all memories of the component (`adaptor_memory_limit`).
    pub memory_bytes: usize,
    /// Table elements, summed over all tables.
    pub table_elements: usize,
    /// Bytes that one call from guest to host may carry.
    pub hostcall_bytes: usize,
    /// Handles that the guest may hold.
    pub handles: usize,
    /// Host resources (streams, responses, …) that the guest may hold.
    pub resources: usize,
    /// Outbound calls (`outbound_call_limit`).
    pub outbound_calls: u32,
    /// Bytes of log lines, standard output and standard error.
    pub log_bytes: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(2),
            wall: Duration::from_secs(600),
            memory_bytes: 128 << 20,
            table_elements: 100_000,
            hostcall_bytes: 64 << 20,
            handles: 10_000,
            resources: 1_024,
            outbound_calls: 16,
            log_bytes: 64 << 10,
        }
    }
}

/// A budget that was used up, carried through wasmtime as the cause of a trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("CPU budget used up")]
    Cpu,
    #[error("memory budget used up")]
    Memory,
}

/// Sums memory and tables over everything that one store holds. A refusal traps: a guest that was
/// merely told -1 would go on and fail in a place that says nothing.
pub(crate) struct MemoryLimiter {
    memory: Allowance,
    tables: Allowance,
    meter: Option<Meter>,
    spent: Spent,
}

struct Allowance {
    used: usize,
    limit: usize,
}

impl Allowance {
    fn grow(&mut self, current: usize, desired: usize) -> Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            return Err(Exceeded::Memory.into());
        }
        self.used = used;
        Ok(true)
    }
}

impl MemoryLimiter {
    pub(crate) fn new(budgets: &Budgets, meter: Option<Meter>, spent: Spent) -> Self {
        Self {
            memory: Allowance { used: 0, limit: budgets.memory_bytes },
            tables: Allowance { used: 0, limit: budgets.table_elements },
            meter,
            spent,
        }
    }
}

impl MemoryLimiter {
    /// Counts on from what the instance had before the call began.
    pub(crate) fn carry_over(&mut self, before: &Self) {
        self.memory.used = before.memory.used;
        self.tables.used = before.tables.used;
        if let Some(meter) = &self.meter {
            meter.note_memory(self.memory.used);
        }
        self.spent.note_memory(self.memory.used);
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, now: usize, then: usize, _max: Option<usize>) -> Result<bool> {
        let grown = self.memory.grow(now, then)?;
        if let Some(meter) = &self.meter {
            meter.note_memory(self.memory.used);
        }
        self.spent.note_memory(self.memory.used);
        Ok(grown)
    }

    fn table_growing(&mut self, now: usize, then: usize, _max: Option<usize>) -> Result<bool> {
        self.tables.grow(now, then)
    }

    fn instances(&self) -> usize {
        200
    }
}

/// What a poll on a worker is counted for at most: a burst, and the ticks at which that is suspected and known.
const MAX_WORKER_POLL_NS: u64 = (BURST.as_nanos() + 2 * TICK.as_nanos()) as u64;

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Of this thread.
fn processor_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    nanoseconds(Duration::try_from(time).unwrap_or_default())
}

/// CPU time of one guest: the time spent inside polls of its future. Waiting for a backend does not count,
/// yielding to neighbours neither.
#[derive(Clone)]
pub(crate) struct CpuClock(Arc<Times>);

struct Times {
    /// What the time is charged to.
    usage: Arc<Usage>,
    /// And for which request.
    spent: Spent,
    base: Instant,
    used_ns: AtomicU64,
    started_ns: AtomicU64,
    /// In the slow lane the system takes the thread away at any moment, so processor time is read there. It
    /// costs a system call; workers, which go first, read the cheaper clock.
    slow_lane: AtomicBool,
    overran: AtomicBool,
    /// Processor time of the worker's thread when a tick found the guest at work for a burst; 0 before that.
    suspected_ns: AtomicU64,
}

impl CpuClock {
    pub(crate) fn new(usage: &Arc<Usage>, spent: Spent) -> Self {
        Self(Arc::new(Times {
            usage: Arc::clone(usage),
            spent,
            base: Instant::now(),
            used_ns: AtomicU64::new(0),
            started_ns: AtomicU64::new(0),
            slow_lane: AtomicBool::new(false),
            overran: AtomicBool::new(false),
            suspected_ns: AtomicU64::new(0),
        }))
    }

    fn now(&self) -> u64 {
        if self.in_slow_lane() { processor_time() } else { nanoseconds(self.0.base.elapsed()) }
    }

    /// Asked at a tick, on a worker: whether the guest computes for longer than a burst. The cheap clock also runs
    /// while the thread is set aside, so the first tick only suspects; the next one knows by processor time.
    pub(crate) fn overruns(&self) -> bool {
        if self.burst() < BURST {
            return false;
        }
        let now = processor_time();
        match self.0.suspected_ns.load(Ordering::Relaxed) {
            0 => {
                self.0.suspected_ns.store(now.max(1), Ordering::Relaxed);
                false
            }
            since => Duration::from_nanos(now.saturating_sub(since)) >= BURST,
        }
    }

    /// Time used in polls that are over.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.0.used_ns.load(Ordering::Relaxed))
    }

    /// Time used by the poll that is going on. Called from within it.
    pub(crate) fn burst(&self) -> Duration {
        Duration::from_nanos(self.now().saturating_sub(self.0.started_ns.load(Ordering::Relaxed)))
    }

    /// Where the next poll will be.
    pub(crate) fn set_slow_lane(&self, slow: bool) {
        self.0.slow_lane.store(slow, Ordering::Relaxed);
    }

    pub(crate) fn in_slow_lane(&self) -> bool {
        self.0.slow_lane.load(Ordering::Relaxed)
    }

    /// Time that was used for the call before it began.
    pub(crate) fn charge(&self, time: Duration) {
        let time = nanoseconds(time);
        self.0.used_ns.fetch_add(time, Ordering::Relaxed);
        self.0.usage.charge_cpu(time);
        self.0.spent.charge_cpu(time);
    }

    /// The guest gave way because it had computed for too long.
    pub(crate) fn set_overran(&self) {
        self.0.overran.store(true, Ordering::Relaxed);
    }

    /// Whether it did since this was asked last.
    pub(crate) fn take_overran(&self) -> bool {
        self.0.overran.load(Ordering::Relaxed) && self.0.overran.swap(false, Ordering::Relaxed)
    }

    /// Polls and counts.
    pub(crate) fn poll<F: Future + Unpin>(&self, future: &mut F, cx: &mut Context<'_>) -> Poll<F::Output> {
        let start = self.now();
        self.0.started_ns.store(start, Ordering::Relaxed);
        self.0.suspected_ns.store(0, Ordering::Relaxed);
        let done = Pin::new(future).poll(cx);
        let mut spent = self.now().saturating_sub(start);
        if !self.in_slow_lane() {
            // More than this, and the thread was set aside meanwhile: the guest would have been moved.
            spent = spent.min(MAX_WORKER_POLL_NS);
        }
        self.charge(Duration::from_nanos(spent));
        done
    }
}
