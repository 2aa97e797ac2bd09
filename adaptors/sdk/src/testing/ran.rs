//! What came of a task in a test.

use serde_json::Value;

use super::Sent;
use super::double::upstream::Response;
use crate::log::Level;
use crate::{AdaptorError, EventStream, Reply, sse, upstream};

/// A task that was run.
#[derive(Debug)]
pub struct Ran {
    /// How the adaptor replied and what the client gets by it, or why it gets nothing.
    pub reply: Result<Got, AdaptorError>,
    /// What the backend was sent, in order; of a task that is forwarded, that request last.
    pub sent: Vec<Sent>,
    /// What was logged.
    pub log: Vec<(Level, String)>,
}

/// The four replies, carried out.
#[derive(Debug)]
pub enum Got {
    /// The gateway has sent the request: the backend's answer.
    Forward(Whole),
    /// The answer of the backend that the adaptor handed on.
    Relay(Whole),
    /// The answer that the adaptor made.
    Body(Vec<u8>),
    /// The payloads of the adaptor's events, and how the stream ended where that was not well.
    Events(Vec<Vec<u8>>, Option<AdaptorError>),
}

/// An answer of the backend, read to its end.
#[derive(Debug)]
pub struct Whole {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body, or what came of it.
    pub body: Vec<u8>,
    /// Why it broke off, where it did.
    pub error: Option<AdaptorError>,
}

impl Got {
    /// Does what the gateway does with a reply.
    pub(super) fn of(reply: Reply) -> Result<Self, AdaptorError> {
        Ok(match reply {
            Reply::Forward(request) => Self::Forward(Whole::read(&upstream::send(&request)?)),
            Reply::Relay(response) => Self::Relay(Whole::read(&response)),
            Reply::Body(body) => Self::Body(body),
            Reply::Events(events) => {
                let (events, error) = collected(&events);
                Self::Events(events, error)
            }
        })
    }
}

impl Whole {
    fn read(response: &Response) -> Self {
        let mut body = Vec::new();
        let error = loop {
            match response.read() {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        Self { status: response.status(), headers: response.headers(), body, error }
    }
}

fn collected(stream: &EventStream) -> (Vec<Vec<u8>>, Option<AdaptorError>) {
    let mut events = Vec::new();
    loop {
        match stream.next() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error)),
        }
    }
}

#[expect(
    clippy::panic,
    reason = "a test whose adaptor does something else is to fail, and to say what it did"
)]
impl Ran {
    /// The complete answer that the client gets.
    ///
    /// # Panics
    /// Where it gets something else.
    pub fn json(&self) -> Value {
        let body = match &self.reply {
            Ok(Got::Body(body)) => body,
            Ok(Got::Forward(whole) | Got::Relay(whole)) if whole.status == 200 && whole.error.is_none() => {
                &whole.body
            }
            other => panic!("there is no complete answer: {other:?}"),
        };
        match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(error) => panic!("the answer is not JSON ({error}): {}", String::from_utf8_lossy(body)),
        }
    }

    /// The events that the client gets, without `[DONE]`.
    ///
    /// # Panics
    /// Where it gets something else, or the stream does not end well.
    pub fn events(&self) -> Vec<Value> {
        let payloads = match &self.reply {
            Ok(Got::Events(events, None)) => events.clone(),
            Ok(Got::Forward(whole) | Got::Relay(whole)) if whole.status == 200 && whole.error.is_none() => {
                let response = Response::new(200, Vec::new(), vec![Ok(whole.body.clone())]);
                let mut events = sse::Events::new(response);
                std::iter::from_fn(|| events.next_event().ok().flatten()).map(|event| event.data).collect()
            }
            other => panic!("there is no stream that ends well: {other:?}"),
        };
        let value = |event: &Vec<u8>| match serde_json::from_slice(event) {
            Ok(value) => value,
            Err(error) => panic!("an event is not JSON ({error}): {}", String::from_utf8_lossy(event)),
        };
        payloads.iter().map(value).collect()
    }

    /// The error that the client gets.
    ///
    /// # Panics
    /// Where it gets an answer.
    pub fn error(&self) -> &AdaptorError {
        match &self.reply {
            Err(error) | Ok(Got::Events(_, Some(error))) => error,
            other => panic!("there is no error: {other:?}"),
        }
    }
}
