//! What one call may use, and the counters that enforce it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, Result};

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
    memory: Meter,
    tables: Meter,
}

struct Meter {
    used: usize,
    limit: usize,
}

impl Meter {
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
    pub(crate) fn new(budgets: &Budgets) -> Self {
        Self {
            memory: Meter { used: 0, limit: budgets.memory_bytes },
            tables: Meter { used: 0, limit: budgets.table_elements },
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, now: usize, then: usize, _max: Option<usize>) -> Result<bool> {
        self.memory.grow(now, then)
    }

    fn table_growing(&mut self, now: usize, then: usize, _max: Option<usize>) -> Result<bool> {
        self.tables.grow(now, then)
    }

    fn instances(&self) -> usize {
        200
    }
}

/// CPU time of one guest: the time spent inside polls of its future. Waiting for a backend does not
/// count, yielding to neighbours neither.
#[derive(Clone)]
pub(crate) struct CpuClock(Arc<Times>);

struct Times {
    base: Instant,
    used_ns: AtomicU64,
    started_ns: AtomicU64,
}

impl CpuClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Times {
            base: Instant::now(),
            used_ns: AtomicU64::new(0),
            started_ns: AtomicU64::new(0),
        }))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Time used so far, with the poll that is going on. Called from within that poll.
    pub(crate) fn used(&self) -> Duration {
        let current = self.now().saturating_sub(self.0.started_ns.load(Ordering::Relaxed));
        Duration::from_nanos(self.0.used_ns.load(Ordering::Relaxed).saturating_add(current))
    }

    /// Counts the polls of `future`.
    pub(crate) fn measure<F: Future>(&self, future: F) -> Measured<F> {
        Measured { future, clock: self.clone() }
    }
}

/// A future whose polls are timed.
pub(crate) struct Measured<F> {
    future: F,
    clock: CpuClock,
}

impl<F: Future + Unpin> Future for Measured<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let start = this.clock.now();
        this.clock.0.started_ns.store(start, Ordering::Relaxed);
        let done = Pin::new(&mut this.future).poll(cx);
        let spent = this.clock.now().saturating_sub(start);
        this.clock.0.used_ns.fetch_add(spent, Ordering::Relaxed);
        done
    }
}
