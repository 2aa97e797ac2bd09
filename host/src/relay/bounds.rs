//! How much a stream may carry, and for how long.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Sleep;

use super::RelayError;

/// What is left of a stream's bytes and time.
pub(super) struct Bounds {
    bytes_left: u64,
    max_bytes: u64,
    max_time: Duration,
    end: Pin<Box<Sleep>>,
}

impl Bounds {
    pub(super) fn new(max_bytes: u64, max_time: Duration) -> Self {
        let end = Box::pin(tokio::time::sleep(max_time));
        Self { bytes_left: max_bytes, max_bytes, max_time, end }
    }

    /// The output of `next`, where it comes in time. The timer is one for the whole stream.
    pub(super) async fn within<T>(&mut self, next: impl Future<Output = T>) -> Result<T, RelayError> {
        let mut next = std::pin::pin!(next);
        let (end, max_time) = (&mut self.end, self.max_time);
        std::future::poll_fn(move |cx: &mut Context<'_>| match next.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => end.as_mut().poll(cx).map(|()| Err(RelayError::TooLong(max_time))),
        })
        .await
    }

    /// Counts what is about to go to the client.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), RelayError> {
        let left = self.bytes_left.checked_sub(bytes as u64);
        self.bytes_left = left.ok_or(RelayError::TooLarge(self.max_bytes))?;
        Ok(())
    }
}
