//! `airlock:adaptor/key-value`: a bounded cache of each tenant's own.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use wasmtime::Result;

use crate::{
    bindings::airlock::adaptor::key_value::{self, StoreError},
    call::CallState,
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

    fn set(&mut self, key: String, value: Vec<u8>, ttl: Duration, now: Instant) -> Result<(), StoreError> {
        if key.is_empty() || key.len() > MAX_KEY || value.len() > MAX_VALUE {
            return Err(StoreError::TooLarge);
        }
        self.delete(&key);
        let cost = cost(&key, &value);
        if self.bytes + cost > QUOTA {
            self.purge(now);
        }
        if self.bytes + cost > QUOTA {
            return Err(StoreError::QuotaExceeded);
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
        self.store(|s, now| s.get(&key, now).map(|e| e.value.clone()))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u32>) -> Result<Result<(), StoreError>> {
        self.store(|s, now| s.set(key, value, ttl(ttl_ms), now))
    }

    fn set_if_absent(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u32>,
    ) -> Result<Result<bool, StoreError>> {
        self.store(|s, now| {
            if s.get(&key, now).is_some() {
                return Ok(false);
            }
            s.set(key, value, ttl(ttl_ms), now).map(|()| true)
        })
    }

    fn delete(&mut self, key: String) -> Result<()> {
        self.store(|s, _| s.delete(&key))
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
