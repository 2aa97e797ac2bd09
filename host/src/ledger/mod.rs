//! What became of each request: one record, written when its last byte is gone.

mod content;
mod entry;
mod record;
pub mod trace;

use std::{sync::Arc, time::Duration};

pub use content::{Content, Excerpt, MAX_EXCERPT};
pub use entry::{Entry, Presence};
pub use record::{Answerer, Cause, Outcome, Record, Usage};
pub use trace::Trace;

/// Takes records. Never blocks.
pub trait Ledger: Send + Sync {
    /// Takes one record.
    fn settle(&self, record: &Record);
}

/// What a request holds until its last byte is gone, and is told then what became of it. Never blocks.
pub trait Held: Send + Sync {
    /// The request is over.
    fn settle(self: Box<Self>, record: &Record);
}

/// Several ledgers: each gets every record, in this order.
pub struct Ledgers(pub Vec<Arc<dyn Ledger>>);

impl Ledger for Ledgers {
    fn settle(&self, record: &Record) {
        self.0.iter().for_each(|ledger| ledger.settle(record));
    }
}

/// Writes each record as one line of the log.
pub struct LogLedger;

impl Ledger for LogLedger {
    fn settle(&self, r: &Record) {
        tracing::info!(
            target: "request",
            request_id = %r.request_id,
            operation = r.operation.path(),
            caller = r.caller.as_deref(),
            tenant = r.tenant.as_deref(),
            user = r.user.as_deref(),
            model = r.model,
            endpoint = r.endpoint.as_deref(),
            stream = r.stream,
            status = r.status,
            error = r.error,
            cause = r.cause.as_str(),
            detail = r.detail,
            prompt_tokens = r.usage.map(|u| u.prompt_tokens),
            completion_tokens = r.usage.map(|u| u.completion_tokens),
            first_byte_us = r.first_byte.map(micros),
            duration_us = micros(r.duration),
            cpu_us = micros(r.costs.cpu),
            memory_bytes = r.costs.peak_memory,
            egress_bytes = r.costs.egress_bytes,
            outcome = r.outcome.as_str(),
        );
    }
}

/// Whole microseconds.
pub fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}
