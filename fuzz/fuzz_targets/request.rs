//! Bodies of requests; what must hold is in `tests/src/fuzz/request.rs`.

#![no_main]

use airlock_tests::fuzz::request::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check(data));
