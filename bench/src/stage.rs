//! The real gateway in front of a backend in this process, with its gauges on: where the soak, the
//! disconnects and the neighbours are measured.

use crate::backend::Backend;
use crate::client::{Chat, Client, Gauges};
use crate::error::Fallible;
use crate::field::work_dir;
use crate::gateway::{self, Gateway, Start};
use crate::machine::{self, Machine};
use crate::report;
use crate::rungs::Model;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The gauge of instances.
pub const INSTANCES: &str = "airlock_instances";
/// The gauge of connections: the one that asks is always among them.
const CONNECTIONS: &str = "airlock_connections_open";
/// How long the gateway may take to come to rest.
pub const REST_LIMIT: Duration = Duration::from_secs(10);

/// What is measured, and where the figures go.
#[derive(clap::Args)]
pub struct Common {
    /// The gateway.
    #[arg(long)]
    gateway: PathBuf,
    /// Where the test guests were built.
    #[arg(long, default_value = "target/guests")]
    guests: PathBuf,
    /// Where the figures go.
    #[arg(long, default_value = "bench/results")]
    out: PathBuf,
}

impl Common {
    /// The gateway's binary.
    pub fn gateway(&self) -> &Path {
        &self.gateway
    }

    /// Where the test guests are.
    pub fn guests(&self) -> &Path {
        &self.guests
    }

    /// The facts beside the numbers. Refuses where they cannot be had.
    pub fn look(&self) -> Fallible<Machine> {
        machine::require_proc()?;
        Ok(machine::look(None, None, Some(gateway::version(&self.gateway)?)))
    }

    /// Writes figures.
    pub fn write(&self, name: &str, figures: &impl Serialize) -> Fallible<()> {
        report::write(&self.out, name, &(serde_json::to_string_pretty(figures)? + "\n"))
    }
}

/// A gateway that is ready, and its backend. Dropping it stops both, front to back.
pub struct Stage {
    /// The gateway.
    pub gateway: Gateway,
    /// Its backend.
    pub backend: Backend,
    /// Where the gateway listens.
    pub address: SocketAddr,
    dir: TempDir,
}

impl Stage {
    /// Starts both, with these variables beside those that all tools set.
    pub async fn start(common: &Common, models: &[Model], own: &[(&'static str, String)]) -> Fallible<Self> {
        let missing = models.iter().find_map(|model| gateway::missing_guest(model, &common.guests));
        missing.map_or(Ok(()), Err)?;
        let (dir, backend) = (work_dir()?, Backend::start().await?);
        let shared =
            [("AIRLOCK_METRICS", "true"), ("AIRLOCK_DRAIN_SECONDS", "1"), ("AIRLOCK_SANDBOX__SLOTS", "64")];
        let shared = shared.map(|(name, value)| (name, value.to_owned()));
        let start = Start {
            binary: &common.gateway,
            dir: dir.path(),
            guests: &common.guests,
            models,
            upstream: backend.address,
            settings: &[&shared, own].concat(),
        };
        eprintln!("starting {} …", common.gateway.display());
        let gateway = gateway::start(&start).await?;
        let address = address_in(&gateway.url).ok_or_else(|| format!("no address in {}", gateway.url))?;
        Ok(Self { gateway, backend, address, dir })
    }

    /// A folder for what belongs to it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where its store is.
    pub fn data(&self) -> PathBuf {
        self.dir().join("data")
    }

    /// A connection to the gateway.
    pub async fn client(&self) -> Fallible<Client> {
        Client::connect(self.address).await
    }

    /// A request to a model.
    pub fn chat(&self, model: &Model, streamed: bool) -> Chat {
        Chat::new(&self.gateway.key, model.name, streamed)
    }

    /// Waits until the gauges are zero, and returns them as they are then or at the limit.
    pub async fn rest(&self, client: &mut Client) -> Fallible<Gauges> {
        let started = Instant::now();
        loop {
            let gauges = client.gauges().await?;
            if restless(&gauges).is_none() || started.elapsed() > REST_LIMIT {
                return Ok(gauges);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What is not as it is in a gateway that nobody uses but the one that asks.
pub fn restless(gauges: &Gauges) -> Option<String> {
    let moving = |(name, value): &(&String, &u64)| **value != u64::from(name.as_str() == CONNECTIONS);
    let (name, value) = gauges.iter().find(moving)?;
    Some(format!("{name} is {value} at rest"))
}

fn address_in(url: &str) -> Option<SocketAddr> {
    url.strip_prefix("http://")?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_rest_only_the_asking_connection_is_open() {
        let gauges = |instances, connections| {
            Gauges::from([(INSTANCES.into(), instances), (CONNECTIONS.into(), connections)])
        };
        assert_eq!(restless(&gauges(0, 1)), None);
        assert!(restless(&gauges(1, 1)).is_some_and(|fault| fault.contains(INSTANCES)));
        assert!(restless(&gauges(0, 2)).is_some());
    }

    #[test]
    fn an_address_is_found_in_a_url() {
        assert_eq!(address_in("http://127.0.0.1:80/v1"), "127.0.0.1:80".parse().ok());
        assert_eq!(address_in("127.0.0.1:80"), None);
    }
}
