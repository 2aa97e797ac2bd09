//! Where records wait to be written. A lock that is held for a push, as a channel would wake its reader for each.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{ledger::Record, store::NewRecord};

/// Most records that wait. Their ids are in the order of time, so that the store's index grows at its end.
pub const CAPACITY: usize = 16_384;
/// Most bytes of prompts and results that wait. Past it a record waits without its own.
const CONTENT_CAPACITY: usize = 32 << 20;
/// Records of callers that nobody knows, in a minute. Whoever has no key is not to fill the disk.
const UNKNOWN: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    records: Vec<NewRecord>,
    content_bytes: usize,
    offered: u64,
    dropped: u64,
    dropped_contents: u64,
    /// When the minute began that is counted, and the records of it.
    unknown: Option<(Instant, u32)>,
}

/// What has become of records so far.
pub(super) struct Counts {
    pub(super) offered: u64,
    pub(super) dropped: u64,
    pub(super) dropped_contents: u64,
}

impl Queue {
    /// Takes a record, or counts that it could not.
    pub(super) fn offer(&self, record: &Record) {
        let mut new = NewRecord { id: Uuid::now_v7().to_string(), record: record.clone() };
        // It may repeat what was asked, and is not stored.
        new.record.detail = None;
        let size = record.content.as_ref().map_or(0, |content| content.size());
        let mut waiting = self.lock();
        waiting.offered += 1;
        let is_welcome = record.tenant.is_some() || waiting.takes_unknown();
        if waiting.records.len() >= CAPACITY || !is_welcome {
            waiting.dropped += 1;
            return;
        }
        if waiting.content_bytes + size > CONTENT_CAPACITY {
            new.record.content = None;
            waiting.dropped_contents += 1;
        } else {
            waiting.content_bytes += size;
        }
        waiting.records.push(new);
    }

    /// The first of them.
    pub(super) fn take(&self, most: usize) -> Vec<NewRecord> {
        let mut waiting = self.lock();
        let most = most.min(waiting.records.len());
        let rest = waiting.records.split_off(most);
        let first = std::mem::replace(&mut waiting.records, rest);
        let size: usize = first.iter().filter_map(|new| new.record.content.as_ref()).map(|c| c.size()).sum();
        waiting.content_bytes = waiting.content_bytes.saturating_sub(size);
        first
    }

    pub(super) fn counts(&self) -> Counts {
        let Waiting { offered, dropped, dropped_contents, .. } = *self.lock();
        Counts { offered, dropped, dropped_contents }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn takes_unknown(&mut self) -> bool {
        let (since, count) =
            self.unknown.filter(|(since, _)| since.elapsed() < MINUTE).unwrap_or((Instant::now(), 0));
        self.unknown = Some((since, count.saturating_add(1)));
        count < UNKNOWN
    }
}
