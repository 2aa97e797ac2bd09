//! Everything that serving needs, assembled: shared by all workers, plus what each worker has alone.

mod records;
mod start;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use airlock_sandbox::{CacheKey, Connector, Egress, Sandbox};
use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admission::{Admission, CallerLimits},
    auth::{Caller, Callers, Keys, Providers},
    batch::Batches,
    catalog::Catalog,
    config::{Env, Settings},
    fixtures::bundled_adaptors,
    gate::Gate,
    gauge::Gauge,
    intake::Intake,
    jobs::JobBoard,
    ledger::Ledger,
    observe::LogDrops,
    store::{self, Store, StoreError},
    tenants::{DEFAULT_TENANT, Follower, MasterKeys, Tenants, Workshop},
};

use self::start::{check_maintenance, engine};
pub use self::{
    records::Records,
    start::{StartError, check, master_keys},
};

/// Large bodies that are checked at one moment.
const LARGE_BODIES: usize = 2;

/// A gateway that can serve. Several may live in one process.
pub struct Gateway {
    /// As it was started.
    start: Settings,
    settings: ArcSwap<Settings>,
    tenants: Tenants,
    /// Until it is started.
    follower: Mutex<Option<Follower>>,
    master: MasterKeys,
    store: Store,
    callers: Callers,
    records: Records,
    log: Mutex<LogDrops>,
    jobs: Arc<JobBoard>,
    batches: Batches,
    admission: Arc<Admission>,
    gate: Gate,
    intake: Intake,
    sandbox: Sandbox,
    connector: Connector,
    requests: Gauge,
    large_bodies: Semaphore,
    connections: Gauge,
    turn: AtomicUsize,
    draining: AtomicBool,
}

impl Gateway {
    /// Assembles a gateway from its settings and an open store.
    pub async fn assemble(
        settings: Settings,
        env: &Env,
        store: &Store,
        ledger: Arc<dyn Ledger>,
    ) -> Result<Arc<Self>, StartError> {
        let cache_key = CacheKey(store::cache_key(&settings.data)?);
        let (sandbox, connector) = engine(&settings, env, Some(cache_key))?;
        let egress = Egress::new(connector.clone(), settings.egress_limits());
        let providers = Providers::read(&settings, env)?;
        let master = master_keys(&settings, env)?;
        let workshop = Workshop::open(&settings, env, master.clone(), sandbox.clone(), egress.clone())?;
        let (tenants, follower) = Tenants::open(workshop, store.clone()).await?;
        check_maintenance(&settings, &tenants.catalog(DEFAULT_TENANT))?;
        let callers = Callers::new(Keys::load(store).await?, providers, &settings, egress);
        let batches = Batches::open(store.clone(), settings.batch.max_active_per_user).await?;
        let admission = Admission::open(&settings.limits, store.clone()).await?;
        let gate = Gate::new(sandbox.clone(), connector.clone(), settings.budgets(), settings.adaptors_dir());
        let intake = Intake::new(settings.data.clone());
        let records = Records::open(&settings, env, store, ledger)?;
        Ok(Arc::new(Self {
            start: settings.clone(),
            settings: ArcSwap::from_pointee(settings),
            tenants,
            follower: Mutex::new(Some(follower)),
            master,
            store: store.clone(),
            callers,
            records,
            log: Mutex::default(),
            jobs: Arc::default(),
            batches,
            admission,
            gate,
            intake,
            sandbox,
            connector,
            requests: Gauge::default(),
            large_bodies: Semaphore::new(LARGE_BODIES),
            connections: Gauge::default(),
            turn: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
        }))
    }

    /// Its settings at this moment.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Takes other settings, and reads the fixtures again. What is wrong with them changes nothing. The names are of
    /// settings that count from the next start on.
    pub async fn reload(&self, settings: Settings) -> Result<Vec<String>, StartError> {
        let live = self.start.with_live(&settings);
        self.tenants.reload(live.clone()).await?;
        let fixed = settings.differing(&live);
        self.settings.store(Arc::new(live));
        Ok(fixed)
    }

