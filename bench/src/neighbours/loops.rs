//! Dead loops in a row: each takes a slot, computes until it is stopped, and must leave nothing.

use super::spinners::dead_loop;
use crate::error::Fallible;
use crate::models;
use crate::stage::{Common, Stage, restless};
use crate::stats::Memory;
use crate::tally::Tally;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const AT_ONCE: u64 = 4;
const CPU_MS: &str = "5";
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How the dead loops went.
#[derive(Serialize)]
pub struct Loops {
    /// CPU budget of each in milliseconds.
    pub cpu_ms: &'static str,
    /// How many at a time.
    pub at_once: u64,
    /// How long all took.
    pub seconds: f64,
    /// Resident memory before the first.
    pub before_kib: u64,
    /// Resident memory after the first tenth, and at the end.
    pub memory: Option<Memory>,
    /// What they came to.
    pub tally: Tally,
    /// What is left of them.
    pub left: Option<String>,
    /// Resident memory over time: minute, KiB.
    pub samples: Vec<(f64, f64)>,
}

struct Row {
    count: u64,
    begun: AtomicU64,
    tally: Mutex<Tally>,
}

/// Runs `count` dead loops through a gateway of their own.
pub async fn run(common: &Common, count: u64) -> Fallible<Loops> {
    let settings = [("AIRLOCK_WORKERS", "1".to_owned()), ("AIRLOCK_SANDBOX__CPU_MS", CPU_MS.to_owned())];
    let stage = Stage::start(common, &[models::SPIN], &settings).await?;
    let before_kib = stage.gateway.server.resident_kib()?;
    let row = Arc::new(Row { count, begun: AtomicU64::new(0), tally: Mutex::default() });
    let mut lanes = JoinSet::new();
    for _ in 0..AT_ONCE {
        let chats = [false, true].map(|streamed| stage.chat(&models::SPIN, streamed));
        lanes.spawn(lane(row.clone(), stage.address, chats));
    }
    let began = Instant::now();
    let minute = || began.elapsed().as_secs_f64() / 60.0;
    let (mut samples, mut warm_minute) = (Vec::new(), None);
    loop {
        let ended = tokio::time::timeout(SAMPLE_EVERY, lanes.join_next()).await;
        samples.push((minute(), stage.gateway.server.resident_kib()? as f64));
        if row.begun.load(Ordering::Relaxed) >= count / 10 {
            warm_minute.get_or_insert(minute());
        }
        stage.gateway.server.trim_logs();
        match ended {
            Ok(Some(ended)) => ended?,
            Ok(None) => break,
            Err(_) => {}
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    // Connected only now: the gateway closes a connection on which nothing comes for half a minute.
    let left = restless(&stage.rest(&mut stage.client().await?).await?);
    samples.push((minute(), stage.gateway.server.resident_kib()? as f64));
    let memory = Memory::of(&samples, warm_minute.unwrap_or_default());
    let tally = row.tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Loops { cpu_ms: CPU_MS, at_once: AT_ONCE, seconds, before_kib, memory, tally, left, samples })
}

/// One after the other, plain and streamed in turn, until all have begun.
async fn lane(row: Arc<Row>, address: std::net::SocketAddr, chats: [crate::client::Chat; 2]) {
    let [plain, streamed] = &chats;
    let mut kept = None;
    loop {
        let number = row.begun.fetch_add(1, Ordering::Relaxed);
        if number >= row.count {
            return;
        }
        let chat = if number.is_multiple_of(2) { plain } else { streamed };
        let done = dead_loop(address, &mut kept, chat).await;
        row.tally.lock().unwrap_or_else(PoisonError::into_inner).add(done);
    }
}
