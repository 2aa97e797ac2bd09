//! The upstream of every rung: OpenAI-shaped answers rendered once, on one thread.

use crate::error::{Context, Fallible};
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Task, Poll};
use tokio::net::TcpListener;

/// Events of a stream when nothing else is asked for.
pub const EVENTS: usize = 20;

const COMPLETION: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1760000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"The tide follows the moon: water on the near side is pulled a little more than the Earth itself, and water on the far side a little less, so that two bulges form. As the Earth turns below them most coasts see high water twice a day."},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":180,"completion_tokens":52,"total_tokens":232}}"#;

/// How to run the mock.
#[derive(clap::Args)]
pub struct Options {
    /// The address to listen on; port 0 takes a free one. The first line printed is `listening=ADDR`.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Server-sent events per streamed answer, the closing three included.
    #[arg(long, default_value_t = EVENTS, value_parser = parse_events)]
    events: usize,
}

/// A number of events that leaves room for content before the closing three.
pub fn parse_events(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 4..=10_000) => Ok(count),
        _ => Err(
            "a stream has from 4 to 10000 events: at least one of text, the finish reason, the usage, [DONE]"
                .into(),
        ),
    }
}

/// The answers, and how many were given.
pub struct Mock {
    completion: Bytes,
    events: Vec<Bytes>,
    answered: AtomicU64,
}

/// What the mock answers.
pub type Answer = Response<Either<Full<Bytes>, Events>>;

impl Mock {
    /// With `events` events in every stream.
    pub fn new(events: usize) -> Arc<Self> {
        Arc::new(Self {
            completion: Bytes::from_static(COMPLETION.as_bytes()),
            events: render_events(events),
            answered: AtomicU64::new(0),
        })
    }

    /// Every complete answer.
    pub fn completion(&self) -> &Bytes {
        &self.completion
    }

    /// The events of every streamed answer.
    pub fn events(&self) -> &[Bytes] {
        &self.events
    }
}

/// Serves until the process is ended.
pub async fn run(options: &Options) -> Fallible<()> {
    let listener = TcpListener::bind(options.listen)
        .await
        .context(|| format!("cannot listen on {}; try port 0", options.listen))?;
    println!("listening={}", listener.local_addr()?);
    let mock = Mock::new(options.events);
    loop {
        let (socket, _) = listener.accept().await.context(|| "cannot accept a connection".into())?;
        socket.set_nodelay(true)?;
        let mock = mock.clone();
        let service = hyper::service::service_fn(move |request| answer(mock.clone(), request));
        // A caller that hangs up ends its connection, and nothing else.
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
        );
    }
}

/// Answers one request.
pub async fn answer(mock: Arc<Mock>, request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let path = request.uri().path();
    if request.method() == Method::POST && path.ends_with("/chat/completions") {
        let body = request.into_body().collect().await?.to_bytes();
        mock.answered.fetch_add(1, Ordering::Relaxed);
        return Ok(if wants_stream(&body) {
            let events = Events::new(mock);
            reply(StatusCode::OK, "text/event-stream", Either::Right(events))
        } else {
            json(StatusCode::OK, mock.completion.clone())
        });
    }
    if path == "/answered" {
        let count = mock.answered.load(Ordering::Relaxed).to_string();
        return Ok(json(StatusCode::OK, count.into()));
    }
    let text = r#"{"error":{"message":"the mock knows POST …/chat/completions and GET /answered"}}"#;
    Ok(json(StatusCode::NOT_FOUND, Bytes::from_static(text.as_bytes())))
}

fn json(status: StatusCode, body: Bytes) -> Answer {
    reply(status, "application/json", Either::Left(Full::new(body)))
}

fn reply(status: StatusCode, media_type: &'static str, body: Either<Full<Bytes>, Events>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// Whether the request has `"stream":true`, with or without spaces, without parsing it.
fn wants_stream(body: &[u8]) -> bool {
    const KEY: &[u8] = b"\"stream\"";
    memmem::find_iter(body, KEY).any(|at| {
        let rest = body.get(at + KEY.len()..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| value.starts_with(b"true"))
    })
}

fn render_events(count: usize) -> Vec<Bytes> {
    let chunk = |rest: &str| {
        Bytes::from(format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"bench\",{rest}}}\n\n"
        ))
    };
    let choice = |delta: &str, finish: &str| {
        chunk(&format!(r#""choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}],"usage":null"#))
    };
    let mut events = vec![choice(r#"{"role":"assistant","content":"The"}"#, "null")];
    events.extend((4..count).map(|at| choice(&format!(r#"{{"content":" tide{at}"}}"#), "null")));
    events.push(choice("{}", r#""stop""#));
    events.push(chunk(&format!(
        r#""choices":[],"usage":{{"prompt_tokens":180,"completion_tokens":{0},"total_tokens":{1}}}"#,
        count - 3,
        count + 177
    )));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

/// A streamed body that hands out one event at a time and lets the connection flush before the next.
pub struct Events {
    left: VecDeque<Bytes>,
    flushing: bool,
}

impl Events {
    fn new(mock: Arc<Mock>) -> Self {
        Self { left: mock.events.iter().cloned().collect(), flushing: false }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::take(&mut self.flushing) {
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.flushing = true;
        Poll::Ready(self.left.pop_front().map(|event| Ok(Frame::data(event))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_asked_for_by_the_flag_alone() {
        assert!(wants_stream(br#"{"model":"a","stream":true}"#));
        assert!(wants_stream(br#"{"stream" : true}"#));
        assert!(!wants_stream(br#"{"stream":false}"#));
        assert!(!wants_stream(br#"{"stream_options":{"include_usage":true}}"#));
        assert!(!wants_stream(br#"{"content":"say \"stream\":true"}"#));
    }

    #[test]
    fn a_stream_has_the_number_of_events_asked_for() {
        for count in [4, 5, EVENTS] {
            assert_eq!(render_events(count).len(), count);
        }
    }
}
