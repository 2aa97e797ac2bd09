//! Accepts connections and hands each to the worker with the fewest. One thread accepts, so that a port in
//! use is noticed and connections are spread evenly; workers are single-threaded runtimes, so that a
//! request, its guest and its backend connection stay on one core.

use std::{
    io,
    net::TcpStream as StdTcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api,
    gateway::{Gateway, Worker},
};

/// Longest time for a client to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until `stop`, then lets open requests finish for as long as the settings say. Returns when the
/// last worker has ended.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let workers = (0..gateway.settings().worker_count())
        .map(|i| WorkerThread::start(i, Arc::clone(&gateway), stop.clone()))
        .collect::<io::Result<Vec<_>>>()?;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => hand_over(&workers, stream),
            Err(error) => {
                // Out of file descriptors, most likely: some may be free again soon.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    gateway.start_draining();
    drop(listener); // new connections are refused from here on
    tokio::task::spawn_blocking(move || workers.into_iter().for_each(WorkerThread::join)).await?;
    Ok(())
}

fn hand_over(workers: &[WorkerThread], stream: TcpStream) {
    let least = workers.iter().min_by_key(|w| w.open.load(Ordering::Relaxed));
    if let (Some(worker), Ok(stream)) = (least, stream.into_std()) {
        let counted = Counted::new(&worker.open);
        // A worker that is gone is stopping; the connection closes.
        let _ = worker.connections.send((stream, counted));
    }
}

/// Counts one open connection.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct WorkerThread {
    connections: mpsc::UnboundedSender<(StdTcpStream, Counted)>,
    open: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl WorkerThread {
    fn start(index: usize, gateway: Arc<Gateway>, stop: CancellationToken) -> io::Result<Self> {
        let (connections, incoming) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread =
            std::thread::Builder::new().name(format!("airlock-worker-{index}")).spawn(move || {
                runtime.block_on(work(gateway, incoming, stop));
                runtime.shutdown_background();
            })?;
        Ok(Self { connections, open: Arc::default(), thread })
    }

    fn join(self) {
        drop(self.connections);
        if self.thread.join().is_err() {
            tracing::error!("a worker thread panicked");
        }
    }
}

async fn work(
    gateway: Arc<Gateway>,
    mut incoming: mpsc::UnboundedReceiver<(StdTcpStream, Counted)>,
    stop: CancellationToken,
) {
    let drain = Duration::from_secs(gateway.settings().drain_seconds);
    let router = api::router(Worker::new(gateway));
    let open = GracefulShutdown::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            next = incoming.recv() => match next {
                Some((stream, counted)) => connect(stream, counted, &router, &open),
                None => break,
            },
        }
    }
    // Connections that were handed over just before the signal are served too.
    while let Ok((stream, counted)) = incoming.try_recv() {
        connect(stream, counted, &router, &open);
    }
    if tokio::time::timeout(drain, open.shutdown()).await.is_err() {
        tracing::warn!("some requests were still open after {drain:?} and were cut off");
    }
}

fn connect(stream: StdTcpStream, counted: Counted, router: &Router, open: &GracefulShutdown) {
    // Without nodelay, an event waits up to 40 ms for the one before it to be acknowledged.
    let stream = stream.set_nodelay(true).and_then(|()| TcpStream::from_std(stream));
    let stream = match stream {
        Ok(stream) => TokioIo::new(stream),
        Err(error) => {
            tracing::debug!(%error, "a connection was gone before it was served");
            return;
        }
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let service = TowerToHyperService::new(router.clone());
    let connection = builder.serve_connection(stream, service).into_owned();
    let connection = open.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error, "a client's connection ended early");
        }
        drop(counted);
    });
}