    /// What requests of a tenant are routed by.
    pub fn catalog(&self, tenant: &str) -> Arc<Catalog> {
        self.tenants.catalog(tenant)
    }

    /// All tenants.
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// What tenants' secrets are encrypted with.
    pub fn master_keys(&self) -> &MasterKeys {
        &self.master
    }

    /// What outlives the process. No request for a model waits for it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether an adaptor of this name ships with the gateway.
    pub fn is_bundled(&self, name: &str) -> bool {
        bundled_adaptors().any(|bundled| bundled == name)
    }

    /// All who may call.
    pub fn callers(&self) -> &Callers {
        &self.callers
    }

    /// The active keys.
    pub fn keys(&self) -> &Keys {
        self.callers.keys()
    }

    /// Where records go.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        self.records.ledger()
    }

    /// What is done with them.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The log of the process is counted there.
    pub fn watch_log(&self, drops: LogDrops) {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = drops;
    }

    /// Lines of the log that were dropped.
    pub fn log_lines_dropped(&self) -> u64 {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).get()
    }

    /// Outbound calls that may be open at one moment.
    pub fn max_open_calls(&self) -> usize {
        self.connector.max_open_calls()
    }

    /// Writes down what was used and recorded last, once no request is open any more.
    pub async fn settle(&self) -> Result<(), StoreError> {
        let (used, recorded) = tokio::join!(self.tenants.settle(), self.records.settle());
        used.and(recorded)
    }

    /// What clusters are running.
    pub fn jobs(&self) -> &Arc<JobBoard> {
        &self.jobs
    }

    /// Batches of all callers.
    pub fn batches(&self) -> &Batches {
        &self.batches
    }

    /// Rates, tokens and what may be open at a time.
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// What a caller may use.
    pub fn limits_of(&self, caller: &Caller) -> CallerLimits {
        let usual = &self.settings().limits;
        let (tenant, since) = self.tenants.limits(&caller.tenant, &usual.tenant);
        CallerLimits { key: usual.key, user: usual.user, tenant, since }
    }

    /// What the gateway does beside serving requests, until `stop`: it follows keys, tenants and batches.
    pub fn start_following(&self, store: Store, stop: &CancellationToken) {
        tokio::spawn(self.keys().clone().follow(store, stop.clone()));
        self.callers.follow(stop);
        let follower = self.follower.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(follower) = follower {
            tokio::spawn(follower.run(stop.clone()));
        }
        tokio::spawn(self.tenants.clone().keep_books(stop.clone()));
        tokio::spawn(Arc::clone(&self.admission).keep(stop.clone()));
        self.records.start_writing(stop);
        // A way out of its own, as connections belong to the thread that opened them.
        let egress = Egress::new(self.connector.clone(), self.settings().egress_limits());
        let period = Duration::from_secs(self.settings().batch.poll_seconds);
        tokio::spawn(self.batches.clone().follow(self.tenants.clone(), egress, period, stop.clone()));
    }

    /// What uploads have to pass.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Where uploads come in.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Calls to backends that are open at this moment.
    pub fn open_calls(&self) -> usize {
        self.connector.open_calls()
    }

    /// Where adaptors run.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// What each large body of a request takes while it is checked.
    pub fn large_bodies(&self) -> &Semaphore {
        &self.large_bodies
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
    unattended: TaskTracker,
}

impl Worker {
    /// Connections to backends belong to the thread that opened them.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let egress = Egress::new(gateway.connector.clone(), gateway.settings().egress_limits());
        Self { gateway, egress, unattended: TaskTracker::new() }
    }

    /// What all workers share.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Answers that are read to their end though their client is gone.
    pub fn unattended(&self) -> &TaskTracker {
        &self.unattended
    }

    /// This worker's way out.
    pub fn egress(&self) -> &Egress {
        &self.egress
    }
}
