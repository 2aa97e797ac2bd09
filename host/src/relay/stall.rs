//! Clients that stop reading without going away. The connection does not say so (over HTTP/2 it may even be
//! busy with other requests), and nobody polls the body meanwhile: somebody else has to look.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio_util::task::AbortOnDropHandle;

/// The client read nothing for this long.
#[derive(Debug, thiserror::Error)]
#[error("the client read nothing for {0:?}")]
struct Stalled(Duration);

/// A stream that ends, with guest and backend connection, when its client does not ask for more.
struct Watched {
    shared: Arc<Mutex<Shared>>,
    limit: Duration,
    _watch: AbortOnDropHandle<()>,
}

struct Shared {
    body: Option<Body>,
    /// Since when the client has had something to take.
    offered: Option<Instant>,
}

/// Ends `body` when nobody asks for its next frame for `limit` after the last.
pub(super) fn watched(body: Body, limit: Duration) -> Body {
    let shared = Arc::new(Mutex::new(Shared { body: Some(body), offered: None }));
    let watch = AbortOnDropHandle::new(tokio::spawn(watch(Arc::clone(&shared), limit)));
    Body::new(Watched { shared, limit, _watch: watch })
}

async fn watch(shared: Arc<Mutex<Shared>>, limit: Duration) {
    let mut look_again = limit;
    loop {
        tokio::time::sleep(look_again).await;
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = shared.offered.map_or(Duration::ZERO, |since| since.elapsed());
        if idle >= limit {
            let ended = shared.body.take();
            drop(shared);
            drop(ended); // settles its record
            return;
        }
        look_again = limit.saturating_sub(idle);
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.offered = None;
        let Some(body) = &mut shared.body else {
            return Poll::Ready(Some(Err(axum::Error::new(Stalled(self.limit)))));
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        shared.offered = Some(Instant::now());
        Poll::Ready(frame)
    }
}
