//! Events that an adaptor makes → server-sent events.

use std::convert::Infallible;

use airlock_sandbox::{EventStream, Events, Fault};
use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;

use super::{
    Cut, Plan, RelayError,
    bounds::Bounds,
    framer::End,
    upstream_error::{self, UpstreamFailure},
    usage::{Counts, Glimpse, NamedGlimpse, next_number},
    words::Words,
};
use crate::ledger::{Cause, Entry, Outcome};

/// What the ledger says of an error that a backend has told of in a stream, in whichever words.
const TOLD: &str = "upstream_error";
const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

struct Made {
    source: Option<Box<EventStream>>,
    form: Events,
    bounds: Bounds,
    plan: Plan,
    entry: Entry,
    /// Of named events, what has passed of the end, and the latest.
    end: Option<End>,
    latest: Bytes,
    counts: Counts,
    words: Words,
}

/// The client pulls; the guest lives until the stream is over or the client gone.
pub(super) fn body(source: Box<EventStream>, form: Events, plan: Plan, entry: Entry) -> Body {
    let bounds = Bounds::new(plan.max_stream_bytes, plan.max_answer_time);
    let (source, latest, counts, words) = (Some(source), Bytes::new(), Counts::default(), Words::default());
    let made = Made { source, form, bounds, plan, entry, end: None, latest, counts, words };
    Body::new(StreamBody::new(stream::unfold(made, |mut made| async move {
        let bytes = made.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), made))
    })))
}

impl Made {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let framed = match self.pull().await? {
                Ok(Some(payload)) => self.frame(payload),
                Ok(None) => return self.finish(),
                Err(error) => Err(error),
            };
            match framed {
                Ok(Some(event)) => {
                    self.entry.sends(&event);
                    return Some(event);
                }
                Ok(None) => {}
                Err(error) => return self.fail(error),
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

    /// The event as the client gets it, where it does.
    fn frame(&mut self, payload: Bytes) -> Result<Option<Bytes>, RelayError> {
        let (Events::Named(last) | Events::Either(last)) = self.form else {
            return match self.told(&payload) {
                Some(failure) => Err(RelayError::Told(failure)),
                None => Ok((!self.is_hidden(&payload)).then(|| event(None, &payload))),
            };
        };
        let bad = |why: String| RelayError::from(Fault::BadOutput(why));
        let glimpse = NamedGlimpse::of(&payload)
            .map_err(|error| bad(format!("an event is not an object with a `type`: {error}")))?;
        if !is_name(&glimpse.name) {
            return Err(bad(format!("the `type` of an event is no name: {:?}", glimpse.name)));
        }
        if let Some(counts) = glimpse.counts {
            self.counts = counts.after(self.counts);
            self.entry.usage(self.counts.usage());
        }
        self.end = End::of(&glimpse.name, last).or(self.end);
        let framed = event(Some(&glimpse.name), &payload);
        self.latest = payload;
        Ok(Some(framed))
    }

    /// The error that an event without a name tells of, such as one of a backend that the adaptor hands on.
    fn told(&self, payload: &[u8]) -> Option<UpstreamFailure> {
        if self.words.may_tell_error(payload) { upstream_error::told(payload, false) } else { None }
    }

    fn is_hidden(&mut self, payload: &[u8]) -> bool {
        if !self.words.may_hold_usage(payload) {
            return false;
        }
        let Ok(glimpse) = Glimpse::of(payload) else { return false };
        if let Some(counts) = glimpse.usage {
            self.entry.usage(counts.usage());
        }
        !self.plan.show_usage && glimpse.is_usage_only()
    }

    /// The adaptor makes no more events. Named ones tell by themselves whether that was all.
    fn finish(&mut self) -> Option<Bytes> {
        match (self.form, self.end) {
            (Events::Plain, _) => {
                self.source = None;
                settle(End::Complete, &mut self.entry);
                Some(DONE)
            }
            (Events::Named(_) | Events::Either(_), Some(end)) => {
                self.source = None;
                settle(end, &mut self.entry);
                None
            }
            (Events::Named(last) | Events::Either(last), None) => {
                let why = format!("its events end without one of {}", last.join(", "));
                self.fail(Fault::BadOutput(why).into())
            }
        }
    }

    fn fail(&mut self, error: RelayError) -> Option<Bytes> {
        self.source = None;
        if let Some(end) = self.end {
            // Everything was said already.
            settle(end, &mut self.entry);
            return None;
        }
        Some(error_event(self.plan, &mut self.entry, error, &self.latest))
    }
}

/// What can stand behind `event:`. A line end in it would begin a line of the adaptor's own.
fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// `data: …`, as one piece; behind `event: …` where it has a name.
fn event(name: Option<&str>, payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(payload.len() + name.map_or(0, str::len) + 16);
    if let Some(name) = name {
        bytes.put_slice(b"event: ");
        bytes.put_slice(name.as_bytes());
        bytes.put_slice(b"\n");
    }
    bytes.put_slice(b"data: ");
    bytes.put_slice(payload);
    bytes.put_slice(b"\n\n");
    bytes.freeze()
}

/// Notes how a stream ended that has come to an end of its own.
pub(super) fn settle(end: End, entry: &mut Entry) {
    if end == End::Error {
        entry.error(TOLD.into(), Cause::Upstream);
    }
    entry.end(if end == End::Error { Outcome::Failed } else { Outcome::Completed });
}

/// An error inside a stream, noted in the ledger. No `[DONE]` follows: the client library raises on the
/// event, and would take `[DONE]` for success. `latest` is what the client has got last.
pub(super) fn error_event(plan: Plan, entry: &mut Entry, error: RelayError, latest: &[u8]) -> Bytes {
    let json = note_failure(plan, entry, error, latest);
    let name = (plan.events != Some(Events::Plain)).then_some("error");
    event(name, &json)
}

/// Notes why an answer ends before its end, and gives the error as it may stand in a stream.
pub(super) fn note_failure(plan: Plan, entry: &mut Entry, error: RelayError, latest: &[u8]) -> Bytes {
    let (detail, is_told) = (error.to_string(), matches!(error, RelayError::Told(_)));
    let request_id = entry.request_id();
    let (operation, next_number) = (plan.operation, next_number(latest));
    let rendered = (plan.render)(error, &Cut { operation, request_id: &request_id, next_number });
    entry.error(if is_told { TOLD.into() } else { rendered.code }, rendered.cause);
    entry.note(|r| r.detail = Some(detail));
    entry.end(Outcome::Failed);
    rendered.json
}
