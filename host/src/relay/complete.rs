//! Complete answers: read whole, checked, counted, then sent with their length.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use airlock_sandbox::{EgressError, Fault, Tenant, UpstreamBody};
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
/// Answers above this wait for their turn among those of the endpoint's owner: the rest stays with the backend meanwhile.
const LARGE: usize = 256 << 10;

/// Reads all of a backend's answer. A client cannot use half a JSON object, so nothing is lost by
/// waiting for its end, and a broken or truncated one can be told as an error.
pub(super) async fn read(
    mut body: UpstreamBody,
    max_bytes: usize,
    owner: Option<&Tenant>,
    entry: &mut Entry,
) -> Result<Vec<Bytes>, RelayError> {
    let (mut whole, mut check, mut turn) = (Chunks::default(), Checker::default(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Fault::from)?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > max_bytes {
                return Err(Fault::Egress(EgressError::TooLarge(max_bytes as u64)).into());
            }
            check.push(&data).map_err(bad)?;
            whole.push(data);
            if whole.len() > LARGE {
                if let (None, Some(owner)) = (&turn, owner) {
                    turn = owner.large_answer().await;
                }
                tokio::task::yield_now().await;
            }
        }
    }
    note(check.finish().map_err(bad)?, entry);
    Ok(whole.into_pieces())
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

/// A whole body, which settles its record when it has been handed over.
pub(super) struct WholeBody {
    pieces: vec::IntoIter<Bytes>,
    left: u64,
    entry: Entry,
}

impl WholeBody {
    pub(super) fn new(pieces: Vec<Bytes>, entry: Entry) -> Self {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces: pieces.into_iter(), left, entry }
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
        let next = this.pieces.next();
        if let Some(piece) = &next {
            this.left = this.left.saturating_sub(piece.len() as u64);
            this.entry.first_byte();
            if this.is_end_stream() {
                this.entry.end(Outcome::Completed);
            }
        }
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
