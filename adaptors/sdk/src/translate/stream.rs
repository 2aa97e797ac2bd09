//! A chat's stream as one of the client's API, pulled one by one.

use super::answer::Reader;
use crate::{AdaptorError, EventSource};

/// The events of a translated stream.
pub(super) struct Translated<S> {
    chunks: S,
    reader: Reader,
    /// What comes once the events before it are taken.
    end: Option<Result<(), AdaptorError>>,
}

impl<S: EventSource> Translated<S> {
    pub(super) fn new(chunks: S, reader: Reader) -> Self {
        Self { chunks, reader, end: None }
    }

    fn step(&mut self) -> Option<Result<(), AdaptorError>> {
        let done = match self.chunks.next() {
            Ok(Some(chunk)) => self.reader.read(&chunk),
            Ok(None) => return Some(self.reader.end()),
            Err(error) => Err(error),
        };
        done.is_err().then_some(done)
    }
}

impl<S: EventSource> EventSource for Translated<S> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, AdaptorError> {
        loop {
            if let Some(event) = self.reader.take() {
                return Ok(Some(event));
            }
            if let Some(end) = self.end.take() {
                return end.map(|()| None);
            }
            self.end = self.step().inspect(|end| {
                if let Err(error) = end {
                    self.reader.fail(error);
                }
            });
        }
    }
}
