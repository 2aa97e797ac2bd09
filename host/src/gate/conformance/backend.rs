//! The backend of a conformance run: in memory, with a script. Every address leads to it and none leads out.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use airlock_sandbox::StandIn;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{Method, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{io::DuplexStream, sync::Notify};
use tokio_util::task::AbortOnDropHandle;

use super::MODEL;

/// What a connection holds back before somebody reads.
const BUFFER: usize = 64 << 10;
/// The most that is read of a request.
const MAX_REQUEST: usize = 4 << 20;

/// What the backend does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// It answers as OpenAI's API does.
    Well,
    /// It refuses.
    Status(u16),
    /// It answers with something else.
    Garbage,
    /// It answers with nothing.
    Empty,
    /// It breaks off in the middle.
    BreaksOff,
    /// A stream holds an error.
    ErrorEvent,
    /// It never answers.
    Hangs,
    /// It begins, and says no more.
    FallsSilent,
}

impl Script {
    /// In words, for "a backend that …".
    pub(super) fn does(self) -> String {
        match self {
            Self::Well => "answers well".into(),
            Self::Status(status) => format!("answers {status}"),
            Self::Garbage => "answers with no JSON".into(),
            Self::Empty => "answers with nothing".into(),
            Self::BreaksOff => "breaks off in the middle".into(),
            Self::ErrorEvent => "sends an error within a stream".into(),
            Self::Hangs => "never answers".into(),
            Self::FallsSilent => "falls silent in the middle".into(),
        }
    }
}

/// A backend. Its connections end with it.
pub(super) struct Backend {
    played: Arc<Played>,
    connections: Mutex<Vec<AbortOnDropHandle<()>>>,
}

struct Played {
    script: Script,
    asked: AtomicUsize,
    was_asked: Notify,
}

impl Backend {
    pub(super) fn new(script: Script) -> Arc<Self> {
        let played = Played { script, asked: AtomicUsize::new(0), was_asked: Notify::new() };
        Arc::new(Self { played: Arc::new(played), connections: Mutex::default() })
    }

    /// Requests that came.
    pub(super) fn asked(&self) -> usize {
        self.played.asked.load(Ordering::Acquire)
    }

    /// Waits for a request.
    pub(super) async fn wait_for_request(&self) {
        self.played.was_asked.notified().await;
    }
}

impl StandIn for Backend {
    fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let played = Arc::clone(&self.played);
        let service = service_fn(move |request| answer(Arc::clone(&played), request));
        let serving = tokio::spawn(async move {
            // How it ends is the script's business, or the adaptor's.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(theirs), service).await;
        });
        let serving = AbortOnDropHandle::new(serving);
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(serving);
        ours
    }
}

type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

async fn answer(played: Arc<Played>, request: Request<Incoming>) -> Result<Reply, Infallible> {
    let is_post = request.method() == Method::POST;
    let body = Limited::new(request.into_body(), MAX_REQUEST).collect().await;
    let body = body.map(|whole| whole.to_bytes()).unwrap_or_default();
    played.asked.fetch_add(1, Ordering::AcqRel);
    played.was_asked.notify_one();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_stream = body.get("stream").and_then(Value::as_bool).unwrap_or_default();
    let script = played.script;
    let pieces = match script {
        Script::Hangs => std::future::pending().await,
        Script::Status(status) => return Ok(refusal(status)),
        Script::Garbage => vec!["<html>\u{0}not what you asked for".to_owned()],
        Script::Empty => Vec::new(),
        _ if !is_post => {
            vec![json!({ "object": "list", "data": [{ "id": MODEL, "object": "model" }] }).to_string()]
        }
        _ if is_stream => events(script),
        _ => vec![completion()],
    };
    let kind = if is_stream && is_post { "text/event-stream" } else { "application/json" };
    Ok(response(200, kind, body_of(pieces, script)))
}

fn response(status: u16, kind: &'static str, body: UnsyncBoxBody<Bytes, io::Error>) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

fn refusal(status: u16) -> Reply {
    let error = json!({ "error": { "message": "The script says so.", "type": "scripted", "param": null, "code": "scripted" } });
    let mut response = response(status, "application/json", body_of(vec![error.to_string()], Script::Well));
    if status == 429 {
        response.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    }
    response
}

/// The pieces, and then the end that the script has for them.
fn body_of(mut pieces: Vec<String>, script: Script) -> UnsyncBoxBody<Bytes, io::Error> {
    let rest: std::pin::Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>> + Send>> = match script {
        Script::BreaksOff => Box::pin(stream::once(async {
            // Not before what came so far is on its way.
            tokio::task::yield_now().await;
            Err(io::ErrorKind::ConnectionReset.into())
        })),
        Script::FallsSilent => Box::pin(stream::pending()),
        _ => Box::pin(stream::empty()),
    };
    if matches!(script, Script::BreaksOff | Script::FallsSilent) {
        // The first event, or the first half of what there is.
        pieces.truncate(1);
        if let Some(first) = pieces.first_mut().filter(|first| !first.starts_with("data:")) {
            first.truncate(first.len() / 2);
        }
    }
    let pieces = pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::from(piece))));
    StreamBody::new(stream::iter(pieces).chain(rest)).boxed_unsync()
}

fn completion() -> String {
    let message = json!({ "role": "assistant", "content": "conformance" });
    json!({
        "id": "chatcmpl-conformance", "object": "chat.completion", "created": 1_767_225_600, "model": MODEL,
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }], "usage": usage(),
    })
    .to_string()
}

fn usage() -> Value {
    json!({ "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 })
}

/// The events of a stream.
fn events(script: Script) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-conformance", "object": "chat.completion.chunk", "created": 1_767_225_600,
            "model": MODEL, "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, end: Option<&str>| {
        chunk(json!([{ "index": 0, "delta": delta, "finish_reason": end }]), Value::Null)
    };
    let first = delta(json!({ "role": "assistant", "content": "confor" }), None);
    if script == Script::ErrorEvent {
        let error = json!({ "error": { "message": "The script says so.", "type": "scripted", "code": 500 } });
        return vec![first, format!("data: {error}\n\n")];
    }
    let second = delta(json!({ "content": "mance" }), Some("stop"));
    vec![first, second, chunk(json!([]), usage()), "data: [DONE]\n\n".to_owned()]
}
