//! Server-sent events: reads them from a response as it arrives, and writes them.
//!
//! An adaptor that changes a backend's stream reads an event, changes its payload and hands it on; the gateway writes
//! the events that the client gets.
//!
//! ```
//! use airlock_adaptor::{Reply, serde_json::json, sse, testing::{Answer, Backend}, upstream, UpstreamRequest};
//!
//! let backend = Backend::new(|_| Answer::events([&json!({ "n": 1 }), &json!({ "n": 2 })]));
//! let request = UpstreamRequest {
//!     method: "GET".to_owned(), url: "http://backend/".to_owned(), headers: vec![], body: None, timeout_ms: None,
//! };
//! let mut events = sse::Events::new(backend.within(|| upstream::send(&request))?);
//! assert_eq!(events.next_event()?.unwrap().data, br#"{"n":1}"#);
//! let reply = Reply::events(move || Ok(events.next_event()?.map(|event| event.data)));
//! # Ok::<(), airlock_adaptor::AdaptorError>(())
//! ```

mod parser;

use crate::upstream::Response;
use crate::{AdaptorError, EventSource};

pub use parser::{Event, EventTooLong, Parser};

/// The longest event that is taken, in bytes. Without a bound a backend decides how much memory we use.
pub const DEFAULT_EVENT_LIMIT: usize = 4 * 1024 * 1024;

/// What ends a stream of OpenAI's API.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

impl Event {
    /// The event as it is sent: its name where it has one, and a line for each line of its data.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.data.len() + 16);
        if !self.name.is_empty() {
            bytes.extend_from_slice(format!("event: {}\n", self.name).as_bytes());
        }
        for line in self.data.split(|byte| *byte == b'\n') {
            bytes.extend_from_slice(b"data: ");
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        bytes.push(b'\n');
        bytes
    }
}

/// The events of a response, until `[DONE]` or its end.
pub struct Events {
    response: Response,
    parser: Parser,
    finished: bool,
}

impl Events {
    /// Reads events of up to [`DEFAULT_EVENT_LIMIT`].
    pub fn new(response: Response) -> Self {
        Self::with_limit(response, DEFAULT_EVENT_LIMIT)
    }

    /// Reads events of up to `limit` bytes.
    pub fn with_limit(response: Response, limit: usize) -> Self {
        Self { response, parser: Parser::new(limit), finished: false }
    }

    /// The next event; none after `[DONE]`. Comments, ids and retry times are skipped. A stream that ends
    /// without `[DONE]` was cut off, and is an error.
    pub fn next_event(&mut self) -> Result<Option<Event>, AdaptorError> {
        loop {
            if let Some(event) = self.parser.next_event()? {
                return Ok(Some(event));
            }
            if self.parser.saw_done() {
                return Ok(None);
            }
            if self.finished {
                let message = "the backend's stream broke off before `[DONE]`";
                return Err(AdaptorError::bad_upstream("upstream_bad_response", message));
            }
            match self.response.read()? {
                Some(chunk) => self.parser.push(&chunk),
                None => {
                    self.finished = true;
                    self.parser.finish();
                }
            }
        }
    }

    /// True once `[DONE]` was read. A stream that ends without it was perhaps cut off.
    pub fn saw_done(&self) -> bool {
        self.parser.saw_done()
    }
}

impl EventSource for Events {
    fn next(&mut self) -> Result<Option<Vec<u8>>, AdaptorError> {
        Ok(self.next_event()?.map(|event| event.data))
    }
}

impl From<EventTooLong> for AdaptorError {
    fn from(EventTooLong { limit }: EventTooLong) -> Self {
        let message = format!("the backend sent an event longer than {limit} bytes");
        Self::bad_upstream("upstream_event_too_long", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let events = [("", "{\"a\":1}"), ("done", "two\nlines"), ("", "")];
        let mut parser = Parser::new(100);
        for (name, data) in events {
            let event = Event { name: name.to_owned(), data: data.as_bytes().to_vec() };
            parser.push(&event.to_bytes());
            assert_eq!(parser.next_event().unwrap(), Some(event));
        }
        parser.push(DONE);
        assert_eq!(parser.next_event().unwrap(), None);
        assert!(parser.saw_done());
    }

    #[test]
    fn an_event_that_is_too_long_is_the_backends_fault() {
        let error = AdaptorError::from(EventTooLong { limit: 7 });
        assert_eq!((error.status, error.code.as_str()), (502, "upstream_event_too_long"));
        assert!(error.message.contains("7 bytes"), "{}", error.message);
    }
}
