//! The other tenant: its clients and its backend, in processes that take what nobody else wants.

use super::pace::{Pace, ask};
use super::tenants::{Kind, Tenants};
use crate::backend::Backend;
use crate::client::Chat;
use crate::error::{Context as _, Fallible};
use crate::server::Server;
use crate::stage::Stage;
use crate::tally::Tally;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connections: more than a tenant may have instances, so that it meets that limit.
const CONNECTIONS: usize = 160;
const NICEST: i32 = 19;

/// A load for some seconds.
#[derive(clap::Args)]
pub struct LoadOptions {
    /// Where the gateway listens.
    #[arg(long)]
    address: SocketAddr,
    /// The key.
    #[arg(long)]
    key: String,
    /// Models, asked in turn.
    #[arg(long, value_delimiter = ',', required = true)]
    models: Vec<String>,
    /// Requests in a second.
    #[arg(long)]
    rate: u32,
    /// For how long.
    #[arg(long)]
    seconds: u64,
}

/// Loads, and prints what it came to as JSON.
pub async fn load(options: &LoadOptions) -> Fallible<()> {
    step_back()?;
    let chats: Vec<Chat> = options.models.iter().map(|m| Chat::new(&options.key, m, false)).collect();
    let (pace, next) = (Pace { rate: options.rate, connections: CONNECTIONS }, Arc::new(AtomicU32::new(0)));
    let (begin, time) = (Instant::now(), Duration::from_secs(options.seconds));
    let (mut lanes, tally) = (JoinSet::new(), Arc::new(Mutex::new(Tally::default())));
    for lane in 0..CONNECTIONS {
        let (address, next, chats, tally) = (options.address, next.clone(), chats.clone(), tally.clone());
        lanes.spawn(async move {
            let mut kept = None;
            for chat in chats.iter().cycle().skip(lane % chats.len().max(1)) {
                let Some(due) = pace.due(&next, begin, time) else { break };
                tokio::time::sleep_until(due).await;
                if begin.elapsed() > time {
                    break;
                }
                let done = ask(address, &mut kept, chat).await;
                let done = done.map(|(told, _)| told).map_err(|error| error.to_string());
                tally.lock().unwrap_or_else(PoisonError::into_inner).add(done);
            }
        });
    }
    // What is not answered by then is given up.
    let end = begin + time;
    while let Ok(Some(_)) = tokio::time::timeout_at(end, lanes.join_next()).await {}
    lanes.shutdown().await;
    let all = tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}

/// Serves the backend until the process is ended.
pub async fn serve() -> Fallible<()> {
    step_back()?;
    let backend = Backend::start().await?;
    println!("listening={}", backend.address);
    std::future::pending().await
}

fn step_back() -> Fallible<()> {
    Ok(rustix::process::setpriority_process(None, NICEST)?)
}

/// The other tenant's backend. Dropping it ends it.
pub struct Rival {
    address: SocketAddr,
    _server: Server,
}

impl Rival {
    /// Starts it; its output goes to `dir`.
    pub async fn start(dir: &Path) -> Fallible<Self> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.arg("rival-backend");
        let mut server = Server::start("rival", command, dir)?;
        let address = |printed: &str| printed.trim().strip_prefix("listening=")?.parse().ok();
        let address = server.wait_for(Duration::from_secs(10), address).await?;
        Ok(Self { address, _server: server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks for models of this kind.
    pub fn load(
        &self,
        stage: &Stage,
        tenants: &Tenants,
        kind: &Kind,
        rate: u32,
        time: Duration,
    ) -> Fallible<Noise> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["rival-load", "--key", &tenants.rival_key, "--models", &kind.models.join(",")]);
        command.args(["--address", &stage.address.to_string(), "--rate", &rate.to_string()]);
        command.args(["--seconds", &time.as_secs().to_string()]);
        let child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn();
        Ok(Noise(child.context(|| "cannot start the other tenant's clients".into())?))
    }
}

/// Clients of the other tenant. Dropping it ends them.
pub struct Noise(Child);

impl Noise {
    /// Waits for their end: what their requests came to.
    pub async fn end(self) -> Fallible<Tally> {
        let output = self.0.wait_with_output().await?;
        serde_json::from_slice(&output.stdout).context(|| "the other tenant's clients said nothing".into())
    }
}
