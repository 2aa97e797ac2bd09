//! Events that an adaptor makes → server-sent events.

use std::convert::Infallible;

use airlock_sandbox::EventStream;
use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;

use super::{Plan, RelayError, bounds::Bounds, framer::holds_usage, usage::Glimpse};
use crate::ledger::{Entry, Outcome};

const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

struct Events {
    source: Option<Box<EventStream>>,
    bounds: Bounds,
    plan: Plan,
    entry: Entry,
}

/// The client pulls; the guest lives until the stream is over or the client gone.
pub(super) fn body(source: Box<EventStream>, plan: Plan, entry: Entry) -> Body {
    let bounds = Bounds::new(plan.max_stream_bytes, plan.max_answer_time);
    let events = Events { source: Some(source), bounds, plan, entry };
    Body::new(StreamBody::new(stream::unfold(events, |mut events| async move {
        let bytes = events.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), events))
    })))
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let payload = match self.pull().await? {
                Ok(Some(payload)) => payload,
                Ok(None) => {
                    self.source = None;
                    self.entry.end(Outcome::Completed);
                    return Some(DONE);
                }
                Err(error) => {
                    self.source = None;
                    return Some(error_event(self.plan, &mut self.entry, error));
                }
            };
            if !self.is_hidden(&payload) {
                self.entry.first_byte();
                return Some(event(&payload));
            }
        }
    }

    /// `None` once the stream is over.
    async fn pull(&mut self) -> Option<Result<Option<Bytes>, RelayError>> {
        let source = self.source.as_mut()?;
        let next = self.bounds.within(source.next()).await;
        let next = next.and_then(|next| Ok(next?));
        let length = next.as_ref().map_or(0, |payload| payload.as_ref().map_or(0, Bytes::len));
        Some(self.bounds.count(length).and(next))
    }

    fn is_hidden(&mut self, payload: &[u8]) -> bool {
        if !holds_usage(payload) {
            return false;
        }
        let Ok(glimpse) = Glimpse::of(payload) else { return false };
        if let Some(usage) = glimpse.usage {
            self.entry.usage(usage);
        }
        !self.plan.show_usage && glimpse.is_usage_only()
    }
}

/// `data: …`, as one piece.
fn event(payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(payload.len() + 8);
    bytes.put_slice(b"data: ");
    bytes.put_slice(payload);
    bytes.put_slice(b"\n\n");
    bytes.freeze()
}

/// An error inside a stream, noted in the ledger. No `[DONE]` follows: the client library raises on the
/// event, and would take `[DONE]` for success.
pub(super) fn error_event(plan: Plan, entry: &mut Entry, error: RelayError) -> Bytes {
    let detail = error.to_string();
    let rendered = (plan.render)(error);
    entry.note(|r| {
        r.error = Some(rendered.code);
        r.detail = Some(detail);
    });
    entry.end(Outcome::Failed);
    event(&rendered.json)
}
