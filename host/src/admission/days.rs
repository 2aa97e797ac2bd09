//! Tokens of a day (UTC): counted in memory, written down every few seconds, and learnt from there as far as other gateways
//! on the same store have used them. What a gateway that is killed had not written down is forgotten.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    account::{Account, Kind, Owner, Whose},
    local::Local,
};
use crate::store::{BudgetOwner, Store, StoreError, now};

/// How often it is written down.
const PERIOD: Duration = Duration::from_secs(2);
/// How far the clocks of two gateways may be apart, in seconds: what was written since is read again.
const SKEW: i64 = 60;

/// Who writes, and what was read last.
pub(super) struct Days {
    store: Store,
    local: Arc<Local>,
    /// The day that was read whole, and when anything was read last, in Unix seconds.
    read: Mutex<(i64, i64)>,
}

impl Days {
    /// With what was used earlier today.
    pub(super) async fn open(store: Store, local: Arc<Local>) -> Result<Self, StoreError> {
        let days = Self { store, local, read: Mutex::new((0, 0)) };
        days.settle().await?;
        Ok(days)
    }

    /// Writes down until `stop`. What open requests use after that is for [`Days::settle`].
    pub(super) async fn keep(&self, stop: CancellationToken) {
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
                    tracing::error!(%error, "tokens of the day cannot be written down; they are counted on");
                }
                Err(_) => {}
            }
        }
    }

    /// Writes down what is not written down yet, and reads what others have used. One at a time.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        let mut read = self.read.lock().await;
        let at = now();
        let today = at.div_euclid(86_400);
        let since = if read.0 == today { read.1.saturating_sub(SKEW) } else { 0 };
        let fresh = self.local.fresh(today);
        let rows = fresh.iter().filter_map(|(account, tokens)| Some((owner(account)?, *tokens)));
        let totals = self.store.add_tokens(today, at, rows.collect(), since).await?;
        *read = (today, at);
        for (account, written) in fresh {
            self.local.note(&account, today, written, None);
        }
        for (owner, total) in totals {
            if let Some(account) = account(owner) {
                self.local.note(&account, today, 0, Some(total));
            }
        }
        Ok(())
    }
}

const WORDS: [&str; 3] = ["key", "user", "tenant"];

fn owner(account: &Account) -> Option<BudgetOwner> {
    let [key, user, tenant] = WORDS;
    let (of, owner) = match &account.whose {
        Whose::Key(owner) => (key, owner),
        Whose::User(owner) => (user, owner),
        Whose::Tenant(owner) => (tenant, owner),
        Whose::Endpoint(_) | Whose::UserOf(..) => return None,
    };
    // PostgreSQL's text cannot hold a NUL.
    let name = owner.name.replace('\0', "\u{fffd}");
    Some(BudgetOwner { of: of.into(), tenant: owner.tenant.to_string(), since: owner.since, name })
}

fn account(owner: BudgetOwner) -> Option<Account> {
    let BudgetOwner { of, tenant, since, name } = owner;
    let owner = Owner { tenant: tenant.into(), since, name: name.into() };
    let [key, user, whole] = WORDS;
    let whose = match of.as_str() {
        word if word == key => Whose::Key(owner),
        word if word == user => Whose::User(owner),
        word if word == whole => Whose::Tenant(owner),
        _ => return None,
    };
    Some(Account { whose, kind: Kind::TokensPerDay })
}
