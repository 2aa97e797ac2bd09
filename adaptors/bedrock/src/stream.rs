//! A stream of the Converse API as OpenAI's chunks.

use std::collections::BTreeMap;

use airlock_adaptor::chat::{Call, Chunks, Decode, refusal};
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::serde::de::DeserializeOwned;
use airlock_adaptor::{AdaptorError, serde_json};

use crate::answer::{TokenUsage, finish};
use crate::frames::{Frame, Frames};
use crate::{Told, exception_status, unreadable};

/// What is known of the answer so far. It is over with its tokens, which come after its end.
#[derive(Default)]
pub(crate) struct Converse {
    frames: Frames,
    /// Blocks that call tools and are not complete, by the API's index.
    open: BTreeMap<u64, OpenCall>,
    has_stopped: bool,
    is_over: bool,
}

/// A call that is being written.
struct OpenCall {
    /// OpenAI's index.
    index: usize,
    has_arguments: bool,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct BlockStart {
    content_block_index: u64,
    start: Start,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct Start {
    tool_use: Option<ToolUseStart>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct ToolUseStart {
    tool_use_id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct BlockDelta {
    content_block_index: u64,
    delta: Delta,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct Delta {
    text: Option<String>,
    tool_use: Option<ToolUseDelta>,
    reasoning_content: Option<ReasoningDelta>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct ToolUseDelta {
    input: String,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct ReasoningDelta {
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct BlockStop {
    content_block_index: u64,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct MessageStop {
    stop_reason: String,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Metadata {
    usage: TokenUsage,
}

impl Decode for Converse {
    fn push(&mut self, bytes: &[u8], chunks: &mut Chunks) -> Result<(), AdaptorError> {
        self.frames.push(bytes);
        while !self.is_over
            && let Some(frame) = self.frames.next().map_err(unreadable)?
        {
            self.frame(&frame, chunks)?;
        }
        Ok(())
    }

    /// An answer without tokens is one, too.
    fn finish(&mut self, _: &mut Chunks) -> Result<(), AdaptorError> {
        if self.has_stopped && self.frames.is_empty() {
            return Ok(());
        }
        Err(unreadable("the stream broke off before its end"))
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Converse {
    fn frame(&mut self, frame: &Frame, chunks: &mut Chunks) -> Result<(), AdaptorError> {
        match frame.header(":message-type") {
            Some("event") => {
                self.event(frame.header(":event-type").unwrap_or_default(), &frame.payload, chunks)
            }
            Some("exception") => {
                let kind = frame.header(":exception-type").unwrap_or_default();
                let told = serde_json::from_slice::<Told>(&frame.payload).ok().and_then(|told| told.message);
                Err(refusal(exception_status(kind).unwrap_or(500), &told.unwrap_or_else(|| kind.to_owned())))
            }
            Some("error") => {
                let code = frame.header(":error-code").unwrap_or_default();
                let message = frame.header(":error-message").unwrap_or(code);
                Err(refusal(exception_status(code).unwrap_or(500), message))
            }
            _ => Err(unreadable("a frame does not say what it is")),
        }
    }

    fn event(&mut self, kind: &str, payload: &[u8], chunks: &mut Chunks) -> Result<(), AdaptorError> {
        match kind {
            "contentBlockStart" => {
                let BlockStart { content_block_index, start } = parse(payload)?;
                if let Some(ToolUseStart { tool_use_id, name }) = start.tool_use {
                    let call = Call { id: Some(tool_use_id), name, arguments: String::new(), extra: None };
                    let open = OpenCall { index: chunks.call(&call), has_arguments: false };
                    self.open.insert(content_block_index, open);
                }
            }
            "contentBlockDelta" => self.delta(&parse(payload)?, chunks),
            "contentBlockStop" => {
                let BlockStop { content_block_index } = parse(payload)?;
                // A function without arguments has no deltas, and a client reads what is there as JSON.
                if let Some(call) = self.open.remove(&content_block_index).filter(|call| !call.has_arguments)
                {
                    chunks.arguments(call.index, "{}");
                }
            }
            "messageStop" => {
                let MessageStop { stop_reason } = parse(payload)?;
                chunks.finish(finish(&stop_reason)?);
                self.has_stopped = true;
            }
            "metadata" => {
                let Metadata { usage } = parse(payload)?;
                chunks.usage(usage.usage());
                self.is_over = self.has_stopped;
            }
            // `messageStart`, and what may come.
            _ => {}
        }
        Ok(())
    }

    fn delta(&mut self, BlockDelta { content_block_index, delta }: &BlockDelta, chunks: &mut Chunks) {
        if let Some(text) = &delta.text {
            chunks.text(text);
        }
        if let Some(text) = delta.reasoning_content.as_ref().and_then(|thought| thought.text.as_ref()) {
            chunks.reasoning(text);
        }
        if let (Some(ToolUseDelta { input }), Some(call)) =
            (&delta.tool_use, self.open.get_mut(content_block_index))
        {
            call.has_arguments |= !input.is_empty();
            chunks.arguments(call.index, input);
        }
    }
}

fn parse<T: DeserializeOwned>(payload: &[u8]) -> Result<T, AdaptorError> {
    serde_json::from_slice(payload).map_err(unreadable)
}
