//! Answers whose client goes away, and whose endpoint wants them read to their end all the same: what a backend bills or
//! caches anyway is then counted in full. They go on under the limits that they have, a few at a time for each tenant, and
//! a gateway that stops waits for them as it waits for clients.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use airlock_sandbox::Tenant;
use axum::{body::Body, response::Response};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt as _;
use tokio_util::task::TaskTracker;

use crate::ledger::{Entry, Presence};

/// Reads on in the client's place.
#[derive(Clone)]
pub struct Reader {
    tasks: TaskTracker,
    owner: Arc<Tenant>,
    presence: Presence,
}

impl Reader {
    /// For one request. `owner` is whose endpoint answers: it is counted there.
    pub fn new(tasks: &TaskTracker, owner: &Arc<Tenant>, entry: &Entry) -> Self {
        Self { tasks: tasks.clone(), owner: Arc::clone(owner), presence: entry.presence() }
    }

    /// The client is gone. What there is to read is dropped where the owner has as many going on as may be.
    fn take_over(self, reading: impl Future<Output = ()> + Send + 'static) {
        let Some(permit) = self.owner.unattended() else {
            tracing::debug!(tenant = %self.owner.name(), "too many answers are read without a client; one more ends");
            return;
        };
        if tokio::runtime::Handle::try_current().is_err() {
            return; // the thread is ending
        }
        self.presence.end();
        self.tasks.spawn(async move {
            reading.await;
            drop(permit);
        });
    }
}

async fn read_out(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// Who reads on should the client go now; nobody, where it all ends then.
#[derive(Clone, Default)]
pub struct Successor(Arc<Mutex<Option<Reader>>>);

impl Successor {
    /// From now on.
    pub fn set(&self, reader: Option<Reader>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reader;
    }

    /// The one at this moment.
    pub fn get(&self) -> Option<Reader> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The making of an answer, which goes on where it is dropped and somebody reads on.
pub struct Answering<F: Future<Output = Response> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    successor: Successor,
}

impl<F: Future<Output = Response> + Send + 'static> Answering<F> {
    /// Of `work`, which says in `successor` what it wants.
    pub fn new(work: F, successor: Successor) -> Self {
        Self { work: Some(Box::pin(work)), successor }
    }
}

impl<F: Future<Output = Response> + Send + 'static> Future for Answering<F> {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        // Away meanwhile: what panics is not gone on with.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let done = work.as_mut().poll(cx);
        if done.is_pending() {
            self.work = Some(work);
        }
        done
    }
}

impl<F: Future<Output = Response> + Send + 'static> Drop for Answering<F> {
    fn drop(&mut self) {
        if let (Some(work), Some(reader)) = (self.work.take(), self.successor.get()) {
            reader.take_over(async move { read_out(work.await.into_body()).await });
        }
    }
}

/// A stream that is read to its end where it is dropped before that.
struct Inherited {
    body: Option<Body>,
    reader: Option<Reader>,
}

/// The same body, which `reader` goes on reading.
pub(super) fn inherited(body: Body, reader: Option<Reader>) -> Body {
    match reader {
        Some(_) => Body::new(Inherited { body: Some(body), reader }),
        None => body,
    }
}

impl HttpBody for Inherited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if frame.is_none() {
            this.body = None;
        }
        Poll::Ready(frame)
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        if let (Some(body), Some(reader)) = (self.body.take(), self.reader.take()) {
            reader.take_over(read_out(body));
        }
    }
}
