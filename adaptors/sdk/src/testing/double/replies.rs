//! `replies`: the four ways to answer, and the stream that the host pulls.

use std::fmt;

use super::upstream::Response;
use crate::{AdaptorError, Events, UpstreamRequest};

/// One of four ways to answer, cheapest first.
#[derive(Debug)]
pub enum Reply {
    /// The host sends this request and relays the answer.
    Forward(UpstreamRequest),
    /// A response that the adaptor obtained and did not read.
    Relay(Response),
    /// A complete JSON object, sent with status 200.
    Body(Vec<u8>),
    /// A stream of events.
    Events(EventStream),
}

/// Events that the adaptor makes or changes.
pub struct EventStream(Events);

impl EventStream {
    /// A stream of these events.
    pub fn new(events: Events) -> Self {
        Self(events)
    }

    /// The payload of the next event; none at the end.
    pub fn next(&self) -> Result<Option<Vec<u8>>, AdaptorError> {
        self.0.pull()
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStream(…)")
    }
}
