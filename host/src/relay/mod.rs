//! An endpoint's answer → what the client gets: checked where it is complete, event by event where it is a
//! stream, usage counted on the way.

mod bounds;
mod complete;
mod events;
mod framer;
mod json;
mod silence;
mod sound;
mod stall;
mod stream;
mod turns;
mod unattended;
mod upstream_error;
mod usage;
mod words;

use std::time::Duration;

use airlock_sandbox::{
    Answer, Answers, EventStream, Events, Fault, Operation, Tenant, UpstreamBody, UpstreamResponse,
};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::ledger::{Cause, Entry};

use complete::Whole;
/// For the fuzzer, which feeds it without a backend.
#[doc(hidden)]
pub use framer::{End, Framer};
pub use unattended::{Answering, Reader, Successor};
pub use upstream_error::UpstreamFailure;

/// Why an answer could not be given, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The backend answered with an error.
    #[error("the backend answered {}", .0.status)]
    Upstream(UpstreamFailure),
    /// The backend said that it succeeds, and then told of an error.
    #[error("the backend told of an error in the place of an answer: {}", .0.message)]
    Told(UpstreamFailure),
    /// The adaptor or the connection failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The answer is not what was asked for.
    #[error("{0}")]
    BadAnswer(String),
    /// The stream ended before its end.
    #[error("the backend's stream broke off before its last event")]
    Truncated,
    /// The answer takes longer than any may.
    #[error("the answer was not complete after {0:?}")]
    TooLong(Duration),
    /// The stream carries more than any may.
    #[error("the stream is larger than {0} bytes")]
    TooLarge(u64),
}

/// Where a stream is broken off.
pub struct Cut<'a> {
    /// What was asked for.
    pub operation: Operation,
    /// `x-request-id`.
    pub request_id: &'a str,
    /// The `sequence_number` that the next event would have had, where events have one.
    pub next_number: u64,
}

/// An error as it stands inside a stream.
pub struct Rendered {
    /// Its code, for the ledger.
    pub code: String,
    /// Whose business it is, for the ledger.
    pub cause: Cause,
    /// Its JSON, without line breaks.
    pub json: Bytes,
}

