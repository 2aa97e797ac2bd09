//! A ledger that keeps its records.

use std::sync::{Arc, Mutex};

use airlock::ledger::{Ledger, Record};
use tokio::sync::watch;

/// Keeps records, and lets tests wait for them.
#[derive(Clone)]
pub struct Recorder {
    records: Arc<Mutex<Vec<Record>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { records: Arc::default(), count: Arc::new(watch::Sender::new(0)) }
    }
}

impl Ledger for Recorder {
    fn settle(&self, record: Record) {
        self.records.lock().unwrap().push(record);
        self.count.send_modify(|n| *n += 1);
    }
}

impl Recorder {
    /// The `n`th record, from 1, once it is there.
    pub async fn nth(&self, n: usize) -> Record {
        let mut count = self.count.subscribe();
        super::within(count.wait_for(|have| *have >= n)).await.unwrap();
        self.records.lock().unwrap()[n - 1].clone()
    }

    /// The only record.
    pub async fn one(&self) -> Record {
        self.nth(1).await
    }
}
