//! A backend's sound → the client's, as it comes.

use std::io;

use airlock_sandbox::{Fault, UpstreamBody};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::{Plan, RelayError, bounds::Bounds, events::note_failure};
use crate::ledger::{Entry, Outcome};

struct Relay {
    upstream: Box<UpstreamBody>,
    bounds: Bounds,
    plan: Plan,
    entry: Entry,
}

/// Nothing is held back, and nothing in it could tell of an error: where the backend breaks off, so does this, and the
/// client's connection closes without the body's end.
pub(super) fn body(upstream: Box<UpstreamBody>, plan: Plan, entry: Entry) -> Body {
    let bounds = Bounds::new(plan.max_stream_bytes, plan.max_answer_time);
    let relay = Relay { upstream, bounds, plan, entry };
    Body::new(StreamBody::new(stream::unfold(Some(relay), |relay| async move {
        let mut relay = relay?;
        match relay.next().await {
            Ok(Some(bytes)) => Some((Ok(Frame::data(bytes)), Some(relay))),
            Ok(None) => {
                relay.entry.end(Outcome::Completed);
                None
            }
            Err(error) => {
                let text = error.to_string();
                note_failure(relay.plan, &mut relay.entry, error, &[]);
                Some((Err(io::Error::other(text)), None))
            }
        }
    })))
}

impl Relay {
    async fn next(&mut self) -> Result<Option<Bytes>, RelayError> {
        loop {
            let Some(frame) = self.bounds.within(self.upstream.frame()).await? else { return Ok(None) };
            let data = frame.map_err(Fault::from)?.into_data().unwrap_or_default();
            self.bounds.count(data.len())?;
            if !data.is_empty() {
                // Sound is not kept, whatever else of an answer is.
                self.entry.sends(&[]);
                return Ok(Some(data));
            }
        }
    }
}
