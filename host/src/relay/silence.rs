//! Comments in streams that have fallen silent. Between client and gateway stand proxies that close what is silent for a
//! minute, and a model may think for longer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use airlock_sandbox::IdleTimer;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};

/// A line that begins with a colon says nothing:
/// <https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes>.
const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// A stream with a comment wherever nothing has come for a while.
struct Commented {
    body: Body,
    idle: IdleTimer,
}

/// `body`, whose frames are whole events, with a comment for every `silence` in which it has none. Zero: without.
pub(super) fn commented(body: Body, silence: Duration) -> Body {
    if silence.is_zero() { body } else { Body::new(Commented { body, idle: IdleTimer::new(silence) }) }
}

impl HttpBody for Commented {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(cx);
        if next.is_pending() {
            ready!(this.idle.poll(cx));
        }
        this.idle.touch();
        if next.is_pending() { Poll::Ready(Some(Ok(Frame::data(COMMENT)))) } else { next }
    }
}
