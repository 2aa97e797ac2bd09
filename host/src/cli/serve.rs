//! `airlock serve`

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, signal::unix::SignalKind};
use tokio_util::sync::CancellationToken;

use super::{Failure, SettingsArgs, print, reload::Reloader, say};
use crate::{
    config::{Env, Settings},
    gateway::Gateway,
    ledger::LogLedger,
    observe, process, server,
    store::Store,
};

/// How long the last of what was used and recorded may take to be written down.
const LAST_WRITES: Duration = Duration::from_secs(5);

pub(super) async fn run(args: SettingsArgs, env: &Env) -> Result<(), Failure> {
    let settings = args.load(env)?;
    let reloader = Reloader::new(args, env, &settings)?;
    let listener = bind(settings.listen).await?;
    give_up(&settings)?;
    let log = observe::start(env).map_err(Failure::new)?;
    say("loading adaptors …");
    let running = start(settings, env, listener, stop_signal()?).await?;
    running.gateway.watch_log(log.drops());
    print(format_args!("url={}", running.base_url()))?;
    print("ready")?;
    let count =
        running.gateway.tenants().all().iter().map(|(_, catalog)| catalog.endpoints().count()).sum::<usize>();
    say(format_args!("airlock serves {count} endpoint(s) at {}", running.base_url()));
    tokio::spawn(reloader.run(Arc::clone(&running.gateway), running.stop.clone()));
    running.finish().await
}

/// Gives up what serving does not need, and tells what it could not give up. After the ports are open, as low
/// ones need a privilege, and before any thread is started, as each has its own.
pub(super) fn give_up(settings: &Settings) -> Result<(), Failure> {
    for folder in settings.own_folders() {
        Store::make_folder(&folder).map_err(Failure::new)?;
    }
    let notes = process::prepare(settings).map_err(Failure::new)?;
    notes.iter().for_each(|note| say(format_args!("warning: {note}")));
    Ok(())
}

/// A gateway that serves until its token is cancelled.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    gateway: Arc<Gateway>,
    store: Store,
    stop: CancellationToken,
    background: CancellationToken,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(super) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Waits for the signal and for open requests.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        self.stop.cancelled().await;
        say("stopping: open requests may finish; Ctrl-C again stops at once");
        let served = self.server.await;
        self.background.cancel();
        served.map_err(Failure::new)?.map_err(Failure::new)?;
        match tokio::time::timeout(LAST_WRITES, self.gateway.settle()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                say(format_args!("what was used and recorded last could not be written down: {error}"))
            }
            Err(_) => say("what was used and recorded last could not be written down in time"),
        }
        if let Err(error) = self.gateway.admission().settle().await {
            say(format_args!("the tokens of the last requests could not be written down: {error}"));
        }
        self.store.close().await;
        Ok(())
    }
}

pub(super) async fn start(
    settings: Settings,
    env: &Env,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<Running, Failure> {
    let address = listener.local_addr().map_err(Failure::new)?;
    let store = Store::open(&settings).await.map_err(Failure::new)?;
    let confine = settings.process.confine;
    let gateway = Gateway::assemble(settings, env, &store, Arc::new(LogLedger)).await;
    let gateway = gateway.map_err(|error| Failure::to_load(error, confine))?;
    // What goes on beside requests does so until the last of them is over.
    let background = CancellationToken::new();
    gateway.start_following(store.clone(), &background);
    let server = tokio::spawn(server::serve(Arc::clone(&gateway), listener, stop.clone()));
    Ok(Running { address, gateway, store, stop, background, server })
}

/// Takes the port before anything slow is done, so that one in use is told at once.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program listens there; stop it, or choose another address with --listen"
            }
            std::io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address",
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need privileges; choose another",
            _ => "choose another address with --listen",
        };
        Failure::new(format_args!("cannot listen on {address}: {error}\n  {remedy}"))
    })
}

/// Cancelled by the first Ctrl-C or SIGTERM; the second ends the process.
pub(super) fn stop_signal() -> Result<CancellationToken, Failure> {
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt()).map_err(Failure::new)?;
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate()).map_err(Failure::new)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(130);
            }
            token.cancel();
        }
    });
    Ok(stop)
}
