//! The `airlock` binary.

use std::process::ExitCode;

/// Measured: 12 µs less CPU a request than the system's allocator (`docs/decisions/0002-runtime.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    airlock::cli::main()
}
