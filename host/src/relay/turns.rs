//! Large answers move piece by piece, and the pieces of one tenant take turns. A thread serves many connections, each of
//! which would move all that its socket takes before another has its turn.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use airlock_sandbox::Tenant;
use tokio_util::sync::PollSemaphore;

/// The turns of one answer.
pub(super) struct Turns(PollSemaphore);

impl Turns {
    pub(super) fn of(owner: &Tenant) -> Self {
        Self(PollSemaphore::new(owner.large_pieces()))
    }

    /// Waits until one more piece may be moved.
    pub(super) async fn next(&mut self) {
        poll_fn(|cx| self.poll_next(cx)).await;
    }

    /// The same. A turn ends when everything else on this thread that could go on has done so.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let turn = ready!(self.0.poll_acquire(cx));
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            drop(turn);
        });
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use airlock_sandbox::TenantLimits;

    use super::*;

    #[tokio::test]
    async fn between_two_pieces_everybody_else_has_a_turn() {
        const PIECES: usize = 50;
        let (owner, moved) = (Tenant::new("t", TenantLimits::default()), Arc::new(AtomicUsize::new(0)));
        for _ in 0..8 {
            let (mut turns, moved) = (Turns::of(&owner), Arc::clone(&moved));
            tokio::spawn(async move {
                for _ in 0..PIECES {
                    turns.next().await;
                    moved.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (mut before, mut most) = (0, 0);
        while before < 8 * PIECES {
            tokio::task::yield_now().await;
            let now = moved.load(Ordering::Relaxed);
            (before, most) = (now, most.max(now - before));
        }
        assert!(most <= 2, "{most} pieces in one round");
    }
}
