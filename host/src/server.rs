//! Accepts connections and hands each to the worker with the fewest. One thread accepts, so that a port in
//! use is noticed and connections are spread evenly; workers are single-threaded runtimes, so that a
//! request, its guest and its backend connection stay on one core.

use std::{io, net::TcpStream as StdTcpStream, pin::pin, sync::Arc, thread::JoinHandle, time::Duration};

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
    api::Surface,
    gateway::{Gateway, Worker},
    gauge::{Counted, Gauge},
};

/// Longest time for a client to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until `stop`, then lets open requests finish for as long as the settings say. Returns when the
/// last worker has ended.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let surface = Arc::new(Surface::new(gateway.settings().metrics));
    let closing = CancellationToken::new();
    let workers = (0..gateway.settings().worker_count())
        .map(|i| WorkerThread::start(i, Arc::clone(&gateway), Arc::clone(&surface), closing.clone()))
        .collect::<io::Result<Vec<_>>>()?;
    let mut end = pin!(unready(&gateway, &stop));
    loop {
        let accepted = tokio::select! {
            () = &mut end => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => hand_over(&workers, gateway.connections(), stream),
            Err(error) => {
                // Out of file descriptors, most likely: some may be free again soon.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener); // new connections are refused from here on
    closing.cancel();
    tokio::task::spawn_blocking(move || workers.into_iter().for_each(WorkerThread::join)).await?;
    Ok(())
}

/// Over when new connections are to be refused: some time after `/ready` has begun to say no, so that whoever spreads
/// requests over gateways has noticed.
async fn unready(gateway: &Gateway, stop: &CancellationToken) {
    stop.cancelled().await;
    gateway.start_draining();
    tokio::time::sleep(Duration::from_secs(gateway.settings().unready_seconds)).await;
}

fn hand_over(workers: &[WorkerThread], all: &Gauge, stream: TcpStream) {
    let least = workers.iter().min_by_key(|w| w.open.get());
    if let (Some(worker), Ok(stream)) = (least, stream.into_std()) {
        let counted = [worker.open.count(), all.count()];
        // A worker that is gone is stopping; the connection closes.
        let _ = worker.connections.send(Connection { stream, counted });
    }
}

/// A client's connection, counted by its worker and by the gateway.
struct Connection {
    stream: StdTcpStream,
    counted: [Counted; 2],
}

struct WorkerThread {
    connections: mpsc::UnboundedSender<Connection>,
    open: Gauge,
    thread: JoinHandle<()>,
}

impl WorkerThread {
    fn start(
        index: usize,
        gateway: Arc<Gateway>,
        surface: Arc<Surface>,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let (connections, incoming) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread =
            std::thread::Builder::new().name(format!("airlock-worker-{index}")).spawn(move || {
                runtime.block_on(work(gateway, &surface, incoming, stop));
                runtime.shutdown_background();
            })?;
        Ok(Self { connections, open: Gauge::default(), thread })
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
    surface: &Surface,
    mut incoming: mpsc::UnboundedReceiver<Connection>,
    stop: CancellationToken,
) {
    let stall = || Duration::from_secs(gateway.settings().client_stall_seconds);
    let worker = Worker::new(Arc::clone(&gateway));
    let unattended = worker.unattended().clone();
    let router = surface.router(worker);
    let open = GracefulShutdown::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            next = incoming.recv() => match next {
                Some(connection) => connect(connection, &router, &open, stall()),
                None => break,
            },
        }
    }
    // Connections that were handed over just before the signal are served too.
    while let Ok(connection) = incoming.try_recv() {
        connect(connection, &router, &open, stall());
    }
    let drain = Duration::from_secs(gateway.settings().drain_seconds);
    unattended.close();
    let done = async {
        open.shutdown().await;
        unattended.wait().await;
    };
    if tokio::time::timeout(drain, done).await.is_err() {
        tracing::warn!("some requests were still open after {drain:?} and were cut off");
    }
}

fn connect(connection: Connection, router: &Router, open: &GracefulShutdown, stall: Duration) {
    let Connection { stream, counted } = connection;
    // Without nodelay, an event waits up to 40 ms for the one before it to be acknowledged.
    let stream = stream
        .set_nodelay(true)
        .and_then(|()| limit_unread(&stream, stall))
        .and_then(|()| TcpStream::from_std(stream));
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

/// Closes the connection when its client takes nothing of what was sent for this long.
#[cfg(target_os = "linux")]
fn limit_unread(stream: &StdTcpStream, limit: Duration) -> io::Result<()> {
    let milliseconds = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    Ok(rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)?)
}

#[cfg(not(target_os = "linux"))]
fn limit_unread(_: &StdTcpStream, _: Duration) -> io::Result<()> {
    Ok(())
}
