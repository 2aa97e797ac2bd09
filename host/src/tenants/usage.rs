//! What tenants use in a day (UTC): counted in the sandbox, written down every few seconds, and learnt from there as far as
//! other gateways on the same store have used it. What a gateway that is killed had not written down is forgotten.

use std::{sync::Arc, time::Duration};

use airlock_sandbox::Amounts;
use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::Views;
use crate::store::{Store, StoreError, UsageOwner, now};

/// How often it is written down.
const PERIOD: Duration = Duration::from_secs(5);

/// Days since 1970.
pub fn today() -> i64 {
    now().div_euclid(86_400)
}

/// The books of all tenants. Clones are the same books.
#[derive(Clone)]
pub(super) struct Books {
    views: Arc<ArcSwap<Views>>,
    store: Store,
    /// The day that is counted, by whoever writes: nobody else does meanwhile.
    day: Arc<Mutex<i64>>,
}

impl Books {
    /// With what was used earlier today.
    pub(super) async fn open(views: &Arc<ArcSwap<Views>>, store: &Store) -> Result<Self, StoreError> {
        let books =
            Self { views: Arc::clone(views), store: store.clone(), day: Arc::new(Mutex::new(today())) };
        books.settle().await?;
        Ok(books)
    }

    /// Writes down until `stop`. What open requests use after that is for [`Books::settle`].
    pub(super) async fn keep(self, stop: CancellationToken) {
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
            match self.settle().await {
                Ok(()) => is_failing = false,
                Err(error) if !is_failing => {
                    is_failing = true;
                    tracing::error!(%error, "what tenants use cannot be written down; it is counted on");
                }
                Err(_) => {}
            }
        }
    }

    /// Writes down what is not written down yet.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        let mut day = self.day.lock().await;
        self.write_down(*day).await?;
        let today = today();
        if *day != today {
            *day = today;
            self.write_down(today).await?;
        }
        Ok(())
    }

    async fn write_down(&self, day: i64) -> Result<(), StoreError> {
        let tenants: Vec<_> = self
            .views
            .load()
            .iter()
            .map(|(name, view)| {
                let owner = UsageOwner { tenant: name.to_string(), since: view.since };
                (owner, Arc::clone(view.tenant.usage()), view.tenant.usage().fresh())
            })
            .collect();
        let more = tenants.iter().filter(|(_, _, fresh)| *fresh != Amounts::default());
        let more = more.map(|(owner, _, fresh)| (owner.clone(), *fresh)).collect();
        let totals = self.store.add_usage(day, more).await?;
        for (owner, usage, written) in tenants {
            usage.note(written, totals.get(&owner).copied().unwrap_or_default());
        }
        Ok(())
    }
}
