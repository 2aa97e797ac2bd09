//! Sees all that passes between a guest and its host, and can play it again.
//!
//! A way out that is [`Egress::witnessed`](crate::Egress::witnessed) takes a [`Witness`] along: every call of an adaptor by it
//! is seen, step by step. Where the witness has the steps of an earlier run, the guest is told what was told then:
//! nothing is asked of a clock, of chance or of the network. A call without one pays a look at an empty `Option`.

mod data;
mod source;
mod step;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use wasmtime::Result;

pub(crate) use self::source::{Asked, Found, Frame, Source};
pub use self::{
    data::Data,
    source::body_difference,
    step::{Chance, Clock, ReplyKind, Step},
};

/// Who is told of each step, as it happens. Called on the threads that guests run on.
pub trait Observer: Send + Sync {
    /// This has happened.
    fn saw(&self, step: &Step);
}

/// Follows the calls of one run. Clones are one witness.
#[derive(Clone)]
pub struct Witness(Arc<Shared>);

struct Shared {
    observer: Arc<dyn Observer>,
    /// Requests so far.
    requests: AtomicU32,
    /// The last reply.
    reply: Mutex<Option<ReplyKind>>,
    source: Option<Source>,
}

/// What the guest asked for is not what it asked for when it was recorded.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not as recorded: {0}")]
pub(crate) struct Diverged(pub(crate) String);

impl Witness {
    /// Sees what happens.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self::with(observer, None)
    }

    /// Sees what happens where all that a guest is told comes from the steps of an earlier run.
    pub fn replaying(observer: Arc<dyn Observer>, steps: Vec<Step>) -> Self {
        Self::with(observer, Some(Source::new(steps)))
    }

    fn with(observer: Arc<dyn Observer>, source: Option<Source>) -> Self {
        Self(Arc::new(Shared { observer, requests: AtomicU32::new(0), reply: Mutex::default(), source }))
    }

    /// Notes that something has happened.
    pub fn saw(&self, step: &Step) {
        if let Step::Reply { kind } = step {
            *self.0.reply.lock().unwrap_or_else(PoisonError::into_inner) = Some(*kind);
        }
        self.0.observer.saw(step);
    }

    /// The kind of the last reply.
    pub fn reply(&self) -> Option<ReplyKind> {
        *self.0.reply.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where in a replay a guest first asked for something else than was recorded, in words.
    pub fn divergence(&self) -> Option<String> {
        self.source()?.divergence()
    }

    /// In a replay: returns when a guest waits for something that never came when it was recorded. Never, in all others.
    pub async fn stalled(&self) {
        match self.source() {
            Some(source) => source.stalled().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn source(&self) -> Option<&Source> {
        self.0.source.as_ref()
    }

    pub(crate) fn next_request(&self) -> u32 {
        self.0.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// A reading of a clock.
    pub(crate) fn clock(&self, clock: Clock, real: impl FnOnce() -> Result<u64>) -> Result<u64> {
        let ns = match self.source() {
            Some(source) => source.clock(clock)?,
            None => real()?,
        };
        self.saw(&Step::Clock { clock, ns });
        Ok(ns)
    }

    /// Bytes of chance, so many.
    pub(crate) fn chance(
        &self,
        chance: Chance,
        length: u64,
        real: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let bytes = match self.source() {
            Some(source) => source.chance(chance, length)?,
            None => Data::from(real()?),
        };
        self.saw(&Step::Chance { chance, bytes: bytes.clone() });
        Ok(bytes.into())
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.source().is_some() { "Witness(replaying)" } else { "Witness" })
    }
}

/// A question of a guest to one of the gateway's own interfaces. Empty where nobody watches.
pub(crate) struct Asking(Option<(Witness, &'static str, Value)>);

impl Asking {
    pub(crate) fn new(witness: Option<&Witness>, import: &'static str, with: impl FnOnce() -> Value) -> Self {
        Self(witness.map(|witness| (witness.clone(), import, with())))
    }

    /// What was told when it was recorded; `None` where nothing is replayed.
    pub(crate) fn recorded<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some((witness, import, with)) = &self.0 else { return Ok(None) };
        let Some(source) = witness.source() else { return Ok(None) };
        Ok(Some(source.asked(import, with)?))
    }

    /// Notes what the guest is told.
    pub(crate) fn told<T: Serialize>(self, told: &T) {
        let Some((witness, import, with)) = self.0 else { return };
        let told = serde_json::to_value(told).unwrap_or_default();
        witness.saw(&Step::Asked { import: import.to_owned(), with, told });
    }
}
