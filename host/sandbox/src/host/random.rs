//! `wasi:random/insecure` and `insecure-seed`, which hash maps of Rust and other languages seed themselves from.
//! The seed is another one for each instance; both come from the same source as `wasi:random/random`.

use wasmtime::Result;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed};

use crate::call::CallState;

/// Most that one call gets, as of `wasi:random/random` (`call.rs`).
pub(crate) const MAX_RANDOM_BYTES: u64 = 64 << 10;

impl insecure::Host for CallState {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        if len > MAX_RANDOM_BYTES {
            wasmtime::bail!("{len} random bytes at once; {MAX_RANDOM_BYTES} at most");
        }
        let mut bytes = vec![0; usize::try_from(len)?];
        rand::fill(bytes.as_mut_slice());
        Ok(bytes)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        Ok(rand::random())
    }
}

impl insecure_seed::Host for CallState {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok(rand::random())
    }
}
