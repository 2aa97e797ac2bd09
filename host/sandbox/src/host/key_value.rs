//! `airlock:adaptor/key-value`: a bounded cache of each tenant's own.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use wasmtime::Result;

use crate::{
    bindings::airlock::adaptor::key_value::{self, StoreError},
    call::CallState,
    witness::Data,
};

const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 64 << 10;
/// What one tenant may store: keys and values together.
const QUOTA: usize = 16 << 20;
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);
/// What the table itself costs, so that empty entries count too.
const ENTRY_OVERHEAD: usize = 64;

/// One tenant's store, in memory. The lock is held for one look-up.
#[derive(Default)]
pub(crate) struct KeyValueStore(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    entries: HashMap<String, Entry>,
    bytes: usize,
}

struct Entry {
    value: Vec<u8>,
    expires: Instant,
}

/// Why a value was not stored.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Refused {
    TooLarge,
    QuotaExceeded,
}

impl From<Refused> for StoreError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooLarge => Self::TooLarge,
            Refused::QuotaExceeded => Self::QuotaExceeded,
        }
    }
}

fn with_value(key: &str, value: &[u8], ttl_ms: Option<u32>) -> serde_json::Value {
    json!({ "key": key, "value": Data::from(value.to_vec()), "ttl-ms": ttl_ms })
}

fn cost(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_OVERHEAD
}

impl Entries {
    fn get(&mut self, key: &str, now: Instant) -> Option<&Entry> {
        if self.entries.get(key).is_some_and(|e| e.expires <= now) {
            self.delete(key);
        }
        self.entries.get(key)
    }

    fn delete(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= cost(key, &entry.value);
        }
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl: Duration, now: Instant) -> Result<(), Refused> {
        if key.is_empty() || key.len() > MAX_KEY || value.len() > MAX_VALUE {
            return Err(Refused::TooLarge);
        }
        self.delete(&key);
        let cost = cost(&key, &value);
        if self.bytes + cost > QUOTA {
            self.purge(now);
        }
        if self.bytes + cost > QUOTA {
            return Err(Refused::QuotaExceeded);
        }
        self.bytes += cost;
        self.entries.insert(key, Entry { value, expires: now + ttl.min(MAX_TTL) });
        Ok(())
    }

    fn purge(&mut self, now: Instant) {
        self.entries.retain(|_, entry| entry.expires > now);
        self.bytes = self.entries.iter().map(|(k, e)| cost(k, &e.value)).sum();
    }
}

fn ttl(ms: Option<u32>) -> Duration {
    ms.map_or(MAX_TTL, |ms| Duration::from_millis(ms.into()))
}

impl CallState {
    fn store<T>(&self, f: impl FnOnce(&mut Entries, Instant) -> T) -> Result<T> {
        self.check_serves()?;
        let KeyValueStore(entries) = self.hooks.grant.tenant().key_value();
        Ok(f(&mut entries.lock().unwrap_or_else(PoisonError::into_inner), Instant::now()))
    }
}

impl key_value::Host for CallState {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>> {
        let asking = self.asking("key-value.get", || json!({ "key": key }));
        let value: Option<Data> = match asking.recorded()? {
            Some(value) => value,
            None => self.store(|s, now| s.get(&key, now).map(|e| e.value.clone().into()))?,
        };
        asking.told(&value);
        Ok(value.map(Vec::from))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u32>) -> Result<Result<(), StoreError>> {
        let asking = self.asking("key-value.set", || with_value(&key, &value, ttl_ms));
        let done = match asking.recorded()? {
            Some(done) => done,
            None => self.store(|s, now| s.set(key, value, ttl(ttl_ms), now))?,
        };
        asking.told(&done);
        Ok(done.map_err(StoreError::from))
    }

    fn set_if_absent(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u32>,
    ) -> Result<Result<bool, StoreError>> {
        let asking = self.asking("key-value.set-if-absent", || with_value(&key, &value, ttl_ms));
        let done = match asking.recorded()? {
            Some(done) => done,
            None => self.store(|s, now| {
                if s.get(&key, now).is_some() {
                    return Ok(false);
                }
                s.set(key, value, ttl(ttl_ms), now).map(|()| true)
            })?,
        };
        asking.told(&done);
        Ok(done.map_err(StoreError::from))
    }

    fn delete(&mut self, key: String) -> Result<()> {
        let asking = self.asking("key-value.delete", || json!({ "key": key }));
        if asking.recorded::<()>()?.is_none() {
            self.store(|s, _| s.delete(&key))?;
        }
        asking.told(&());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_expire_and_the_quota_counts_only_live_ones() {
        let mut store = Entries::default();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        store.set("a".into(), b"1".to_vec(), second, start).unwrap();
        assert!(store.get("a", start).is_some());
        assert!(store.get("a", start + second).is_none());
        assert_eq!(store.bytes, 0);

        let mut stored = 0;
        while store.set(format!("k{stored}"), vec![0; MAX_VALUE], second, start).is_ok() {
            stored += 1;
        }
        assert!(stored * MAX_VALUE <= QUOTA && stored > 200, "{stored}");
        let later = start + second * 2;
        store.set("fresh".into(), vec![0; MAX_VALUE], second, later).unwrap();
        assert_eq!(store.entries.len(), 1);
    }

    #[test]
    fn replacing_a_value_frees_the_old_one() {
        let mut store = Entries::default();
        for _ in 0..10_000 {
            store.set("k".into(), vec![0; MAX_VALUE], MAX_TTL, Instant::now()).unwrap();
        }
        assert_eq!(store.bytes, cost("k", &[0; MAX_VALUE]));
        let too_long = "k".repeat(MAX_KEY + 1);
        assert!(store.set(too_long, vec![], MAX_TTL, Instant::now()).is_err());
    }
}
