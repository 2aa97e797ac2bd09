//! Sending an answer piece by piece as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::error::error_body;

/// One event of a stream.
pub(super) struct Event {
    /// Whether the pace applies before this event: it does for tokens after the first one.
    pub(super) waits: bool,
    /// The JSON behind `data:`.
    pub(super) data: Value,
}

struct Sending<I> {
    events: I,
    ended: bool,
}

/// A response that sends the events at a pace and closes with `[DONE]`.
///
/// Events are made when they are due, and only while someone reads: a client that goes away drops
/// the body, and with it everything here. A shutdown ends the stream with an error event and no
/// `[DONE]`, because the answer is not complete.
pub(super) fn respond<I>(events: I, pace: Duration, shutdown: CancellationToken) -> Response
where
    I: Iterator<Item = Event> + Send + 'static,
{
    let state = Sending { events, ended: false };
    let frames = stream::unfold(state, move |mut sending| {
        let shutdown = shutdown.clone();
        async move {
            if sending.ended {
                return None;
            }
            let Some(event) = sending.events.next() else {
                sending.ended = true;
                return Some((Ok::<_, Infallible>(Bytes::from_static(b"data: [DONE]\n\n")), sending));
            };
            if event.waits && !wait(pace, &shutdown).await {
                sending.ended = true;
                let error = error_body("The demo model server is stopping.", "server_error", None, None);
                return Some((Ok(frame(&error)), sending));
            }
            Some((Ok(frame(&event.data)), sending))
        }
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn frame(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

/// Waits for one pace; false if the server stops meanwhile.
async fn wait(pace: Duration, shutdown: &CancellationToken) -> bool {
    if pace.is_zero() {
        return !shutdown.is_cancelled();
    }
    tokio::select! {
        () = tokio::time::sleep(pace) => true,
        () = shutdown.cancelled() => false,
    }
}
