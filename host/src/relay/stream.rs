//! A backend's event stream → the client's.

use std::convert::Infallible;

use airlock_sandbox::{Events, Fault, UpstreamBody};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::{Plan, RelayError, bounds::Bounds, framer::Framer};
use crate::ledger::Entry;

struct Relay {
    upstream: Box<UpstreamBody>,
    framer: Framer,
    bounds: Bounds,
    plan: Plan,
    entry: Entry,
    over: bool,
}

/// Each frame that comes from the backend goes on at once, as far as its events are whole. The client
/// pulls, so a slow one slows the backend down; dropping the body closes the backend's connection.
pub(super) fn body(upstream: Box<UpstreamBody>, events: Events, plan: Plan, entry: Entry) -> Body {
    let framer = Framer::new(events, !plan.show_usage);
    let bounds = Bounds::new(plan.max_stream_bytes, plan.max_answer_time);
    let relay = Relay { upstream, framer, bounds, plan, entry, over: false };
    Body::new(StreamBody::new(stream::unfold(relay, |mut relay| async move {
        let bytes = relay.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), relay))
    })))
}

impl Relay {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.over {
            let bytes = match self.read().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return self.finish(),
                Err(error) => return self.fail(error),
            };
            if let Some(usage) = self.framer.usage() {
                self.entry.usage(usage);
            }
            if !bytes.is_empty() {
                self.entry.sends(&bytes);
            }
            if let Some(failure) = self.framer.told().cloned() {
                self.over = true;
                let error = self.error_event(RelayError::Told(failure));
                return Some([bytes, error].concat().into());
            }
            if !bytes.is_empty() {
                return Some(bytes);
            }
        }
        None
    }

    fn error_event(&mut self, error: RelayError) -> Bytes {
        super::events::error_event(self.plan, &mut self.entry, error, self.framer.latest())
    }

    async fn read(&mut self) -> Result<Option<Bytes>, RelayError> {
        let Some(frame) = self.bounds.within(self.upstream.frame()).await? else { return Ok(None) };
        let data = frame.map_err(Fault::from)?.into_data().unwrap_or_default();
        self.bounds.count(data.len())?;
        let events = self.framer.push(data).map_err(|_| {
            RelayError::BadAnswer("the backend's stream holds an event without an end".into())
        })?;
        Ok(Some(events))
    }

    /// The client library takes a plain end for a complete answer, so a missing last event has to be said.
    fn finish(&mut self) -> Option<Bytes> {
        match self.framer.end() {
            None => return self.fail(RelayError::Truncated),
            Some(end) => super::events::settle(end, &mut self.entry),
        }
        self.over = true;
        None
    }

    fn fail(&mut self, error: RelayError) -> Option<Bytes> {
        self.over = true;
        if let Some(end) = self.framer.end() {
            // Everything was said already; only the connection's end was untidy.
            super::events::settle(end, &mut self.entry);
            return None;
        }
        Some(self.error_event(error))
    }
}
