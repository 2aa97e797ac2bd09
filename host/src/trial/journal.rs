//! All steps of a run, with their times.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use airlock_sandbox::{Observer, Step};
use serde::{Deserialize, Serialize};

/// The most that is kept of one run.
const MOST_BYTES: usize = 64 << 20;
/// What a step counts beside its bytes.
const STEP_COST: usize = 64;

/// A step and when it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// Microseconds since the run began.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub step: Step,
}

/// Who sees each step as it happens, with its time.
type Watcher = Box<dyn Fn(Duration, &Step) + Send + Sync>;

/// Keeps the steps of a run, up to a size, and shows them as they happen.
pub struct Journal {
    started: Instant,
    kept: Mutex<Kept>,
    watcher: Option<Watcher>,
}

#[derive(Default)]
struct Kept {
    steps: Vec<Timed>,
    bytes: usize,
    is_full: bool,
}

impl Journal {
    /// A journal that begins now.
    pub fn new(watcher: Option<Watcher>) -> Self {
        Self { started: Instant::now(), kept: Mutex::default(), watcher }
    }

    /// All of it; nothing where it is more than is kept.
    pub fn steps(&self) -> Option<Vec<Timed>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (!kept.is_full).then(|| kept.steps.clone())
    }
}

impl Observer for Journal {
    fn saw(&self, step: &Step) {
        let at = self.started.elapsed();
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.bytes = kept.bytes.saturating_add(size(step) + STEP_COST);
            kept.is_full |= kept.bytes > MOST_BYTES;
            if kept.is_full {
                kept.steps = Vec::new();
            } else {
                let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
                kept.steps.push(Timed { at_us, step: step.clone() });
            }
        }
        if let Some(watcher) = &self.watcher {
            watcher(at, step);
        }
    }
}

fn size(step: &Step) -> usize {
    match step {
        Step::Chance { bytes: data, .. }
        | Step::Sent { data, .. }
        | Step::Chunk { data, .. }
        | Step::TaskBody { data } => data.0.len(),
        Step::Request { url, headers, body, .. } => {
            let body = body.as_ref().map_or(0, |body| body.0.len());
            url.len() + body + headers.iter().map(|(name, value)| name.len() + value.0.len()).sum::<usize>()
        }
        Step::Head { headers, .. } => {
            headers.iter().map(|(name, value)| name.len() + value.0.len()).sum::<usize>()
        }
        Step::Asked { with, told, .. } => with.to_string().len() + told.to_string().len(),
        Step::Log { line, .. } => line.len(),
        Step::Poll { ready, .. } => ready.len() * size_of::<u32>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_is_kept_is_not_kept_in_part() {
        let journal = Journal::new(None);
        let piece = Step::Chunk { request: 0, data: vec![0; 1 << 20].into() };
        for _ in 0..63 {
            journal.saw(&piece);
        }
        assert_eq!(journal.steps().unwrap().len(), 63);
        journal.saw(&piece);
        journal.saw(&Step::Gone);
        assert!(journal.steps().is_none());
    }
}
