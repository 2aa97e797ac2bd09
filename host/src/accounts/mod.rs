//! Records on their way into the store: they wait in memory, bounded, and one task writes them together. No request waits
//! for it; where it cannot keep up records are dropped, counted, and said.

mod csv;
mod queue;
mod report;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    ledger::{Ledger, Record},
    store::{NewRecord, Store, StoreError, now},
};

pub use queue::CAPACITY;
use queue::{Counts, Queue};
pub use report::{SUMS, UsageReportLine, usage_csv};

/// How long a record may wait, where the store can be written.
const PERIOD: Duration = Duration::from_millis(500);
/// Records of one transaction.
const BATCH: usize = 1024;
/// A store that takes longer is not there. What it had begun is taken back, or found when it is tried again.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often is said how many records were dropped, and that the store cannot be written.
const SAID: Duration = Duration::from_secs(10);
/// How often old records are removed.
const PRUNED: Duration = Duration::from_secs(3600);

/// The records of one gateway. Clones are the same.
#[derive(Clone)]
pub struct Accounts(Arc<State>);

struct State {
    store: Store,
    queue: Queue,
    /// What is being written, and whether it was tried before. Whoever has it writes alone.
    batch: Mutex<Batch>,
    written: AtomicU64,
    keep_days: u32,
}

#[derive(Default)]
struct Batch {
    records: Vec<NewRecord>,
    was_tried: bool,
}

/// Where the records are that a gateway has settled: each in one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whereabouts {
    /// In the store.
    pub written: u64,
    /// Nowhere.
    pub dropped: u64,
    /// In memory.
    pub waiting: u64,
}

impl Ledger for Accounts {
    fn settle(&self, record: &Record) {
        self.0.queue.offer(record);
    }
}

impl Accounts {
    /// For this store; records of more than so many days ago are removed.
    pub fn new(store: &Store, keep_days: u32) -> Self {
        Self(Arc::new(State {
            store: store.clone(),
            queue: Queue::default(),
            batch: Mutex::default(),
            written: AtomicU64::new(0),
            keep_days,
        }))
    }

    /// Where the records are.
    pub fn whereabouts(&self) -> Whereabouts {
        // Before what is offered: it only grows.
        let written = self.0.written.load(Ordering::Acquire);
        let Counts { offered, dropped, .. } = self.0.queue.counts();
        let waiting = offered.saturating_sub(dropped).saturating_sub(written);
        Whereabouts { written, dropped, waiting }
    }

    /// Prompts and results that were dropped, though their records were not.
    pub fn dropped_contents(&self) -> u64 {
        self.0.queue.counts().dropped_contents
    }

    /// Writes and prunes until `stop`. What open requests settle after that is for [`Accounts::flush`].
    pub async fn keep(self, stop: CancellationToken) {
        let mut spoken = Spoken::default();
        let mut pruned = None::<Instant>;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
            let written = self.flush().await;
            spoken.of_writing(written.as_ref().err(), self.whereabouts());
            spoken.of_drops(self.whereabouts().dropped, self.dropped_contents());
            if written.is_ok() && pruned.is_none_or(|at| at.elapsed() >= PRUNED) {
                pruned = Some(Instant::now());
                if let Err(error) = self.prune().await {
                    tracing::warn!(%error, "old records could not be removed; it is tried again");
                }
            }
        }
    }

    /// Writes what waits.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let mut batch = self.0.batch.lock().await;
        loop {
            if batch.records.is_empty() {
                batch.records = self.0.queue.take(BATCH);
                batch.was_tried = false;
            }
            if batch.records.is_empty() {
                return Ok(());
            }
            let writing = tokio::time::timeout(PATIENCE, self.write(&mut batch)).await;
            writing.unwrap_or(Err(StoreError::Slow(PATIENCE)))?;
        }
    }

    async fn write(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let first = batch.records.first().map(|new| new.id.clone()).unwrap_or_default();
        // Where the connection broke while it was acknowledged, it may be there.
        let is_there = batch.was_tried && self.0.store.has_record(&first).await?;
        batch.was_tried = true;
        if !is_there {
            self.0.store.add_records(&batch.records).await?;
        }
        self.0.written.fetch_add(batch.records.len() as u64, Ordering::AcqRel);
        batch.records.clear();
        Ok(())
    }

    /// Removes what is too old.
    pub async fn prune(&self) -> Result<(), StoreError> {
        let days = i64::from(self.0.keep_days);
        let before = now().saturating_sub(days.saturating_mul(86_400)).saturating_mul(1000);
        self.0.store.prune_records(before).await
    }
}

/// What was said last, so that each thing is said once in a while.
#[derive(Default)]
struct Spoken {
    failed_at: Option<Instant>,
    dropped_at: Option<Instant>,
    dropped: u64,
    contents: u64,
}

impl Spoken {
    fn of_writing(&mut self, error: Option<&StoreError>, found: Whereabouts) {
        let Whereabouts { dropped, waiting, .. } = found;
        match error {
            Some(error) if self.failed_at.is_none_or(|at| at.elapsed() >= SAID) => {
                self.failed_at = Some(Instant::now());
                tracing::error!(
                    %error, waiting, dropped,
                    "the ledger cannot be written; requests go on, and their records wait as long as there is room"
                );
            }
            Some(_) => {}
            None if self.failed_at.take().is_some() => {
                tracing::info!(dropped, "the ledger is written again");
            }
            None => {}
        }
    }

    fn of_drops(&mut self, dropped: u64, contents: u64) {
        let is_more = dropped > self.dropped || contents > self.contents;
        if is_more && self.dropped_at.is_none_or(|at| at.elapsed() >= SAID) {
            self.dropped_at = Some(Instant::now());
            tracing::warn!(
                records = dropped - self.dropped,
                contents = contents - self.contents,
                "the ledger dropped what it could not take; airlock_ledger_records_total counts all of it"
            );
            (self.dropped, self.contents) = (dropped, contents);
        }
    }
}
