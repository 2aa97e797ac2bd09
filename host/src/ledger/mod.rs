//! What became of each request: one record, written when its last byte is gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use airlock_sandbox::Operation;

use crate::gauge::Counted;

/// Token counts, as backends report them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer was sent to its end.
    Completed,
    /// It ended in an error, before or within the answer.
    Failed,
    /// The client went away, whatever became of the answer then.
    ClientGone,
}

impl Outcome {
    /// For logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::ClientGone => "client_gone",
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Record {
    /// `x-request-id`.
    pub request_id: Arc<str>,
    /// Which API was called.
    pub operation: Operation,
    /// The key's name, once known.
    pub caller: Option<Arc<str>>,
    /// The model as the client named it, once known.
    pub model: Option<String>,
    /// The endpoint that answered, once known.
    pub endpoint: Option<Arc<str>>,
    /// Whether events were asked for.
    pub stream: bool,
    /// HTTP status that the client got; 499 where it went before there was one.
    pub status: u16,
    /// The error's code.
    pub error: Option<String>,
    /// What the client is not told about the error.
    pub detail: Option<String>,
    /// Token counts, where the backend gave any.
    pub usage: Option<Usage>,
    /// From the request's arrival to the first byte of the answer's body.
    pub first_byte: Option<Duration>,
    /// From the request's arrival to the end.
    pub duration: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// Takes records. Never blocks.
pub trait Ledger: Send + Sync {
    /// Takes one record.
    fn settle(&self, record: Record);
}

/// What a request holds until its last byte is gone, and is told then what became of it. Never blocks.
pub trait Held: Send + Sync {
    /// The request is over.
    fn settle(self: Box<Self>, record: &Record);
}

/// Writes each record as one line of the log.
pub struct LogLedger;

impl Ledger for LogLedger {
    fn settle(&self, r: Record) {
        tracing::info!(
            target: "request",
            request_id = %r.request_id,
            operation = r.operation.path(),
            caller = r.caller.as_deref(),
            model = r.model,
            endpoint = r.endpoint.as_deref(),
            stream = r.stream,
            status = r.status,
            error = r.error,
            detail = r.detail,
            prompt_tokens = r.usage.map(|u| u.prompt_tokens),
            completion_tokens = r.usage.map(|u| u.completion_tokens),
            first_byte_us = r.first_byte.map(micros),
            duration_us = micros(r.duration),
            outcome = r.outcome.as_str(),
        );
    }
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

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
    held: Vec<Box<dyn Held>>,
    _open: Counted,
}

impl Entry {
    /// Opens a record. It is counted as open until it is settled.
    pub fn open(ledger: Arc<dyn Ledger>, open: Counted, request_id: Arc<str>, operation: Operation) -> Self {
        Self {
            record: Some(Record {
                request_id,
                operation,
                caller: None,
                model: None,
                endpoint: None,
                stream: false,
                status: 499,
                error: None,
                detail: None,
                usage: None,
                first_byte: None,
                duration: Duration::ZERO,
                outcome: Outcome::ClientGone,
            }),
            started: Instant::now(),
            ledger,
            presence: Presence::default(),
            held: Vec::new(),
            _open: open,
        }
    }

    /// Keeps something until the request is over.
    pub fn hold(&mut self, held: Box<dyn Held>) {
        self.held.push(held);
    }

    /// For whoever sees the client go.
    pub fn presence(&self) -> Presence {
        self.presence.clone()
    }

    /// One of no request.
    #[cfg(test)]
    pub(crate) fn stray(operation: Operation) -> Self {
        Self::open(Arc::new(LogLedger), crate::gauge::Gauge::default().count(), "stray".into(), operation)
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

    /// Notes that the answer's body begins, where a client is there to get it.
    pub fn first_byte(&mut self) {
        if self.presence.is_over() {
            return;
        }
        let elapsed = self.started.elapsed();
        self.note(|r| {
            r.first_byte.get_or_insert(elapsed);
        });
    }

    /// Notes the counts; the last ones of a request count.
    pub fn usage(&mut self, usage: Usage) {
        self.note(|r| r.usage = Some(usage));
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
            if self.presence.is_over() {
                record.outcome = Outcome::ClientGone;
            }
            self.held.drain(..).for_each(|held| held.settle(&record));
            self.ledger.settle(record);
        }
    }
}
