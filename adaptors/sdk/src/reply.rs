//! Short ways to make a reply.

use std::cell::RefCell;

use serde::Serialize;

use crate::{AdaptorError, EventStream, Reply};

/// Where a stream's events come from. The host asks for one at a time.
pub trait EventSource {
    /// The payload of the next event, one JSON object on one line; `None` at the end.
    fn next(&mut self) -> Result<Option<Vec<u8>>, AdaptorError>;
}

impl<F: FnMut() -> Result<Option<Vec<u8>>, AdaptorError>> EventSource for F {
    fn next(&mut self) -> Result<Option<Vec<u8>>, AdaptorError> {
        self()
    }
}

/// An iterator of payloads as a source.
struct Iter<I>(I);

impl<I: Iterator<Item = Result<Vec<u8>, AdaptorError>>> EventSource for Iter<I> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, AdaptorError> {
        self.0.next().transpose()
    }
}

/// A source as the resource that the host pulls. The source is gone after its end or first error, and
/// with it the upstream connection it may hold.
pub struct Events(RefCell<Option<Box<dyn EventSource>>>);

impl Events {
    /// Wraps a source.
    pub fn new(source: impl EventSource + 'static) -> Self {
        Self(RefCell::new(Some(Box::new(source))))
    }

    /// The next event, as whoever reads the stream asks for it.
    pub(crate) fn pull(&self) -> Result<Option<Vec<u8>>, AdaptorError> {
        let mut slot = self.0.borrow_mut();
        let Some(source) = slot.as_mut() else { return Ok(None) };
        let next = source.next();
        if !matches!(next, Ok(Some(_))) {
            *slot = None;
        }
        next
    }
}

impl Reply {
    /// A complete answer: anything that serializes to a JSON object.
    pub fn json(value: &impl Serialize) -> Result<Self, AdaptorError> {
        serde_json::to_vec(value).map(Self::Body).map_err(|error| {
            AdaptorError::new(500, "adaptor_bad_output", format!("the answer is not JSON: {error}"))
        })
    }

    /// A stream of the payloads that an iterator gives, until its end or first error.
    pub fn events_from<I>(events: I) -> Self
    where
        I: IntoIterator<Item = Result<Vec<u8>, AdaptorError>>,
        I::IntoIter: 'static,
    {
        Self::events(Iter(events.into_iter()))
    }

    /// A stream of the payloads that a closure, or another source, gives.
    pub fn events(source: impl EventSource + 'static) -> Self {
        Self::Events(EventStream::new(Events::new(source)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_after_its_first_error() {
        let items = [Ok(b"1".to_vec()), Err(AdaptorError::bad_upstream("x", "y")), Ok(b"2".to_vec())];
        let events = Events::new(Iter(items.into_iter()));
        assert_eq!(events.pull().unwrap(), Some(b"1".to_vec()));
        assert_eq!(events.pull().unwrap_err().code, "x");
        assert_eq!(events.pull().unwrap(), None);
    }

    #[test]
    fn a_closure_is_a_source() {
        let mut left = 2;
        let events = Events::new(move || {
            left -= 1;
            Ok((left > 0).then(|| b"{}".to_vec()))
        });
        assert_eq!(events.pull().unwrap(), Some(b"{}".to_vec()));
        assert_eq!(events.pull().unwrap(), None);
        assert_eq!(events.pull().unwrap(), None);
    }
}
