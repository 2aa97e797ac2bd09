//! A stream of the Messages API as OpenAI's chunks.

use std::collections::BTreeMap;

use airlock_adaptor::chat::{Call, Chunks, HandleEvent};
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::sse::Event;
use airlock_adaptor::{AdaptorError, serde_json};

use crate::answer::{Counts, finish};
use crate::{ApiError, unreadable};

/// What is known of the answer so far.
#[derive(Default)]
pub(crate) struct Messages {
    /// Blocks that call tools and are not complete, by the API's index.
    open: BTreeMap<u64, OpenCall>,
    counts: Counts,
    stop_reason: Option<String>,
    is_over: bool,
}

/// A call that is being written.
struct OpenCall {
    /// OpenAI's index.
    index: usize,
    has_arguments: bool,
}

/// The events that say something. The API may add others, and promises to.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", tag = "type", rename_all = "snake_case")]
enum Said {
    MessageStart {
        message: Started,
    },
    ContentBlockStart {
        index: u64,
        content_block: Opened,
    },
    ContentBlockDelta {
        index: u64,
        delta: Piece,
    },
    ContentBlockStop {
        index: u64,
    },
    MessageDelta {
        delta: Stop,
        #[serde(default)]
        usage: Counts,
    },
    MessageStop,
    Error {
        error: ApiError,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Started {
    #[serde(default)]
    usage: Counts,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", tag = "type", rename_all = "snake_case")]
enum Piece {
    TextDelta {
        text: String,
    },
    ThinkingDelta {
        thinking: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    #[serde(other)]
    Unknown,
}

/// A block at its beginning; what it holds comes later.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Opened {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Stop {
    stop_reason: Option<String>,
}

impl HandleEvent for Messages {
    fn event(&mut self, event: &Event, chunks: &mut Chunks) -> Result<(), AdaptorError> {
        match serde_json::from_slice(&event.data).map_err(unreadable)? {
            Said::MessageStart { message } => self.counts = message.usage,
            Said::ContentBlockStart { index, content_block } => self.begin(index, content_block, chunks),
            Said::ContentBlockDelta { index, delta } => self.delta(index, &delta, chunks),
            Said::ContentBlockStop { index } => {
                // A function without arguments has no deltas, and a client reads what is there as JSON.
                if let Some(call) = self.open.remove(&index).filter(|call| !call.has_arguments) {
                    chunks.arguments(call.index, "{}");
                }
            }
            Said::MessageDelta { delta, usage } => {
                self.counts = usage.or(self.counts);
                self.stop_reason = delta.stop_reason.or(self.stop_reason.take());
            }
            Said::MessageStop => {
                chunks.finish(finish(self.stop_reason.as_deref()));
                chunks.usage(self.counts.usage());
                self.is_over = true;
            }
            Said::Error { error } => return Err(error.in_stream()),
            Said::Unknown => {}
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Chunks) -> Result<(), AdaptorError> {
        if self.is_over { Ok(()) } else { Err(unreadable("the stream broke off before `message_stop`")) }
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Messages {
    fn begin(&mut self, at: u64, block: Opened, chunks: &mut Chunks) {
        match block.kind.as_str() {
            "text" => chunks.text(&block.text),
            "thinking" => chunks.reasoning(&block.thinking),
            "tool_use" => {
                let call =
                    Call { id: Some(block.id), name: block.name, arguments: String::new(), extra: None };
                self.open.insert(at, OpenCall { index: chunks.call(&call), has_arguments: false });
            }
            _ => {}
        }
    }

    fn delta(&mut self, at: u64, delta: &Piece, chunks: &mut Chunks) {
        match delta {
            Piece::TextDelta { text } => chunks.text(text),
            Piece::ThinkingDelta { thinking } => chunks.reasoning(thinking),
            Piece::InputJsonDelta { partial_json } => {
                if let Some(call) = self.open.get_mut(&at) {
                    call.has_arguments |= !partial_json.is_empty();
                    chunks.arguments(call.index, partial_json);
                }
            }
            Piece::Unknown => {}
        }
    }
}