/// What the client asked for, and how errors look to it.
#[derive(Clone, Copy)]
pub struct Plan {
    /// What was asked for.
    pub operation: Operation,
    /// What its events look like, where it wants events.
    pub events: Option<Events>,
    /// Whether it may want no events all the same: what a form asks for may stand behind its file, so that the
    /// backend's answer says it.
    pub leaves_open: bool,
    /// Whether it wants the chunk with the usage.
    pub show_usage: bool,
    /// Largest complete answer.
    pub max_answer_bytes: usize,
    /// Largest stream.
    pub max_stream_bytes: u64,
    /// Longest time for an answer, from its head to its end.
    pub max_answer_time: Duration,
    /// How long a client may read nothing of a stream.
    pub client_stall: Duration,
    /// After how long a silence a stream gets a comment; zero: never.
    pub silence: Duration,
    /// Errors inside a stream.
    pub render: fn(RelayError, &Cut<'_>) -> Rendered,
}

/// An answer of which nothing has gone to the client yet.
pub enum Opened {
    /// All of it.
    Complete(Whole, HeaderMap),
    /// A backend's sound.
    Sound(Box<UpstreamBody>, HeaderMap),
    /// A backend's events.
    Stream(Box<UpstreamBody>, Events, HeaderMap),
    /// An adaptor's events.
    Events(Box<EventStream>, Events),
}

/// Looks at an answer before any of it is sent: its status, its kind, and all of it where it is not a
/// stream. Until here another answer can still be given instead. `owner` is whose endpoint gave it.
pub async fn open(
    answer: Answer,
    plan: Plan,
    owner: Option<&Tenant>,
    entry: &mut Entry,
) -> Result<Opened, RelayError> {
    let limit = plan.max_answer_time;
    let opened = tokio::time::timeout(limit, open_in_time(answer, plan, owner, entry)).await;
    opened.unwrap_or(Err(RelayError::TooLong(limit)))
}

async fn open_in_time(
    answer: Answer,
    plan: Plan,
    owner: Option<&Tenant>,
    entry: &mut Entry,
) -> Result<Opened, RelayError> {
    match (answer, plan.events) {
        (Answer::Upstream(response), _) => open_upstream(response, plan, owner, entry).await,
        (Answer::Body(_), Some(_)) if !plan.leaves_open => {
            Err(Fault::BadOutput("a task that wants events was answered with a body".into()).into())
        }
        (Answer::Body(_), _) if plan.operation.answers() == Answers::Audio => {
            Err(Fault::BadOutput("a task that wants sound was answered with JSON".into()).into())
        }
        (Answer::Body(body), _) => {
            if body.len() > plan.max_answer_bytes {
                let limit = plan.max_answer_bytes;
                return Err(Fault::BadOutput(format!("its body is larger than {limit} bytes")).into());
            }
            complete::check_body(&body, entry)
                .await
                .map_err(|why| Fault::BadOutput(format!("its body is {why}")))?;
            complete::is_no_error(std::slice::from_ref(&body))?;
            Ok(Opened::Complete(Whole::made(body, owner), HeaderMap::new()))
        }
        (Answer::Events(source), Some(events)) if !plan.leaves_open => Ok(Opened::Events(source, events)),
        (Answer::Events(_), _) => {
            Err(Fault::BadOutput("a task that wants one answer was answered with events".into()).into())
        }
    }
}

async fn open_upstream(
    response: UpstreamResponse,
    plan: Plan,
    owner: Option<&Tenant>,
    entry: &mut Entry,
) -> Result<Opened, RelayError> {
    if !response.status.is_success() {
        return Err(RelayError::Upstream(upstream_error::read(response).await));
    }
    let is_coded = |coding: &&HeaderValue| !["", "identity"].contains(&coding.to_str().unwrap_or("?").trim());
    if let Some(encoding) = response.headers.get_all(header::CONTENT_ENCODING).iter().find(is_coded) {
        return Err(RelayError::BadAnswer(format!(
            "the backend compressed its answer in a way that the gateway does not know ({encoding:?})"
        )));
    }
    let kept = kept_headers(&response.headers);
    match (is_event_stream(&response.headers), plan.events) {
        (true, Some(events)) => Ok(Opened::Stream(Box::new(response.body), events, kept)),
        (false, events) if events.is_none() || plan.leaves_open => {
            complete::open(response, kept, plan, owner, entry).await
        }
        (false, _) => Err(RelayError::BadAnswer(
            "the backend answered with one body, though a stream was asked for".into(),
        )),
        (true, None) => {
            Err(RelayError::BadAnswer("the backend answered with a stream, though none was asked for".into()))
        }
    }
}

impl Opened {
    /// The response. `entry` settles when its last byte is gone; or when the client is, and no `reader` goes on.
    pub fn into_response(self, plan: Plan, mut entry: Entry, reader: Option<Reader>) -> Response {
        entry.answered(200);
        let to_client = |body, silence| {
            let body = silence::commented(unattended::inherited(body, reader), silence);
            stall::watched(body, plan.client_stall)
        };
        let (body, headers) = match self {
            Self::Complete(whole, headers) => {
                (Body::new(complete::WholeBody::new(whole, entry)), complete::typed(headers))
            }
            Self::Sound(upstream, headers) => {
                (to_client(sound::body(upstream, plan, entry), Duration::ZERO), headers)
            }
            Self::Stream(upstream, events, headers) => {
                entry.note(|r| r.stream = true);
                (to_client(stream::body(upstream, events, plan, entry), plan.silence), event_headers(headers))
            }
            Self::Events(source, events) => (
                to_client(events::body(source, events, plan, entry), plan.silence),
                event_headers(HeaderMap::new()),
            ),
        };
        let mut response = Response::new(body);
        *response.headers_mut() = headers;
        response
    }
}

fn event_headers(mut headers: HeaderMap) -> HeaderMap {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Tells nginx and its like not to hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.as_bytes().get(..17))
        .is_some_and(|v| v.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Of a backend's headers, those that tell the client about the backend's limits.
fn kept_headers(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-")
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
