//! Everything that serving needs, assembled: shared by all workers, plus what each worker has alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use airlock_sandbox::{CacheKey, Connector, Egress, Sandbox, Tenant, TenantLimits};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Keys,
    batch::Batches,
    catalog::{self, BuildInput, Catalog},
    config::{ConfigError, Env, Settings},
    fixtures::{Fixtures, Mistakes},
    gauge::Gauge,
    jobs::JobBoard,
    ledger::Ledger,
    store::{self, Store, StoreError},
};

/// The tenant that owns what fixtures load.
const DEFAULT_TENANT: &str = "default";

/// Why the gateway cannot start, or what `airlock check` found.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Mistakes in the fixtures.
    #[error("{0}")]
    Fixtures(#[from] Mistakes),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A notice for a cluster that the fixtures do not have.
    #[error("maintenance.{0}: there is no cluster of this name; correct or remove the setting")]
    Maintenance(String),
    /// A setting that the environment does not fit.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// The sandbox's pool.
    #[error("{0}")]
    Sandbox(String),
    /// Certificates.
    #[error("the certificates for calls to backends cannot be read: {0}")]
    Egress(String),
}

/// A gateway that can serve. Several may live in one process.
pub struct Gateway {
    settings: Settings,
    catalog: Arc<Catalog>,
    keys: Keys,
    ledger: Arc<dyn Ledger>,
    jobs: JobBoard,
    batches: Batches,
    sandbox: Sandbox,
    connector: Connector,
    requests: Gauge,
    connections: Gauge,
    turn: AtomicUsize,
    draining: AtomicBool,
}

/// The parts that do not need a store: enough to check settings and fixtures.
pub struct Checked {
    /// What requests would be routed by.
    pub catalog: Catalog,
    sandbox: Sandbox,
    connector: Connector,
}

/// Loads fixtures and adaptors and checks all that can be checked without serving.
pub async fn check(
    settings: &Settings,
    env: &Env,
    cache_key: Option<CacheKey>,
) -> Result<Checked, StartError> {
    let fixtures = Fixtures::load_dir(&settings.fixtures)?;
    let callbacks = settings.callback_settings(env)?;
    let sandbox =
        Sandbox::new(&settings.sandbox_settings(cache_key, callbacks)).map_err(StartError::Sandbox)?;
    let connector = Connector::new(&settings.connect_settings()).map_err(StartError::Egress)?;
    let input = BuildInput {
        fixtures: &fixtures,
        sandbox: &sandbox,
        egress: &Egress::new(connector.clone(), settings.egress_limits()),
        env,
        adaptors_dir: settings.adaptors_dir(),
        budgets: settings.budgets(),
        tenant: Tenant::new(DEFAULT_TENANT, TenantLimits::default()),
        policy: settings.address_policy(),
        maintenance: &settings.maintenance,
    };
    let catalog = catalog::build(input).await?;
    if let Some(unknown) = settings.maintenance.keys().find(|name| catalog.cluster(name).is_none()) {
        return Err(StartError::Maintenance(unknown.clone()));
    }
    Ok(Checked { catalog, sandbox, connector })
}

impl Gateway {
    /// Assembles a gateway from its settings and an open store.
    pub async fn assemble(
        settings: Settings,
        env: &Env,
        store: &Store,
        ledger: Arc<dyn Ledger>,
    ) -> Result<Arc<Self>, StartError> {
        let Checked { catalog, sandbox, connector } =
            check(&settings, env, Some(CacheKey(store::cache_key(&settings.data)?))).await?;
        let keys = Keys::load(store).await?;
        let batches = Batches::open(store.clone(), settings.batch.max_active_per_user).await?;
        Ok(Arc::new(Self {
            settings,
            catalog: Arc::new(catalog),
            keys,
            ledger,
            jobs: JobBoard::default(),
            batches,
            sandbox,
            connector,
            requests: Gauge::default(),
            connections: Gauge::default(),
            turn: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
        }))
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What requests are routed by.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The active keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Where records go.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// What clusters are running.
    pub fn jobs(&self) -> &JobBoard {
        &self.jobs
    }

    /// Batches of all callers.
    pub fn batches(&self) -> &Batches {
        &self.batches
    }

    /// What the gateway does beside serving requests, until `stop`: it follows keys and batches.
    pub fn start_following(&self, store: Store, stop: &CancellationToken) {
        tokio::spawn(self.keys.clone().follow(store, stop.clone()));
        // A way out of its own, as connections belong to the thread that opened them.
        let egress = Egress::new(self.connector.clone(), self.settings.egress_limits());
        let period = Duration::from_secs(self.settings.batch.poll_seconds);
        tokio::spawn(self.batches.clone().follow(Arc::clone(&self.catalog), egress, period, stop.clone()));
    }

    /// Calls to backends that are open at this moment.
    pub fn open_calls(&self) -> usize {
        self.connector.open_calls()
    }

    /// Where adaptors run.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// API requests whose record is not settled.
    pub fn requests(&self) -> &Gauge {
        &self.requests
    }

    /// Connections of clients, over all workers.
    pub fn connections(&self) -> &Gauge {
        &self.connections
    }

    /// A number that differs from request to request, to spread them over equal endpoints.
    pub fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether it finishes open requests and takes no new connections.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }
}

/// What one worker thread serves with. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    gateway: Arc<Gateway>,
    egress: Egress,
}

impl Worker {
    /// Connections to backends belong to the thread that opened them.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let egress = Egress::new(gateway.connector.clone(), gateway.settings.egress_limits());
        Self { gateway, egress }
    }

    /// What all workers share.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// This worker's way out.
    pub fn egress(&self) -> &Egress {
        &self.egress
    }
}
