//! Reads a chat's answer, whole or chunk by chunk, and tells a writer what it says.

use std::mem;

use serde::Deserialize;
use serde_json::Value;

use super::blocks::{Block, End, Writer};
use crate::AdaptorError;
use crate::chat::{Finish, Head, Usage, refusal};

/// The longest answer that is taken, in bytes of what the model says: a million tokens. The last events of a response
/// repeat all of it, more than once, and an instance has 128 MiB.
const LIMIT: usize = 4 << 20;

/// A `chat.completion` or a chunk of one: they differ in the name of what is said.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Counts>,
    error: Option<Failed>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    delta: Option<Said>,
    message: Option<Said>,
    finish_reason: Option<String>,
    /// vLLM's: the stop word, or the id of a stop token.
    stop_reason: Option<Value>,
    /// SGLang's name of it.
    matched_stop: Option<Value>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    tool_calls: Option<Vec<CallPiece>>,
}

#[derive(Deserialize)]
struct CallPiece {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionPiece>,
}

#[derive(Default, Deserialize)]
struct FunctionPiece {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

/// The error of a stream that has begun.
#[derive(Deserialize)]
#[serde(untagged)]
enum Failed {
    Object { message: Option<String>, code: Option<Value> },
    Text(String),
}

/// The block that is being written.
enum Open {
    Reasoning,
    Text,
    Refusal,
    Call(OpenCall),
}

/// A call. Its name may come in pieces: the block begins with the first of the arguments.
#[derive(Default)]
struct OpenCall {
    index: u64,
    id: String,
    name: String,
    has_begun: bool,
}

/// Reads an answer into a [`Writer`].
pub(super) struct Reader {
    writer: Box<dyn Writer>,
    head: Head,
    has_begun: bool,
    has_choice: bool,
    open: Option<Open>,
    calls: usize,
    length: usize,
    end: End,
}

impl Reader {
    pub(super) fn new(writer: Box<dyn Writer>, head: Head) -> Self {
        Self {
            writer,
            head,
            has_begun: false,
            has_choice: false,
            open: None,
            calls: 0,
            length: 0,
            end: End::default(),
        }
    }

    /// Takes the next chunk, or the whole answer.
    pub(super) fn read(&mut self, payload: &[u8]) -> Result<(), AdaptorError> {
        let chunk: Chunk = serde_json::from_slice(payload).map_err(unreadable)?;
        if let Some(error) = chunk.error {
            return Err(error.into());
        }
        let Some(choices) = chunk.choices else { return Err(unreadable("it has no `choices`")) };
        self.begin();
        if let Some(counts) = chunk.usage {
            self.end.usage = Some(counts.into());
        }
        for choice in choices.into_iter().filter(|choice| choice.index == 0) {
            self.has_choice = true;
            if let Some(said) = choice.delta.or(choice.message) {
                self.said(said)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.end.finish = finish(&reason)?;
                let word = [choice.stop_reason, choice.matched_stop].into_iter().flatten();
                self.end.stop = word.filter_map(|word| word.as_str().map(str::to_owned)).next();
            }
        }
        Ok(())
    }

    /// There is no more.
    pub(super) fn end(&mut self) -> Result<(), AdaptorError> {
        if !self.has_choice {
            return Err(unreadable("it ended without a choice"));
        }
        if self.end.finish == Finish::Stop && self.has_calls() {
            // Some backends say so of an answer whose call was demanded.
            self.end.finish = Finish::ToolCalls;
        }
        self.close(!self.end.is_cut())?;
        self.writer.end(&self.end);
        Ok(())
    }

    /// Nothing more comes, because of an error.
    pub(super) fn fail(&mut self, error: &AdaptorError) {
        if self.has_begun {
            self.writer.fail(error);
        }
    }

    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.writer.events().take()
    }

    pub(super) fn answer(&mut self) -> Vec<u8> {
        self.writer.answer()
    }

    fn begin(&mut self) {
        if !mem::replace(&mut self.has_begun, true) {
            self.writer.begin();
        }
    }

    fn has_calls(&self) -> bool {
        self.calls > 0 || matches!(self.open, Some(Open::Call(_)))
    }

    /// More of the open block. What is kept of an answer is bounded.
    fn delta(&mut self, text: &str) -> Result<(), AdaptorError> {
        self.length += text.len();
        if self.length > LIMIT {
            let message = format!("the backend's answer is longer than {LIMIT} bytes");
            return Err(AdaptorError::bad_upstream("response_too_large", message));
        }
        self.writer.delta(text);
        Ok(())
    }

