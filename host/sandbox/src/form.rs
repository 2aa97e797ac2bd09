//! A client's form (`multipart/form-data`) on its way to a backend. It may be larger than memory, so it is not held: it
//! passes through as it comes, once.

use std::{
    collections::VecDeque,
    fmt,
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body, Frame, SizeHint};

use crate::EgressError;

/// Why a form did not go out, or not to its end. The texts are for clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormFault {
    /// It cannot be read.
    #[error("{text}")]
    Malformed {
        /// A sentence.
        text: String,
        /// The field that is wrong.
        param: Option<&'static str>,
    },
    /// It is over the limit, in bytes.
    #[error("The request body is larger than {0} bytes, which is the limit.")]
    TooLarge(u64),
    /// The client did not send it to its end.
    #[error("The request body cannot be read: {0}.")]
    Unreadable(&'static str),
    /// The adaptor has sent it before.
    #[error("the adaptor sends the client's form a second time; it is not held, and can be sent once")]
    Spent,
    /// It is not sent on, as nobody waits for what would come of it.
    #[error("the rest of the form was not sent")]
    Over,
    /// The backend wants signed requests.
    #[error(
        "Requests to this model's backend are signed as a whole, and forms pass through unread: it takes none."
    )]
    Unsigned,
}

impl FormFault {
    /// Stable code, as in `wit/upstream.wit`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "invalid_form",
            Self::TooLarge(_) => "request_too_large",
            Self::Unreadable(_) => "unreadable_body",
            Self::Spent => "form_already_sent",
            Self::Over => "upstream_disconnected",
            Self::Unsigned => "unsupported_endpoint",
        }
    }
}

/// What is left of a client's form after its head.
pub type ClientBody = Pin<Box<dyn Body<Data = Bytes, Error = FormFault> + Send>>;

/// A client's form. Clones are the same form.
#[derive(Clone)]
pub struct Form(Arc<Shared>);

struct Shared {
    content_type: HeaderValue,
    /// Where in the head the model's name stands.
    name: Range<usize>,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// What was read until the model was known.
    head: Vec<Bytes>,
    rest: Option<ClientBody>,
    /// Whoever sends it.
    waker: Option<Waker>,
    /// When a part of it was sent last.
    moved: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody sends it.
    Here,
    /// Somebody is about to, and has taken nothing of it yet.
    Taken,
    Going,
    /// The backend has refused it: no more is sent, and its answer is read.
    Held,
    Sent,
    /// It was broken off.
    Over,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({:?})", self.state().stage)
    }
}

impl Form {
    /// A form of which `head` has come already. In it the model's name stands at `name`.
    pub fn new(content_type: HeaderValue, head: Vec<Bytes>, name: Range<usize>, rest: ClientBody) -> Self {
        let state = State { stage: Stage::Here, head, rest: Some(rest), waker: None, moved: Instant::now() };
        Self(Arc::new(Shared { content_type, name, state: Mutex::new(state) }))
    }

    /// Whether nothing of it was sent, so that it can go to another backend.
    pub fn is_whole(&self) -> bool {
        matches!(self.state().stage, Stage::Here | Stage::Taken)
    }

    /// What the client has not sent yet, for whoever reads it so that the client sees the answer. No more of it goes to
    /// the backend. None where all has come.
    pub fn into_rest(self) -> Option<ClientBody> {
        let mut state = self.state();
        state.end(Stage::Over);
        state.rest.take().filter(|rest| !rest.is_end_stream())
    }

    /// With its boundary.
    pub(crate) fn content_type(&self) -> &HeaderValue {
        &self.0.content_type
    }

    /// The form as a request's body, with the model under the name that the backend knows.
    pub(crate) fn send(&self, model: &str) -> Result<Upload, FormFault> {
        let mut state = self.state();
        if state.stage != Stage::Here {
            return Err(FormFault::Spent);
        }
        state.stage = Stage::Taken;
        let pieces = renamed(&state.head, &self.0.name, model);
        let rest = state.rest.as_ref().map_or(SizeHint::with_exact(0), |rest| rest.size_hint());
        let head: usize = pieces.iter().map(Bytes::len).sum();
        let length = rest.exact().map(|rest| rest.saturating_add(head as u64));
        Ok(Upload { form: self.clone(), pieces, length })
    }

