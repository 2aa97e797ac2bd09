//! Complete answers: read whole, checked, counted, then sent with their length.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use airlock_sandbox::{Answers, EgressError, Fault, Tenant, UpstreamBody, UpstreamResponse};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::{Opened, Plan, RelayError, json::Checker, turns::Turns, upstream_error::told_whole};
use crate::{
    chunks::Chunks,
    ledger::{Entry, Outcome, Usage},
};

/// What is looked at before others on the same thread have their turn.
const PIECE: usize = 64 << 10;
/// Answers above this wait for their turn among those of the endpoint's owner: the rest stays with the backend meanwhile.
const LARGE: usize = 256 << 10;

/// A complete answer, checked.
pub struct Whole {
    pieces: Vec<Bytes>,
    /// Where it is large.
    turns: Option<Turns>,
}

impl Whole {
    /// A body that was made in one piece.
    pub(super) fn made(mut body: Bytes, owner: Option<&Tenant>) -> Self {
        let turns = owner.filter(|_| body.len() > LARGE).map(Turns::of);
        let mut pieces = Vec::with_capacity(body.len() / LARGE + 1);
        while body.len() > LARGE {
            pieces.push(body.split_to(LARGE));
        }
        pieces.push(body);
        Self { pieces, turns }
    }
}

/// Opens an answer that is no stream of events, whose kind its operation decides.
pub(super) async fn open(
    response: UpstreamResponse,
    mut headers: HeaderMap,
    plan: Plan,
    owner: Option<&Tenant>,
    entry: &mut Entry,
) -> Result<Opened, RelayError> {
    let content_type = response.headers.get(header::CONTENT_TYPE).cloned();
    let kind = content_type.as_ref().map_or(&b""[..], |value| value.as_bytes());
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let limit = plan.max_answer_bytes;
    // Of several, browsers take the last.
    if content_type.as_ref().is_some_and(|value| value.as_bytes().contains(&b','))
        && plan.operation.answers() != Answers::Json
    {
        return Err(bad("of several content types".into()));
    }
    match plan.operation.answers() {
        Answers::Audio if is_audio(&kind) => {
            let octets = HeaderValue::from_static("application/octet-stream");
            headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(octets));
            headers.insert(NO_SNIFF.0, NO_SNIFF.1);
            Ok(Opened::Sound(Box::new(response.body), headers))
        }
        Answers::Audio => Err(bad(format!("{:?}, and not sound", String::from_utf8_lossy(&kind)))),
        Answers::Text if is_text(&kind) => {
            headers.extend(content_type.map(|value| (header::CONTENT_TYPE, value)));
            headers.insert(NO_SNIFF.0, NO_SNIFF.1);
            Ok(Opened::Complete(read(response.body, limit, None, owner, entry).await?, headers))
        }
        Answers::Text | Answers::Json => {
            let check = Some(Checker::default());
            Ok(Opened::Complete(read(response.body, limit, check, owner, entry).await?, headers))
        }
    }
}

/// What a backend said is what a browser takes it for.
const NO_SNIFF: (HeaderName, HeaderValue) =
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

/// What a backend says that sends sound, in lower case. Some say nothing.
fn is_audio(kind: &[u8]) -> bool {
    let is_plain = |rest: &[u8]| rest.iter().all(|b| b.is_ascii_alphanumeric() || b".+-".contains(b));
    // What ends so is a document that may hold a script.
    let is_sound = |rest: &[u8]| is_plain(rest) && !rest.ends_with(b"+xml");
    kind.strip_prefix(b"audio/").is_some_and(is_sound)
        || [&b""[..], b"application/octet-stream", b"application/ogg"].contains(&kind)
}

/// What a backend says that sends a transcript as plain text or subtitles.
fn is_text(kind: &[u8]) -> bool {
    const KINDS: [&[u8]; 5] =
        [b"text/plain", b"text/vtt", b"text/srt", b"application/x-subrip", b"application/srt"];
    KINDS.contains(&kind)
}

/// The headers of a complete answer, which is JSON unless they say what it is.
pub(super) fn typed(mut headers: HeaderMap) -> HeaderMap {
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    headers
}

/// Reads all of a backend's answer. A client cannot use half a JSON object, so nothing is lost by
/// waiting for its end, and a broken or truncated one can be told as an error. Text is not checked.
async fn read(
    mut body: UpstreamBody,
    max_bytes: usize,
    mut check: Option<Checker>,
    owner: Option<&Tenant>,
    entry: &mut Entry,
) -> Result<Whole, RelayError> {
    let (mut whole, mut place, mut turns) = (Chunks::default(), None, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Fault::from)?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > max_bytes {
                return Err(Fault::Egress(EgressError::TooLarge(max_bytes as u64)).into());
            }
            if let Some(check) = &mut check {
                check.push(&data).map_err(bad)?;
            }
            whole.push(data);
            if let Some(owner) = owner.filter(|_| whole.len() > LARGE) {
                if place.is_none() {
                    place = owner.large_answer().await;
                }
                turns.get_or_insert_with(|| Turns::of(owner)).next().await;
            }
        }
    }
    let pieces = whole.into_pieces();
    if let Some(check) = check {
        note(check.finish().map_err(bad)?, entry);
        is_no_error(&pieces)?;
    }
    Ok(Whole { pieces, turns })
}

/// Errors may go as answers.
pub(super) fn is_no_error(pieces: &[Bytes]) -> Result<(), RelayError> {
    told_whole(pieces).map_or(Ok(()), |failure| Err(RelayError::Told(failure)))
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
    turns: Option<Turns>,
    entry: Entry,
}

impl WholeBody {
    pub(super) fn new(whole: Whole, entry: Entry) -> Self {
        let Whole { pieces, turns } = whole;
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces: pieces.into_iter(), left, turns, entry }
    }
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(turns) = &mut this.turns {
            ready!(turns.poll_next(cx));
        }
        let next = this.pieces.next();
        if let Some(piece) = &next {
            this.left = this.left.saturating_sub(piece.len() as u64);
            this.entry.sends(piece);
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

#[cfg(test)]
mod tests {
    use airlock_sandbox::{Operation, TenantLimits};

    use super::*;

    fn sent(body: &'static [u8], owner: &Tenant) -> WholeBody {
        let entry = Entry::stray(Operation::Embeddings);
        WholeBody::new(Whole::made(Bytes::from_static(body), Some(owner)), entry)
    }

    #[tokio::test]
    async fn a_large_answer_waits_for_its_turn_and_a_small_one_does_not() {
        static LARGE_BODY: [u8; LARGE + 1] = [0; LARGE + 1];
        let owner = Tenant::new("t", TenantLimits::default());
        let pieces = owner.large_pieces();
        let taken = pieces.acquire_many(u32::try_from(pieces.available_permits()).unwrap()).await.unwrap();
        assert_eq!(sent(b"{}", &owner).collect().await.unwrap().to_bytes(), "{}");
        let mut large = sent(&LARGE_BODY, &owner);
        assert!(futures_util::poll!(large.frame()).is_pending());
        drop(taken);
        let mut sizes = Vec::new();
        while let Some(frame) = large.frame().await {
            sizes.push(frame.unwrap().into_data().unwrap().len());
        }
        assert_eq!(sizes, [LARGE, 1]);
    }
}
