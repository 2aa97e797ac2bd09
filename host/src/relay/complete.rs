//! Complete answers: read whole, checked, counted, then sent with their length.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use airlock_sandbox::{EgressError, Fault, UpstreamBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::{RelayError, json::Checker};
use crate::{
    chunks::Chunks,
    ledger::{Entry, Outcome, Usage},
};

/// What is looked at before others on the same thread have their turn.
const PIECE: usize = 64 << 10;

/// Reads all of a backend's answer. A client cannot use half a JSON object, so nothing is lost by
/// waiting for its end, and a broken or truncated one can be told as an error.
pub(super) async fn read(
    mut body: UpstreamBody,
    max_bytes: usize,
    entry: &mut Entry,
) -> Result<Bytes, RelayError> {
    let (mut whole, mut check) = (Chunks::default(), Checker::default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Fault::from)?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > max_bytes {
                return Err(Fault::Egress(EgressError::TooLarge(max_bytes as u64)).into());
            }
            check.push(&data).map_err(bad)?;
            let is_large = data.len() > PIECE / 4;
            whole.push(data);
            if is_large {
                tokio::task::yield_now().await;
            }
        }
    }
    note(check.finish().map_err(bad)?, entry);
    Ok(whole.join())
}

/// Whether this is one JSON object; its usage goes into the ledger.
pub(super) async fn check_body(body: &[u8], entry: &mut Entry) -> Result<(), String> {
    let mut check = Checker::default();
    for (number, piece) in body.chunks(PIECE).enumerate() {
        if number > 0 {
            tokio::task::yield_now().await;
        }
        check.push(piece)?;
    }
    note(check.finish()?, entry);
    Ok(())
}

fn note(usage: Option<Usage>, entry: &mut Entry) {
    if let Some(usage) = usage {
        entry.usage(usage);
    }
}

fn bad(why: String) -> RelayError {
    RelayError::BadAnswer(format!("the backend's answer is {why}"))
}

/// A body in one piece, which settles its record when it has been handed over.
pub(super) struct WholeBody {
    bytes: Option<Bytes>,
    entry: Entry,
}

impl WholeBody {
    pub(super) fn new(bytes: Bytes, entry: Entry) -> Self {
        Self { bytes: Some(bytes), entry }
    }
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let bytes = this.bytes.take();
        if bytes.is_some() {
            this.entry.first_byte();
            this.entry.end(Outcome::Completed);
        }
        Poll::Ready(bytes.map(|b| Ok(Frame::data(b))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |b| b.len() as u64))
    }
}
