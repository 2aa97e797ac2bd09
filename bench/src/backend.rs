//! The upstream inside this process: the mock's answers, and some that do not come or do not end. It sees
//! when the gateway leaves.

use crate::error::{Context as _, Fallible};
use crate::mock::{self, Mock};
use bytes::Bytes;
use http_body_util::{BodyExt, Either};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Interval;

/// Below this path no answer comes.
pub const HOLD: &str = "/hold/v1";
/// Below this path an answer is a stream without an end.
pub const DRIP: &str = "/drip/v1";
/// Below this path an answer takes [`DELAY`].
pub const SLOW: &str = "/slow/v1";
/// Below this path an answer takes [`LONG_DELAY`].
pub const SLUGGISH: &str = "/sluggish/v1";
/// Below this path an answer has [`HUGE_BYTES`].
pub const HUGE: &str = "/huge/v1";
/// Below this path and a number are instances of a model that have room for [`CAPACITY`] requests; others wait.
pub const CAPPED: &str = "/capped/";
/// Requests that an instance works on at a time, each for [`WORK`].
pub const CAPACITY: usize = 4;
/// How long an instance works on a request.
pub const WORK: Duration = Duration::from_millis(100);
/// How many instances there are.
pub const INSTANCES: usize = 4;
/// How long a sluggish answer takes.
pub const LONG_DELAY: Duration = Duration::from_secs(2);
/// Bytes of a huge answer.
pub const HUGE_BYTES: usize = 8 << 20;
/// How long a slow answer takes.
pub const DELAY: Duration = Duration::from_millis(20);

/// Between two events of a stream without an end.
const PACE: Duration = Duration::from_millis(20);

type Answer = Response<Either<Either<http_body_util::Full<Bytes>, mock::Events>, Drip>>;

/// A running backend. Dropping it closes its port and all connections.
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it answers.
    pub mock: Arc<Mock>,
    open: watch::Receiver<usize>,
    held: watch::Receiver<u64>,
    accepting: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    mock: Arc<Mock>,
    huge: Bytes,
    instances: Arc<[Semaphore; INSTANCES]>,
    open: Arc<watch::Sender<usize>>,
    held: Arc<watch::Sender<u64>>,
}

impl Backend {
    /// Starts one on a free port.
    pub async fn start() -> Fallible<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context(|| "cannot listen".into())?;
        let address = listener.local_addr()?;
        let ((open_in, open), (held_in, held)) = (watch::channel(0), watch::channel(0));
        let mock = Mock::new(mock::EVENTS);
        let huge = huge(mock.completion());
        let instances = Arc::new(std::array::from_fn(|_| Semaphore::new(CAPACITY)));
        let (open_in, held_in) = (Arc::new(open_in), Arc::new(held_in));
        let shared = Shared { mock: mock.clone(), huge, instances, open: open_in, held: held_in };
        let accepting = tokio::spawn(accept(listener, shared));
        Ok(Self { address, mock, open, held, accepting })
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// Waits until no more than `count` connections are open.
    pub async fn closed_to(&self, count: usize) {
        // The sender lives as long as the accepting task; without it nothing is open.
        drop(self.open.clone().wait_for(|open| *open <= count).await);
    }

    /// Requests so far whose answer is held back.
    pub fn held(&self) -> u64 {
        *self.held.borrow()
    }

    /// Waits until there have been more than `count` of them.
    pub async fn held_beyond(&self, count: u64) {
        drop(self.held.clone().wait_for(|held| *held > count).await);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new(); // aborted with this task
    loop {
        // None can be accepted while there are no descriptors left: the next try may find one.
        if let Ok((socket, _)) = listener.accept().await {
            connections.spawn(serve(socket, shared.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, shared: Shared) {
    let _open = Open::new(&shared.open);
    // Costs latency only.
    drop(socket.set_nodelay(true));
    let service = hyper::service::service_fn(move |request| answer(shared.clone(), request));
    // A caller that hangs up ends its connection, and nothing else.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
}

/// Counts one connection.
struct Open(Arc<watch::Sender<usize>>);

impl Open {
    fn new(open: &Arc<watch::Sender<usize>>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

async fn answer(shared: Shared, request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let path = request.uri().path();
    if path.starts_with(HOLD) {
        request.into_body().collect().await?;
        shared.held.send_modify(|held| *held += 1);
        // Dropped when the caller has gone.
        return std::future::pending().await;
    }
    if path.starts_with(DRIP) {
        request.into_body().collect().await?;
        return Ok(drip(&shared.mock));
    }
    if path.starts_with(HUGE) {
        request.into_body().collect().await?;
        let body = http_body_util::Full::new(shared.huge.clone());
        let mut response = Response::new(Either::Left(Either::Left(body)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Ok(response);
    }
    let instance = path.strip_prefix(CAPPED).and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
    if let Some(room) = instance.and_then(|at| shared.instances.get(at)) {
        // Nobody closes it.
        let _room = room.acquire().await;
        tokio::time::sleep(WORK).await;
    } else if path.starts_with(SLUGGISH) {
        tokio::time::sleep(LONG_DELAY).await;
    } else if path.starts_with(SLOW) {
        tokio::time::sleep(DELAY).await;
    }
    Ok(mock::answer(shared.mock, request).await?.map(Either::Left))
}

/// The completion, with a text that fills it up.
fn huge(completion: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(completion);
    let long = format!("\"content\":\"{}", "tide ".repeat(HUGE_BYTES / 5));
    text.replacen("\"content\":\"", &long, 1).into()
}

fn drip(mock: &Mock) -> Answer {
    let event = mock.events().first().cloned().unwrap_or_default();
    let mut response = Response::new(Either::Right(Drip { event, pace: tokio::time::interval(PACE) }));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// The same event again and again.
struct Drip {
    event: Bytes,
    pace: Interval,
}

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.pace.poll_tick(task));
        Poll::Ready(Some(Ok(Frame::data(self.event.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(backend: &Backend, base: &str) -> Fallible<TcpStream> {
        let mut socket = TcpStream::connect(backend.address).await?;
        let request =
            format!("POST {base}/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}");
        socket.write_all(request.as_bytes()).await?;
        Ok(socket)
    }

    #[tokio::test]
    async fn a_held_request_is_seen_and_its_end_too() -> Fallible<()> {
        let backend = Backend::start().await?;
        let socket = ask(&backend, HOLD).await?;
        backend.held_beyond(0).await;
        assert_eq!((backend.held(), backend.open()), (1, 1));
        drop(socket);
        backend.closed_to(0).await;
        assert_eq!(backend.open(), 0);
        Ok(())
    }

    #[tokio::test]
    async fn a_drip_goes_on_and_a_slow_answer_comes() -> Fallible<()> {
        let backend = Backend::start().await?;
        for (base, count, word) in [(DRIP, 3, "data:"), (SLOW, 1, "chatcmpl-bench")] {
            let (mut socket, mut read) = (ask(&backend, base).await?, Vec::new());
            while memchr::memmem::find_iter(&read, word).count() < count {
                assert!(socket.read_buf(&mut read).await? > 0);
            }
        }
        Ok(())
    }
}
