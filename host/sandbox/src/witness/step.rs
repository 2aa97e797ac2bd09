//! What can happen between a guest and its host.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Data;
use crate::EgressError;

/// One thing that a guest asked for, did or was told. In JSON an object whose `did` says which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "kebab-case")]
pub enum Step {
    /// A function of the adaptor is called, in a fresh instance.
    Call {
        /// Its name in the contract.
        export: String,
    },
    /// The instance is made.
    Instance {
        /// In so many microseconds.
        us: u64,
    },
    /// A clock was read.
    Clock {
        /// Which one.
        clock: Clock,
        /// What it said, in nanoseconds.
        ns: u64,
    },
    /// Bytes of chance were drawn.
    Chance {
        /// Where from.
        chance: Chance,
        /// Which they were.
        bytes: Data,
    },
    /// Something was waited for.
    Poll {
        /// Of so many things …
        of: usize,
        /// … these were ready, counted from 0.
        ready: Vec<u32>,
    },
    /// A request went out, or would have: the adaptor's own, or the host's for a *forward*.
    Request {
        /// Its number in this run, from 0.
        request: u32,
        /// Its method.
        method: String,
        /// Its URL.
        url: String,
        /// Its headers, without those that the host adds.
        headers: Vec<(String, Data)>,
        /// Its body; none where the adaptor writes it as it goes.
        body: Option<Data>,
        /// The headers that the host adds as the credential of this place.
        credential: Vec<String>,
    },
    /// The adaptor wrote a piece of a request's body.
    Sent {
        /// Of which request.
        request: u32,
        /// The piece.
        data: Data,
    },
    /// All of a request's body that the adaptor writes is written.
    SentAll {
        /// Of which request.
        request: u32,
    },
    /// The head of a response came.
    Head {
        /// To which request.
        request: u32,
        /// Its status.
        status: u16,
        /// Its headers, as adaptors see them.
        headers: Vec<(String, Data)>,
    },
    /// No response came.
    Failed {
        /// To which request.
        request: u32,
        /// Why.
        error: EgressError,
    },
    /// A piece of a response's body came.
    Chunk {
        /// To which request.
        request: u32,
        /// The piece.
        data: Data,
    },
    /// A response's body is complete.
    End {
        /// To which request.
        request: u32,
    },
    /// A response's body broke off.
    Broke {
        /// To which request.
        request: u32,
        /// Why.
        error: EgressError,
    },
    /// One of the gateway's own interfaces was used.
    Asked {
        /// Its function.
        import: String,
        /// What it was given.
        with: Value,
        /// What it said.
        told: Value,
    },
    /// A line went to the log.
    Log {
        /// How much it matters.
        level: String,
        /// The line.
        line: String,
    },
    /// A middleware put another body in the place of the task's.
    TaskBody {
        /// The other body.
        data: Data,
    },
    /// The function has returned a reply.
    Reply {
        /// Its kind.
        kind: ReplyKind,
    },
    /// An event came out.
    Event {
        /// Which one, from 1.
        number: usize,
        /// Its length.
        bytes: usize,
    },
    /// The instance is gone.
    Gone,
}

/// A clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// Since the call began.
    Monotonic,
    /// Of day, since 1970.
    Wall,
}

/// A source of chance: the three of `wasi:random`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chance {
    /// Cannot be guessed.
    Secure,
    /// May be guessed.
    Insecure,
    /// For the keys of hash maps.
    Seed,
}

/// The kind of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyKind {
    /// A request for the host to send.
    Forward,
    /// A response of a backend.
    Relay,
    /// A complete body.
    Body,
    /// Events.
    Events,
    /// What a cluster runs.
    Jobs,
}
