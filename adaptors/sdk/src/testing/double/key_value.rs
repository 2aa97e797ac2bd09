//! `key-value`, in the memory of one backend.

use std::time::{Duration, Instant};

use super::super::state::current;
pub use crate::bindings::imports::airlock::adaptor::key_value::StoreError;

/// The longest key and value, in bytes, and the longest time, as the contract says.
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 64 << 10;
const MAX_TTL_MS: u32 = 24 * 60 * 60 * 1000;

/// The value under a key, unless it has expired.
pub fn get(key: &str) -> Option<Vec<u8>> {
    let state = current();
    let kept = state.kept.borrow();
    kept.get(key).filter(|(_, end)| Instant::now() < *end).map(|(value, _)| value.clone())
}

/// Stores a value, replacing any other.
pub fn set(key: &str, value: &[u8], ttl_ms: Option<u32>) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > MAX_KEY || value.len() > MAX_VALUE {
        return Err(StoreError::TooLarge);
    }
    let ttl = ttl_ms.unwrap_or(MAX_TTL_MS).min(MAX_TTL_MS);
    let end = Instant::now() + Duration::from_millis(ttl.into());
    current().kept.borrow_mut().insert(key.to_owned(), (value.to_vec(), end));
    Ok(())
}

/// Stores a value only where there is none.
pub fn set_if_absent(key: &str, value: &[u8], ttl_ms: Option<u32>) -> Result<bool, StoreError> {
    match get(key) {
        Some(_) => Ok(false),
        None => set(key, value, ttl_ms).map(|()| true),
    }
}

/// Removes a value.
pub fn delete(key: &str) {
    current().kept.borrow_mut().remove(key);
}
