//! One tally for each kind of request.

use super::kinds::{ALL, Kind};
use crate::tally::Tally;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What became of the requests of all kinds. Clones count together.
#[derive(Clone, Default)]
pub struct Tallies(Arc<Mutex<BTreeMap<&'static str, Tally>>>);

impl Tallies {
    /// Counts one of `kind`.
    pub fn add(&self, kind: &Kind, done: Result<String, String>) {
        self.lock().entry(kind.name).or_default().add(done);
    }

    /// So far, for every kind.
    pub fn get(&self) -> Vec<(&'static Kind, Tally)> {
        let tallies = self.lock();
        ALL.iter().map(|kind| (kind, tallies.get(kind.name).cloned().unwrap_or_default())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
