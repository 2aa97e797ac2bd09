//! A ledger that keeps its records.

use std::sync::{Arc, Mutex};

use airlock::ledger::{Ledger, Record};
use tokio::sync::watch;

/// Keeps records, and lets tests wait for them.
#[derive(Clone)]
pub struct Recorder {
    records: Arc<Mutex<Vec<Record>>>,
    count: Arc<watch::Sender<usize>>,
    panics_at: Arc<Mutex<Option<String>>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { records: Arc::default(), count: Arc::new(watch::Sender::new(0)), panics_at: Arc::default() }
    }
}

impl Ledger for Recorder {
    fn settle(&self, record: &Record) {
        let panics = self.panics_at.lock().unwrap().as_deref() == Some(&*record.request_id);
        self.records.lock().unwrap().push(record.clone());
        self.count.send_modify(|n| *n += 1);
        assert!(!panics, "the ledger was told to panic");
    }
}

impl Recorder {
    /// The `n`th record, from 1, once it is there.
    pub async fn nth(&self, n: usize) -> Record {
        let mut count = self.count.subscribe();
        super::within(count.wait_for(|have| *have >= n)).await.unwrap();
        self.records.lock().unwrap()[n - 1].clone()
    }

    /// Panics, as nothing in the gateway should, when the request with this id settles.
    pub fn panic_at(&self, request_id: &str) {
        *self.panics_at.lock().unwrap() = Some(request_id.to_owned());
    }

    /// The only record.
    pub async fn one(&self) -> Record {
        self.nth(1).await
    }
}
