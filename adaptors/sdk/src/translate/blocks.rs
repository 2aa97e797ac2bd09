//! What an answer is made of, as both APIs see it: blocks, one after the other.

use std::collections::VecDeque;

use serde_json::Value;

use crate::AdaptorError;
use crate::chat::{Finish, Usage};

/// A block at its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) enum Block<'a> {
    /// What the model thinks.
    Reasoning,
    /// What it says.
    Text,
    /// Why it does not answer.
    Refusal,
    /// It calls a tool; the text that follows is the arguments.
    Call {
        /// Ties the result to the call.
        id: &'a str,
        /// The tool's name.
        name: &'a str,
    },
}

/// How an answer ended.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Why.
    pub(super) finish: Finish,
    /// What it cost, where the backend says.
    pub(super) usage: Option<Usage>,
    /// The stop word that ended it, where the backend says.
    pub(super) stop: Option<String>,
}

impl End {
    /// Whether the answer was cut off.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self.finish, Finish::Length | Finish::ContentFilter)
    }
}

/// Writes an answer in the client's API: its events as they come, and the whole at the end.
pub(super) trait Writer {
    /// The answer begins.
    fn begin(&mut self);

    /// A block begins. The one before is closed.
    fn open(&mut self, block: Block<'_>);

    /// More of the open block.
    fn delta(&mut self, text: &str);

    /// The open block ends. It is not whole where the answer was cut off in it.
    fn close(&mut self, is_whole: bool) -> Result<(), AdaptorError>;

    /// The answer ends. No block is open.
    fn end(&mut self, end: &End);

    /// The answer fails, after it began: what this API's streams say before the error.
    fn fail(&mut self, error: &AdaptorError);

    /// The events that are ready.
    fn events(&mut self) -> &mut Events;

    /// The complete answer, once it has ended.
    fn answer(&mut self) -> Vec<u8>;
}

/// The events of an answer, in order, until somebody takes them. Those of a complete answer are not kept.
#[derive(Debug)]
pub(super) struct Events {
    is_stream: bool,
    ready: VecDeque<Vec<u8>>,
}

impl Events {
    pub(super) fn new(is_stream: bool) -> Self {
        Self { is_stream, ready: VecDeque::new() }
    }

    pub(super) fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Adds an event: an object with its `type`.
    pub(super) fn push(&mut self, event: &Value) {
        if self.is_stream {
            self.ready.push_back(event.to_string().into_bytes());
        }
    }

    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }
}
