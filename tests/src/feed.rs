//! Streams that a test feeds by hand, and gates that it opens.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;
use http::Response;
use tokio::sync::{mpsc, watch};

use super::{Body, Seen, Upstream, sse};

/// The feeding end. The stream ends when it is dropped.
pub struct Feed(mpsc::UnboundedSender<Bytes>);

/// The fed end.
pub struct FeedStream(mpsc::UnboundedReceiver<Bytes>);

/// A stream that says what the test tells it to, when the test tells it to.
pub fn feed() -> (Feed, FeedStream) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Feed(sender), FeedStream(receiver))
}

impl Feed {
    /// Sends bytes, as one chunk.
    pub fn send(&self, bytes: impl Into<Bytes>) {
        self.0.send(bytes.into()).expect("the stream is still read");
    }

    /// Waits until nobody reads the stream any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

impl Stream for FeedStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(cx)
    }
}

impl Upstream {
    /// One whose answers wait until the gate is open.
    pub async fn gated<F>(answer: F) -> (Self, Gate)
    where
        F: Fn(Seen) -> Response<Body> + Clone + Send + Sync + 'static,
    {
        let gate = Gate::new();
        let held = gate.clone();
        let upstream = Self::start(move |seen| {
            let (held, answer) = (held.clone(), answer.clone());
            async move {
                held.pass().await;
                answer(seen)
            }
        })
        .await;
        (upstream, gate)
    }

    /// One that answers one request with a stream of server-sent events that the test feeds.
    pub async fn fed() -> (Self, Feed) {
        let (feed, stream) = feed();
        let stream = Arc::new(Mutex::new(Some(stream)));
        let upstream = Self::start(move |_| {
            let stream = stream.lock().unwrap().take().expect("one request");
            async move { sse(stream) }
        })
        .await;
        (upstream, feed)
    }
}

/// Holds everybody who waits until it is opened.
#[derive(Clone, Default)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everybody pass, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub async fn pass(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
