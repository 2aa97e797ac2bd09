//! Event streams; what must hold is in `tests/src/fuzz/sse.rs`.

#![no_main]

use airlock_tests::fuzz::sse::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check(data));
