//! What each tenant has, as its requests see it: a catalog for each, made from fixtures and from what is stored, and made
//! again when that changes. Requests that are under way keep the one that they began with.

mod definition;
mod maker;
mod rollout;
mod rotate;
mod secrets;
mod signers;
mod usage;
mod workshop;

use std::{collections::HashMap, sync::Arc};

use airlock_sandbox::Tenant;
use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use definition::{CATALOG_KINDS, Kind, Maintenance, Quota, TenantSettings};
pub use rollout::{Rollout, RolloutError, Trial};
pub use rotate::{RotateError, Rotation, rotate};
pub use secrets::{MasterKeys, Owner as SecretOwner, Sealed, SecretError};
pub use signers::{MAX_SIGNERS, Signer, SignerError, parse_signature};
pub use usage::today;
pub use workshop::{DEFAULT_TENANT, Nothing, Notices, Plan, Secrets, Workshop};

use self::{maker::Maker, usage::Books};
use crate::{
    catalog::Catalog,
    config::{Limits, Settings},
    fixtures::Mistakes,
    store::{Change, NewAudit, Store, StoreError},
};

/// How many changes may wait for their turn.
const WAITING_ORDERS: usize = 64;

/// One tenant, as requests see it.
#[derive(Clone)]
pub struct View {
    /// What its calls share.
    pub tenant: Arc<Tenant>,
    /// What it can reach.
    pub catalog: Arc<Catalog>,
    /// When it was made, in Unix seconds; 0 for `default`.
    pub since: i64,
    /// What it may have and use.
    pub quota: Quota,
}

type Views = HashMap<Arc<str>, View>;

/// All tenants.
#[derive(Clone)]
pub struct Tenants {
    views: Arc<ArcSwap<Views>>,
    orders: mpsc::Sender<Order>,
    nothing: Arc<Catalog>,
    books: Books,
}

/// What the one task that makes catalogs is asked for.
enum Order {
    Write(Write),
    Reload(Box<Settings>, oneshot::Sender<Result<(), ReloadError>>),
}

/// A change of what a tenant has, on its way to the one task that makes catalogs.
struct Write {
    tenant: Arc<str>,
    changes: Vec<Change>,
    audit: NewAudit,
    done: oneshot::Sender<Result<i64, WriteError>>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What would come of it cannot be used.
    #[error("{0}")]
    Invalid(Mistakes),
    /// The tenant has gone.
    #[error("There is no tenant `{0}`.")]
    NoTenant(String),
    /// The store refused it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

impl Tenants {
    /// All tenants of a store, and the task that follows it.
    pub async fn open(workshop: Workshop, store: Store) -> Result<(Self, Follower), OpenError> {
        let views = Arc::new(ArcSwap::from_pointee(Views::new()));
        let (orders, waiting) = mpsc::channel(WAITING_ORDERS);
        let mut maker = Maker::new(workshop, store.clone(), Arc::clone(&views));
        maker.start().await?;
        let books = Books::open(&views, &store).await?;
        Ok((Self { views, orders, nothing: Arc::default(), books }, Follower { maker, waiting }))
    }

    /// What a tenant can reach: nothing, where there is no such tenant.
    pub fn catalog(&self, tenant: &str) -> Arc<Catalog> {
        self.views
            .load()
            .get(tenant)
            .map_or_else(|| Arc::clone(&self.nothing), |view| Arc::clone(&view.catalog))
    }

    /// The catalogs of all tenants.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<Catalog>)> {
        let views = self.views.load();
        views.iter().map(|(name, view)| (Arc::clone(name), Arc::clone(&view.catalog))).collect()
    }

    /// What a tenant's calls share.
    pub fn tenant(&self, name: &str) -> Option<Arc<Tenant>> {
        self.views.load().get(name).map(|view| Arc::clone(&view.tenant))
    }

    /// What a tenant's callers may use together, where `usual` is what tenants may of which nothing is said; and when the
    /// tenant was made.
    pub fn limits(&self, name: &str, usual: &Limits) -> (Limits, i64) {
        let views = self.views.load();
        views.get(name).map_or((*usual, 0), |view| (view.quota.of_callers(usual), view.since))
    }

    /// Writes down what tenants use, until `stop`.
    pub async fn keep_books(self, stop: CancellationToken) {
        self.books.keep(stop).await;
    }

    /// Writes down what tenants have used until now.
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.books.settle().await
    }

    /// The names of all, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.views.load().keys().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    /// Whether there is such a tenant.
    pub fn has(&self, tenant: &str) -> bool {
        self.views.load().contains_key(tenant)
    }

    /// Reads the operator's files again, under other settings, and makes all catalogs anew. A mistake in them changes nothing.
    pub async fn reload(&self, settings: Settings) -> Result<(), ReloadError> {
        let (done, result) = oneshot::channel();
        let reload = Order::Reload(Box::new(settings), done);
        self.orders.send(reload).await.map_err(|_| ReloadError::Stopping)?;
        result.await.map_err(|_| ReloadError::Stopping)?
    }

    /// Makes changes of one tenant, all or none: they are tried first, and count for requests once this returns. The number
    /// is the revision of what was written.
    pub async fn write(
        &self,
        tenant: &str,
        changes: Vec<Change>,
        audit: NewAudit,
    ) -> Result<i64, WriteError> {
        let (done, result) = oneshot::channel();
        let write = Write { tenant: tenant.into(), changes, audit, done };
        self.orders.send(Order::Write(write)).await.map_err(|_| WriteError::Stopping)?;
        result.await.map_err(|_| WriteError::Stopping)?
    }
}

/// Why tenants cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Mistakes in the operator's files.
    #[error("{0}")]
    Fixtures(#[from] Mistakes),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the operator's files are not read again.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Mistakes in them.
    #[error("{0}")]
    Fixtures(#[from] Mistakes),
    /// A notice for a cluster that there is none of.
    #[error("maintenance.{0}: there is no cluster of this name")]
    Maintenance(String),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

/// The one task that makes catalogs: writes come one after the other, so that each is tried against what it will meet.
pub struct Follower {
    maker: Maker,
    waiting: mpsc::Receiver<Order>,
}

impl Follower {
    /// Makes changes, and follows those of other processes, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut watch = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(order) = self.waiting.recv() => match order {
                    // Who asked may be gone.
                    Order::Write(write) => {
                        let result = self.maker.write(&write.tenant, &write.changes, &write.audit).await;
                        let _ = write.done.send(result);
                    }
                    Order::Reload(settings, done) => {
                        let _ = done.send(self.maker.reload(*settings).await);
                    }
                },
                () = tokio::time::sleep(maker::TICK) => self.maker.tick(&mut watch).await,
            }
        }
    }
}
