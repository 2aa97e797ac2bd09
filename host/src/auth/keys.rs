//! The active keys, in memory; they follow the store.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{AuthError, Caller};
use crate::store::{ApiKey, ChangeWatch, Store, StoreError, now};

/// How often the store is asked for changed keys.
const RELOAD: Duration = Duration::from_millis(250);
/// A store that takes longer to say so is not there.
const PATIENCE: Duration = Duration::from_secs(2);

type Snapshot = HashMap<[u8; 32], Caller>;

/// The active keys.
#[derive(Clone)]
pub struct Keys(Arc<State>);

struct State {
    known: ArcSwap<Snapshot>,
    /// Whoever reads them does so alone: what was read before is never written over what was read after.
    turn: Mutex<()>,
    /// Whether the last look at the store failed.
    is_blind: AtomicBool,
}

impl Keys {
    /// Reads them from the store.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let known = ArcSwap::from_pointee(snapshot(store.keys().await?));
        Ok(Self(Arc::new(State { known, turn: Mutex::default(), is_blind: AtomicBool::new(false) })))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.known.load().len()
    }

    /// Reads them again: who has just changed something about them need not wait until that is noticed.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let _turn = self.0.turn.lock().await;
        self.0.known.store(Arc::new(snapshot(store.keys().await?)));
        Ok(())
    }

    /// The caller whose key this is. Look-up is by digest, so that the time it takes says nothing about keys that exist.
    pub(super) fn holder(&self, token: &[u8]) -> Result<Caller, AuthError> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        // Before the keys are: what is missing from keys that are newer than this is missing.
        let is_blind = self.0.is_blind.load(Ordering::Acquire);
        match self.0.known.load().get(&digest) {
            Some(caller) if caller.expires_at.is_some_and(|end| end <= now()) => Err(AuthError::Expired),
            Some(caller) => Ok(caller.clone()),
            None if is_blind => Err(AuthError::StoreUnavailable),
            None => Err(AuthError::Invalid),
        }
    }

    /// Follows the store until `stop`: a key that another process makes or revokes counts within a
    /// second. A store that fails is asked again; the keys known so far go on.
    pub async fn follow(self, store: Store, stop: CancellationToken) {
        let mut watch = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RELOAD) => {}
            }
            let failure = match tokio::time::timeout(PATIENCE, self.reload(&store, &mut watch)).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {} seconds", PATIENCE.as_secs())),
            };
            let is_blind = failure.is_some();
            let was_blind = self.0.is_blind.swap(is_blind, Ordering::AcqRel);
            if let Some(error) = failure {
                // A new one reads all keys, whatever was missed.
                watch = None;
                if !was_blind {
                    tracing::error!(error, "API keys could not be read again; known ones go on");
                }
            } else if was_blind {
                tracing::info!("API keys are read again");
            }
        }
    }

    async fn reload(&self, store: &Store, watch: &mut Option<ChangeWatch>) -> Result<(), StoreError> {
        let changed = match watch {
            Some(watch) => watch.changed().await?,
            None => {
                *watch = Some(store.watch().await?);
                true
            }
        };
        if changed {
            self.refresh(store).await?;
        }
        Ok(())
    }
}

/// Those that count: neither revoked, nor without the member that they were made for.
fn snapshot(keys: Vec<ApiKey>) -> Snapshot {
    let active = keys.into_iter().filter(|key| key.revoked_at.is_none());
    active.filter_map(|key| Some((key.digest, caller(key)?))).collect()
}

fn caller(key: ApiKey) -> Option<Caller> {
    let user = key.member.as_deref().unwrap_or(&key.id).into();
    Some(Caller {
        key_id: key.id.into(),
        user,
        name: key.name.into(),
        tenant: key.tenant.into(),
        role: key.present_role?,
        scopes: key.scopes,
        expires_at: key.expires_at,
        groups: Arc::default(),
        domain: None,
        identity: None,
    })
}
