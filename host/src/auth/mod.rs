//! Bearer token → [`Caller`], from a snapshot in memory.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use airlock_sandbox::User;
use arc_swap::ArcSwap;
use http::{HeaderMap, header};
use rand::{Rng as _, distr::Alphanumeric};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::store::{ApiKey, Store, StoreError};

/// How often the store is asked for changed keys.
const RELOAD: Duration = Duration::from_millis(250);

/// Who makes a request. There is none without a checked token.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key's id.
    pub key_id: Arc<str>,
    /// The key's name.
    pub name: Arc<str>,
    /// Groups that the caller belongs to. API keys belong to none.
    pub groups: Arc<[String]>,
    /// The caller's identity domain. API keys have none.
    pub domain: Option<Arc<str>>,
}

impl Caller {
    /// What adaptors are told: never the token.
    pub fn for_adaptors(&self) -> User {
        User {
            id: self.key_id.to_string(),
            name: Some(self.name.to_string()),
            groups: self.groups.to_vec(),
            domain: self.domain.as_deref().map(str::to_owned),
        }
    }
}

/// Why there is no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// No `authorization: Bearer …`.
    Missing,
    /// A token that is not a valid key.
    Invalid,
}

/// A key that was just made.
pub struct NewKey {
    /// Its identifier.
    pub id: String,
    /// The key itself.
    pub secret: String,
}

impl NewKey {
    /// 43 letters and digits: 256 bits of randomness.
    pub fn generate() -> Self {
        let random = |n| rand::rng().sample_iter(Alphanumeric).take(n).map(char::from).collect::<String>();
        Self { id: format!("key_{}", random(12)), secret: format!("sk-airlock-{}", random(43)) }
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({})", self.id)
    }
}

type Snapshot = HashMap<[u8; 32], Caller>;

/// The active keys.
#[derive(Clone)]
pub struct Keys(Arc<ArcSwap<Snapshot>>);

impl Keys {
    /// Reads them from the store.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let snapshot = snapshot(store.keys().await?);
        Ok(Self(Arc::new(ArcSwap::from_pointee(snapshot))))
    }

    /// The caller behind a request's bearer token. Look-up is by digest, so that the time it takes says
    /// nothing about keys that exist.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        let token = bearer(headers).ok_or(AuthError::Missing)?;
        let digest: [u8; 32] = Sha256::digest(token).into();
        self.0.load().get(&digest).cloned().ok_or(AuthError::Invalid)
    }

    /// Follows the store until `stop`: a key that another process makes or revokes counts within a
    /// second. A store that fails is asked again; the keys known so far go on.
    pub async fn follow(self, store: Store, stop: CancellationToken) {
        let mut watch = None;
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RELOAD) => {}
            }
            match self.reload(&store, &mut watch).await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "API keys could not be read again; known ones go on");
                }
                Err(_) => {}
            }
        }
    }

    async fn reload(
        &self,
        store: &Store,
        watch: &mut Option<crate::store::ChangeWatch>,
    ) -> Result<(), StoreError> {
        let changed = match watch {
            Some(watch) => watch.changed().await?,
            None => {
                *watch = Some(store.watch().await?);
                true
            }
        };
        if changed {
            self.0.store(Arc::new(snapshot(store.keys().await?)));
        }
        Ok(())
    }
}

fn snapshot(keys: Vec<ApiKey>) -> Snapshot {
    keys.into_iter()
        .filter(|key| key.revoked_at.is_none())
        .map(|key| {
            let caller =
                Caller { key_id: key.id.into(), name: key.name.into(), groups: Arc::default(), domain: None };
            (key.digest, caller)
        })
        .collect()
}

/// The token of `authorization: Bearer …`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii()).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_schemes_case() {
        let cases: [(&str, Option<&[u8]>); 6] = [
            ("Bearer abc", Some(b"abc")),
            ("bearer  abc ", Some(b"abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), expected, "{value:?}");
        }
    }

    #[test]
    fn keys_are_long_distinct_and_hidden_from_debug() {
        let (a, b) = (NewKey::generate(), NewKey::generate());
        assert_ne!(a.secret, b.secret);
        assert_eq!(a.secret.len(), "sk-airlock-".len() + 43);
        assert!(!format!("{a:?}").contains(&a.secret));
    }
}
