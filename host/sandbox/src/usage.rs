//! What a tenant's calls use up in a day. The days begin and end elsewhere: here it is only counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Amounts of what is counted by the day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// CPU time of guests, in nanoseconds.
    pub cpu_ns: u64,
    /// Bytes sent to backends, as they went over the wire.
    pub egress_bytes: u64,
}

/// What one tenant's calls have used today: on this gateway since it was last written down, and on all gateways before.
#[derive(Debug, Default)]
pub struct Usage {
    cpu_ns: Account,
    egress_bytes: Account,
}

#[derive(Debug, Default)]
struct Account {
    noted: AtomicU64,
    fresh: AtomicU64,
}

impl Account {
    fn charge(&self, amount: u64) {
        self.fresh.fetch_add(amount, Ordering::Relaxed);
    }

    fn used(&self) -> u64 {
        self.noted.load(Ordering::Relaxed).saturating_add(self.fresh.load(Ordering::Relaxed))
    }

    fn note(&self, written: u64, total: u64) {
        self.fresh.fetch_sub(written, Ordering::Relaxed);
        self.noted.store(total, Ordering::Relaxed);
    }
}

impl Usage {
    pub(crate) fn charge_cpu(&self, nanoseconds: u64) {
        self.cpu_ns.charge(nanoseconds);
    }

    pub(crate) fn charge_egress(&self, bytes: u64) {
        self.egress_bytes.charge(bytes);
    }

    /// What was used today.
    pub fn today(&self) -> Amounts {
        Amounts { cpu_ns: self.cpu_ns.used(), egress_bytes: self.egress_bytes.used() }
    }

    /// What has not been written down.
    pub fn fresh(&self) -> Amounts {
        let fresh = |account: &Account| account.fresh.load(Ordering::Relaxed);
        Amounts { cpu_ns: fresh(&self.cpu_ns), egress_bytes: fresh(&self.egress_bytes) }
    }

    /// So much of it has been written down, which makes so much in all, whoever used it.
    pub fn note(&self, written: Amounts, total: Amounts) {
        self.cpu_ns.note(written.cpu_ns, total.cpu_ns);
        self.egress_bytes.note(written.egress_bytes, total.egress_bytes);
    }
}