    /// When a part of it was sent last.
    pub(crate) fn moved(&self) -> Instant {
        self.state().moved
    }

    /// The backend has refused it: what is not sent yet it does not want.
    pub(crate) fn hold(&self) {
        let mut state = self.state();
        if state.stage == Stage::Going {
            state.stage = Stage::Held;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends what is on its way.
    fn end(&mut self, stage: Stage) {
        if self.stage != Stage::Sent {
            self.stage = stage;
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The pieces with another name in the place of the model's.
fn renamed(head: &[Bytes], name: &Range<usize>, model: &str) -> VecDeque<Bytes> {
    let (mut pieces, mut at, mut is_named) = (VecDeque::with_capacity(head.len() + 2), 0, false);
    for piece in head {
        let inside = |place: usize| place.saturating_sub(at).min(piece.len());
        let (before, after) = (piece.slice(..inside(name.start)), piece.slice(inside(name.end)..));
        at += piece.len();
        pieces.push_back(before);
        if at > name.start && !is_named {
            is_named = true;
            pieces.push_back(Bytes::copy_from_slice(model.as_bytes()));
        }
        pieces.push_back(after);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// A form as the body of a request.
pub struct Upload {
    form: Form,
    pieces: VecDeque<Bytes>,
    length: Option<u64>,
}

impl Upload {
    /// The form.
    pub(crate) fn form(&self) -> &Form {
        &self.form
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let Self { form, pieces, .. } = self.get_mut();
        let state = &mut *form.state();
        match state.stage {
            Stage::Here | Stage::Taken => {
                state.stage = Stage::Going;
                state.head = Vec::new(); // the pieces are here
            }
            Stage::Going => {}
            Stage::Sent => return Poll::Ready(None),
            Stage::Held => {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Stage::Over => return Poll::Ready(Some(Err(FormFault::Over.into()))),
        }
        if let Some(piece) = pieces.pop_front() {
            state.moved = Instant::now();
            if pieces.is_empty() && state.rest.as_ref().is_none_or(|rest| rest.is_end_stream()) {
                state.stage = Stage::Sent;
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        // `into_rest` has to wake whoever waits here.
        state.waker = Some(cx.waker().clone());
        loop {
            let Some(rest) = &mut state.rest else { return Poll::Ready(Some(Err(FormFault::Over.into()))) };
            let next = ready!(rest.as_mut().poll_frame(cx));
            state.moved = Instant::now();
            if rest.is_end_stream() && next.as_ref().is_none_or(Result::is_ok) {
                state.stage = Stage::Sent; // nobody asks for more
            }
            match next {
                // Trailers say nothing that a backend would miss.
                Some(Ok(frame)) if !frame.is_data() => {}
                Some(next) => return Poll::Ready(Some(next.map_err(EgressError::from))),
                None => {
                    state.stage = Stage::Sent;
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.form.state();
        self.pieces.is_empty() && state.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut state = self.form.state();
        state.stage = match state.stage {
            Stage::Taken | Stage::Here => Stage::Here,
            Stage::Sent => Stage::Sent,
            Stage::Going | Stage::Held | Stage::Over => Stage::Over,
        };
    }
}

/// Breaks a form off when the answer to it is over or not wanted any more.
pub(crate) struct Guard(pub(crate) Form);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.state().end(Stage::Over);
    }
}

impl From<FormFault> for EgressError {
    fn from(fault: FormFault) -> Self {
        Self::Form(fault)
    }
}

/// What a request's body of `none` stands for.
#[derive(Clone)]
pub(crate) enum OwnBody {
    /// The task's, or what a middleware put in its place.
    Whole(Bytes),
    /// The client's form.
    Form {
        /// The form.
        form: Form,
        /// The backend's name of the model.
        model: Arc<str>,
        /// What adaptors see in its place.
        shown: Bytes,
    },
}

impl OwnBody {
    /// Takes over what a middleware hands on. One that hands on what it was shown has left a form as it is.
    pub(crate) fn replace(&mut self, body: Bytes) {
        if !matches!(self, Self::Form { shown, .. } if *shown == body) {
            *self = Self::Whole(body);
        }
    }
}

impl Default for OwnBody {
    /// For calls that are no task's.
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

#[cfg(test)]
mod tests;
