//! Fixture files; what must hold is in `tests/src/fuzz/fixtures.rs`.

#![no_main]

use airlock_tests::fuzz::fixtures::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check(data));