    fn said(&mut self, said: Said) -> Result<(), AdaptorError> {
        let reasoning = said.reasoning_content.filter(|text| !text.is_empty()).or(said.reasoning);
        self.text(Block::Reasoning, reasoning)?;
        self.text(Block::Text, said.content)?;
        self.text(Block::Refusal, said.refusal)?;
        let pieces = said.tool_calls.into_iter().flatten().enumerate();
        pieces.map(|(at, piece)| (at as u64, piece)).try_for_each(|(at, piece)| self.call(at, piece))
    }

    fn text(&mut self, block: Block<'_>, text: Option<String>) -> Result<(), AdaptorError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(()) };
        let goes_on = matches!(
            (&self.open, block),
            (Some(Open::Reasoning), Block::Reasoning)
                | (Some(Open::Text), Block::Text)
                | (Some(Open::Refusal), Block::Refusal)
        );
        if !goes_on {
            self.close(true)?;
            self.writer.open(block);
            self.open = Some(match block {
                Block::Reasoning => Open::Reasoning,
                Block::Refusal => Open::Refusal,
                _ => Open::Text,
            });
        }
        self.delta(&text)
    }

    fn call(&mut self, at: u64, piece: CallPiece) -> Result<(), AdaptorError> {
        let FunctionPiece { name, arguments } = piece.function.unwrap_or_default();
        let (id, name) = (piece.id.unwrap_or_default(), name.unwrap_or_default());
        let mut call = match self.open.take() {
            Some(Open::Call(call)) if call.goes_on(piece.index, &id, &name) => call,
            open => {
                self.open = open;
                self.close(true)?;
                OpenCall { index: piece.index.unwrap_or(at), ..OpenCall::default() }
            }
        };
        if call.id.is_empty() {
            call.id = id;
        }
        if !call.has_begun && call.name != name {
            call.name.push_str(&name);
        }
        let arguments = arguments.filter(|text| !text.is_empty());
        if let Some(text) = arguments {
            self.begin_call(&mut call)?;
            self.delta(&text)?;
        }
        self.open = Some(Open::Call(call));
        Ok(())
    }

    fn begin_call(&mut self, call: &mut OpenCall) -> Result<(), AdaptorError> {
        if mem::replace(&mut call.has_begun, true) {
            return Ok(());
        }
        if call.name.is_empty() {
            return Err(unreadable(
                "a piece of a tool call came without a name, or after the next call began",
            ));
        }
        if call.id.is_empty() {
            call.id = self.head.call_id(self.calls);
        }
        self.calls += 1;
        self.writer.open(Block::Call { id: &call.id, name: &call.name });
        Ok(())
    }

    fn close(&mut self, is_whole: bool) -> Result<(), AdaptorError> {
        match self.open.take() {
            None => return Ok(()),
            // A function without arguments: a client reads what is there as JSON.
            Some(Open::Call(mut call)) if !call.has_begun => {
                self.begin_call(&mut call)?;
                self.delta("{}")?;
            }
            Some(_) => {}
        }
        self.writer.close(is_whole)
    }
}

impl OpenCall {
    /// Whether a piece belongs to this call. Some backends number all calls 0, and tell them apart by id and name; others
    /// repeat both.
    fn goes_on(&self, index: Option<u64>, id: &str, name: &str) -> bool {
        let is_named_anew = !id.is_empty() && !self.id.is_empty() && id != self.id && !name.is_empty();
        index.is_none_or(|index| index == self.index) && !is_named_anew
    }
}

/// Why the answer ended. Some backends say so of one that they gave up.
fn finish(reason: &str) -> Result<Finish, AdaptorError> {
    match reason {
        "length" => Ok(Finish::Length),
        "tool_calls" | "function_call" => Ok(Finish::ToolCalls),
        "content_filter" => Ok(Finish::ContentFilter),
        "error" | "abort" => {
            Err(AdaptorError::bad_upstream("upstream_error", "the backend gave the answer up"))
        }
        _ => Ok(Finish::Stop),
    }
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        Self {
            prompt: counts.prompt_tokens,
            cached: counts.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0),
            completion: counts.completion_tokens,
            reasoning: counts
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or(0),
        }
    }
}

impl From<Failed> for AdaptorError {
    /// There is no status any more; some backends write it into `code`.
    fn from(failed: Failed) -> Self {
        let (message, code) = match failed {
            Failed::Object { message, code } => (message.unwrap_or_default(), code),
            Failed::Text(message) => (message, None),
        };
        let status = code.and_then(|code| code.as_u64()).and_then(|code| u16::try_from(code).ok());
        refusal(status.unwrap_or(502), &message)
    }
}

/// The backend's answer is not what its API promises.
fn unreadable(error: impl std::fmt::Display) -> AdaptorError {
    let message = format!("the backend's answer is not one of `chat/completions`: {error}");
    AdaptorError::bad_upstream("upstream_bad_response", message)
}
