//! A backend's stream as chunks, pulled one by one.

use super::Chunks;
use crate::sse::{DEFAULT_EVENT_LIMIT, Event, Parser};
use crate::upstream::Response;
use crate::{AdaptorError, EventSource};

/// Understands a backend's stream. How its bytes are split does not matter.
pub trait Decode {
    /// Takes the next bytes.
    fn push(&mut self, bytes: &[u8], chunks: &mut Chunks) -> Result<(), AdaptorError>;

    /// The bytes are over. Fails where that is too early.
    fn finish(&mut self, chunks: &mut Chunks) -> Result<(), AdaptorError>;

    /// Whether the last event was there: nothing behind it is waited for.
    fn is_over(&self) -> bool;
}

/// Understands the server-sent events of a backend.
pub trait HandleEvent {
    /// Takes the next event.
    fn event(&mut self, event: &Event, chunks: &mut Chunks) -> Result<(), AdaptorError>;

    /// There are no more. Fails where that is too early.
    fn end(&mut self, chunks: &mut Chunks) -> Result<(), AdaptorError>;

    /// Whether the last event was there.
    fn is_over(&self) -> bool;
}

/// A stream of server-sent events.
pub struct Sse<H> {
    parser: Parser,
    handler: H,
}

impl<H> Sse<H> {
    /// A stream whose events go to `handler`.
    pub fn new(handler: H) -> Self {
        Self { parser: Parser::new(DEFAULT_EVENT_LIMIT), handler }
    }
}

impl<H: HandleEvent> Decode for Sse<H> {
    fn push(&mut self, bytes: &[u8], chunks: &mut Chunks) -> Result<(), AdaptorError> {
        self.parser.push(bytes);
        while !self.handler.is_over()
            && let Some(event) = self.parser.next_event()?
        {
            self.handler.event(&event, chunks)?;
        }
        Ok(())
    }

    fn finish(&mut self, chunks: &mut Chunks) -> Result<(), AdaptorError> {
        self.push(b"\n\n\n", chunks)?;
        self.handler.end(chunks)
    }

    fn is_over(&self) -> bool {
        self.handler.is_over()
    }
}

/// Where the bytes of a stream come from.
pub(super) trait Source {
    fn read(&mut self) -> Result<Option<Vec<u8>>, AdaptorError>;
}

impl Source for Response {
    fn read(&mut self) -> Result<Option<Vec<u8>>, AdaptorError> {
        Self::read(self)
    }
}

/// The chunks of a stream, for the host to pull.
pub(super) struct ChatStream<S, D> {
    source: S,
    decoder: D,
    chunks: Chunks,
    /// What comes once the chunks before it are taken.
    end: Option<Result<(), AdaptorError>>,
}

impl<S: Source, D: Decode> ChatStream<S, D> {
    pub(super) fn new(source: S, decoder: D, chunks: Chunks) -> Self {
        Self { source, decoder, chunks, end: None }
    }

    fn step(&mut self) -> Option<Result<(), AdaptorError>> {
        let done = match self.source.read() {
            Ok(Some(bytes)) => self.decoder.push(&bytes, &mut self.chunks),
            Ok(None) => return Some(self.decoder.finish(&mut self.chunks)),
            Err(error) => Err(error),
        };
        (done.is_err() || self.decoder.is_over()).then_some(done)
    }
}

impl<S: Source, D: Decode> EventSource for ChatStream<S, D> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, AdaptorError> {
        loop {
            if let Some(chunk) = self.chunks.take() {
                return Ok(Some(chunk));
            }
            match self.end.take() {
                Some(end) => return end.map(|()| None),
                None => self.end = self.step(),
            }
        }
    }
}
