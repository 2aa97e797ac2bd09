//! Files that are to become adaptors; what must hold is in `tests/src/fuzz/loader.rs`.

#![no_main]

use airlock_tests::fuzz::loader::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check(data));
