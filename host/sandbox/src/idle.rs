//! Silence, noticed.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::time::Sleep;

/// Notices silence. The timer is armed only when there is something to wait for, and moved only when
/// it fires, so that a busy stream pays one clock reading a frame.
pub struct IdleTimer {
    limit: Duration,
    last: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    /// Nothing has come yet. With [`Duration::MAX`] as the limit it is never too long.
    pub fn new(limit: Duration) -> Self {
        Self { limit, last: Instant::now(), sleep: None }
    }

    /// How long nothing may come.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Something has come.
    pub fn touch(&mut self) {
        self.last = Instant::now();
    }

    /// Ready once nothing has come for as long as the limit.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(due) = self.last.checked_add(self.limit) else { return Poll::Pending };
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due.into())));
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due.into());
        }
    }
}
