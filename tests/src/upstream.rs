//! Fake backends.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::Authority;

/// The body of a fake backend's response.
pub type Body = BoxBody<Bytes, Infallible>;

/// A request that a fake backend saw.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The protocol that it came by.
    pub version: http::Version,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Seen {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the request's body is JSON")
    }
}

/// A JSON answer.
pub fn json(status: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()).boxed())
        .unwrap()
}

/// Any answer.
pub fn bytes(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Full::from(body.into()).boxed())
        .unwrap()
}

/// An address that refuses connections.
pub fn refused_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A stream of server-sent events, as given.
pub fn sse<S>(events: S) -> Response<Body>
where
    S: Stream<Item = Bytes> + Send + Sync + 'static,
{
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(BodyExt::boxed(StreamBody::new(events.map(|b| Ok(Frame::data(b))))))
        .unwrap()
}

/// A stream that is over when its chunks are.
pub fn chunks<T: Into<Bytes>>(all: impl IntoIterator<Item = T>) -> impl Stream<Item = Bytes> + Send + Sync {
    let all: Vec<Bytes> = all.into_iter().map(Into::into).collect();
    futures_util::stream::iter(all)
}

/// A backend whose answers come from a closure. Dropping it closes its port and connections.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Starts one on a free port.
    pub async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Seen) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::listen(answer, None).await
    }

    async fn listen<F, A>(answer: F, tls: Option<TlsAcceptor>) -> Self
    where
        F: Fn(Seen) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, open, accepted) = (Arc::default(), Arc::default(), Arc::default());
        let shared = Shared {
            tls,
            answer: Arc::new(answer),
            seen: Arc::clone(&seen),
            open: Arc::clone(&open),
            accepted: Arc::clone(&accepted),
        };
        let task = tokio::spawn(accept(listener, shared));
        Self { address, seen, open, accepted, task }
    }

    /// Starts one that speaks TLS, offering these protocols, with a certificate for `localhost`.
    pub async fn start_tls<F, A>(authority: &Authority, protocols: &[&str], answer: F) -> Self
    where
        F: Fn(Seen) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::listen(answer, Some(authority.acceptor(protocols))).await
    }

    /// One that answers every request with this JSON.
    pub async fn json(body: Value) -> Self {
        Self::start(move |_| {
            let response = json(200, &body);
            async move { response }
        })
        .await
    }

    /// `http://ADDRESS/v1`
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Requests that it saw so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request that it saw.
    pub fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Connections that were ever opened.
    pub fn accepted_connections(&self) -> usize {
        self.accepted.load(Ordering::Acquire)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared<F> {
    tls: Option<TlsAcceptor>,
    answer: Arc<F>,
    seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

async fn accept<F, A>(listener: TcpListener, shared: Shared<F>)
where
    F: Fn(Seen) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let mut connections = tokio::task::JoinSet::new(); // aborted with this task
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        shared.accepted.fetch_add(1, Ordering::AcqRel);
        shared.open.fetch_add(1, Ordering::AcqRel);
        let closing = OnDrop(Arc::clone(&shared.open));
        let (answer, seen) = (Arc::clone(&shared.answer), Arc::clone(&shared.seen));
        let tls = shared.tls.clone();
        connections.spawn(async move {
            let _closing = closing;
            let service = service_fn(move |request: Request<Incoming>| {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                async move { respond(&*answer, &seen, request).await }
            });
            let Some(tls) = tls else {
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                return;
            };
            let Ok(stream) = tls.accept(stream).await else { return };
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let stream = TokioIo::new(stream);
            if is_h2 {
                let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
            } else {
                let _ = http1::Builder::new().serve_connection(stream, service).await;
            }
        });
    }
}

async fn respond<F, A>(
    answer: &F,
    seen: &Mutex<Vec<Seen>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, hyper::Error>
where
    F: Fn(Seen) -> A,
    A: Future<Output = Response<Body>>,
{
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let one =
        Seen { method: parts.method, uri: parts.uri, version: parts.version, headers: parts.headers, body };
    seen.lock().unwrap().push(one.clone());
    Ok(answer(one).await)
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A backend below HTTP: the closure gets each connection and may cut it where it likes.
pub struct RawUpstream {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl RawUpstream {
    /// Starts one on a free port.
    pub async fn start<F, A>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> A + Send + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream));
            }
        });
        Self { address, task }
    }

    /// `http://ADDRESS/v1`
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
