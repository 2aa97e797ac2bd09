//! A record that is being written.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use airlock_sandbox::{Costs, Operation, Spent};

use super::{Cause, Content, Excerpt, Held, Ledger, Outcome, Record, Usage};
use crate::gauge::Counted;

/// Whether the client is still there. An answer that goes on without one has to be told.
#[derive(Debug, Clone, Default)]
pub struct Presence(Arc<AtomicBool>);

impl Presence {
    /// The client is gone.
    pub fn end(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A record that is being written. It settles when it is dropped, so that a request that ends in any way
/// at all leaves one; unless told otherwise, the client went away.
pub struct Entry {
    record: Option<Record>,
    started: Instant,
    ledger: Arc<dyn Ledger>,
    presence: Presence,
    spent: Spent,
    held: Vec<Box<dyn Held>>,
    _open: Counted,
}

impl Entry {
    /// Opens a record. It is counted as open until it is settled.
    pub fn open(ledger: Arc<dyn Ledger>, open: Counted, request_id: Arc<str>, operation: Operation) -> Self {
        Self {
            record: Some(Record {
                request_id,
                at: SystemTime::now(),
                operation,
                caller: None,
                tenant: None,
                user: None,
                key_id: None,
                model: None,
                endpoint: None,
                answerer: None,
                stream: false,
                status: 499,
                error: None,
                cause: Cause::None,
                detail: None,
                usage: None,
                first_byte: None,
                duration: Duration::ZERO,
                outcome: Outcome::ClientGone,
                costs: Costs::default(),
                trace: None,
                content: None,
            }),
            started: Instant::now(),
            ledger,
            presence: Presence::default(),
            spent: Spent::default(),
            held: Vec::new(),
            _open: open,
        }
    }

    /// Keeps something until the request is over.
    pub fn hold(&mut self, held: Box<dyn Held>) {
        self.held.push(held);
    }

    /// What its calls use up is added up there.
    pub fn charge(&mut self, spent: &Spent) {
        self.spent = spent.clone();
    }

    /// For whoever sees the client go.
    pub fn presence(&self) -> Presence {
        self.presence.clone()
    }

    /// One of no request.
    #[cfg(test)]
    pub(crate) fn stray(operation: Operation) -> Self {
        let open = crate::gauge::Gauge::default().count();
        Self::open(Arc::new(super::LogLedger), open, "stray".into(), operation)
    }

    /// `x-request-id`.
    pub fn request_id(&self) -> Arc<str> {
        self.record.as_ref().map_or_else(|| "".into(), |record| Arc::clone(&record.request_id))
    }

    /// Notes something.
    pub fn note(&mut self, f: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            f(record);
        }
    }

    /// Notes the status, where a client is there to get it.
    pub fn answered(&mut self, status: u16) {
        if !self.presence.is_over() {
            self.note(|r| r.status = status);
        }
    }

    /// What is asked is kept, and what will be answered; neither, where there is nothing to keep.
    pub fn keep_content(&mut self, prompt: Option<&[u8]>) {
        self.note(|r| {
            let content = |prompt| Content { prompt: Excerpt::of(prompt), result: Excerpt::default() };
            r.content = prompt.map(|prompt| Box::new(content(prompt)));
        });
    }

    /// Notes that these bytes of the answer's body go out, the first ones perhaps, where a client is there to get them.
    pub fn sends(&mut self, bytes: &[u8]) {
        if self.presence.is_over() {
            return;
        }
        let elapsed = self.started.elapsed();
        self.note(|r| {
            r.first_byte.get_or_insert(elapsed);
            if let Some(content) = &mut r.content {
                content.result.push(bytes);
            }
        });
    }

    /// Notes the counts; the last ones of a request count.
    pub fn usage(&mut self, usage: Usage) {
        self.note(|r| r.usage = Some(usage));
    }

    /// Notes an error, and whose business it is.
    pub fn error(&mut self, code: String, cause: Cause) {
        self.note(|r| {
            r.error = Some(code);
            r.cause = cause;
        });
    }

    /// Notes how it ended.
    pub fn end(&mut self, outcome: Outcome) {
        self.note(|r| r.outcome = outcome);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.duration = self.started.elapsed();
            record.costs = self.spent.total();
            if self.presence.is_over() {
                record.outcome = Outcome::ClientGone;
            }
            if record.outcome == Outcome::ClientGone && record.cause == Cause::None {
                record.cause = Cause::Caller;
            }
            self.held.drain(..).for_each(|held| held.settle(&record));
            self.ledger.settle(&record);
        }
    }
}
