//! Bodies to and from a backend.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;

use super::{
    EgressError, EgressLimits, Waited,
    connect::CallPermit,
    decode::{Coding, Decoded},
    pool::Lease,
};
use crate::{
    IdleTimer, Spent,
    form::{Form, Guard, Upload},
};

/// The body of a request to a backend.
pub enum OutgoingBody {
    /// Complete, in memory.
    Full(Full<Bytes>),
    /// Written by an adaptor through wasi:http, as it goes.
    Guest {
        /// What it writes.
        body: UnsyncBoxBody<Bytes, wasmtime_wasi_http::Error>,
        /// How many bytes more it may write.
        left: u64,
    },
    /// A client's form, as it comes.
    Form(Upload),
    /// One of these as it goes, counted.
    Counted(Box<OutgoingBody>, Spent),
}

impl OutgoingBody {
    /// The form that it is.
    pub(super) fn form(&self) -> Option<Form> {
        match self {
            Self::Form(upload) => Some(upload.form().clone()),
            Self::Counted(body, _) => body.form(),
            Self::Full(_) | Self::Guest { .. } => None,
        }
    }

    /// The same, counted for the request that it is sent for: as it goes, or at once where its length is known.
    pub(super) fn counted(self, spent: &Spent) -> Self {
        match self {
            Self::Full(body) => {
                spent.charge_egress(body.size_hint().exact().unwrap_or_default());
                Self::Full(body)
            }
            body => Self::Counted(Box::new(body), spent.clone()),
        }
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Form(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Counted(body, spent) => {
                let frame = ready!(Pin::new(&mut **body).poll_frame(cx));
                if let Some(Ok(frame)) = &frame {
                    spent.charge_egress(frame.data_ref().map_or(0, Bytes::len) as u64);
                }
                Poll::Ready(frame)
            }
            Self::Guest { body, left } => loop {
                let frame = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    Some(Ok(frame)) => frame,
                    other => return Poll::Ready(other.map(|r| r.map_err(Into::into))),
                };
                let length = frame.data_ref().map(Bytes::len);
                // Empty frames cost the host memory on HTTP/2 and say nothing.
                if length == Some(0) {
                    continue;
                }
                *left = match left.checked_sub(length.unwrap_or(0) as u64) {
                    Some(left) => left,
                    None => return Poll::Ready(Some(Err(EgressError::RequestTooLarge.into()))),
                };
                return Poll::Ready(Some(Ok(frame)));
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Form(body) => body.is_end_stream(),
            Self::Counted(body, _) => body.is_end_stream(),
            Self::Guest { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Form(body) => body.size_hint(),
            Self::Counted(body, _) => body.size_hint(),
            Self::Guest { body, .. } => body.size_hint(),
        }
    }
}

/// The body of a response from a backend: bounded in size, in time between two frames, and giving its
/// connection back at its end.
pub struct UpstreamBody {
    source: Source,
    received: u64,
    max_bytes: u64,
    idle: IdleTimer,
}

enum Source {
    /// Straight from the connection.
    Direct {
        incoming: Incoming,
        lease: Lease,
        /// Held until the last byte.
        _permit: CallPermit,
        /// Where waiting for it is counted, and since when it is waited for.
        waited: Waited,
        since: Option<Instant>,
        /// The form that it answers: what is not sent when it is over is not wanted.
        _form: Option<Guard>,
    },
    /// Through a wasi:http response that an adaptor handed over, or through a decoder.
    Adopted(Pin<Box<dyn Body<Data = Bytes, Error = EgressError> + Send>>),
    Done,
}

impl UpstreamBody {
    pub(super) fn new(
        incoming: Incoming,
        lease: Lease,
        permit: CallPermit,
        limits: &EgressLimits,
        waited: Waited,
        form: Option<Form>,
    ) -> Self {
        let _form = form.map(Guard);
        Self {
            source: Source::Direct { incoming, lease, _permit: permit, waited, since: None, _form },
            received: 0,
            max_bytes: limits.max_response_bytes,
            idle: IdleTimer::new(limits.idle_timeout),
        }
    }

    /// A body whose limits are already enforced where it comes from.
    pub(crate) fn adopted(body: impl Body<Data = Bytes, Error = EgressError> + Send + 'static) -> Self {
        Self {
            source: Source::Adopted(Box::pin(body)),
            received: 0,
            max_bytes: u64::MAX,
            idle: IdleTimer::new(Duration::MAX),
        }
    }

    /// The same without its coding. What comes out has the limit that what comes in has.
    pub(super) fn decoded(self, coding: Coding) -> Self {
        let max_bytes = self.max_bytes;
        Self { max_bytes, ..Self::adopted(Decoded::new(self, coding)) }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        match &mut self.source {
            Source::Direct { incoming, waited, since, .. } => {
                let polled = Pin::new(incoming).poll_frame(cx).map_err(|e| EgressError::hyper(&e));
                if polled.is_pending() {
                    since.get_or_insert_with(Instant::now);
                } else if let Some(start) = since.take() {
                    waited.since(start);
                }
                polled
            }
            Source::Adopted(body) => body.as_mut().poll_frame(cx),
            Source::Done => Poll::Ready(None),
        }
    }

    /// Gives the connection back once all of the body is here.
    fn finish(&mut self) {
        if let Source::Direct { lease, .. } = std::mem::replace(&mut self.source, Source::Done) {
            lease.give_back();
        }
    }

    fn check_size(&mut self, frame: &Frame<Bytes>) -> Result<(), EgressError> {
        self.received += frame.data_ref().map_or(0, |d| d.len() as u64);
        if self.received > self.max_bytes {
            return Err(EgressError::TooLarge(self.max_bytes));
        }
        Ok(())
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let this = self.get_mut();
        let next = match this.poll_source(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                ready!(this.idle.poll(cx));
                let error = EgressError::IdleTimeout(this.idle.limit());
                this.source = Source::Done;
                return Poll::Ready(Some(Err(error)));
            }
        };
        this.idle.touch();
        match next {
            Some(Ok(frame)) => {
                if let Err(error) = this.check_size(&frame) {
                    this.source = Source::Done;
                    return Poll::Ready(Some(Err(error)));
                }
                if this.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.source = Source::Done;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                this.finish();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Direct { incoming, .. } => incoming.is_end_stream(),
            Source::Adopted(body) => body.is_end_stream(),
            Source::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Direct { incoming, .. } => incoming.size_hint(),
            Source::Adopted(body) => body.size_hint(),
            Source::Done => SizeHint::with_exact(0),
        }
    }
}
