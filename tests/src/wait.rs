//! Waiting with an end.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// The future's output, or a panic after 20 seconds: for what must end by itself.
#[track_caller]
pub fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(Duration::from_secs(20), future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing within 20 s at {caller}"),
        }
    }
}

/// How long it took until `condition` held, looking every millisecond; a panic after 20 seconds. For gauges,
/// which signal nothing.
#[track_caller]
pub fn eventually(condition: impl Fn() -> bool) -> impl Future<Output = Duration> {
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s at {caller}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        start.elapsed()
    }
}

/// The same for a condition that has to ask somebody.
#[track_caller]
pub fn until(condition: impl AsyncFn() -> bool) -> impl Future<Output = Duration> {
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        while !condition().await {
            assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s at {caller}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        start.elapsed()
    }
}
