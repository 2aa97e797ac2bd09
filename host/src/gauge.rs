//! Numbers that follow what exists: whatever is counted holds its count, and gives it back when it goes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How many there are at this moment. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicUsize>);

impl Gauge {
    /// Counts one, until the guard is dropped.
    pub fn count(&self) -> Counted {
        self.0.fetch_add(1, Ordering::AcqRel);
        Counted(Arc::clone(&self.0))
    }

    /// How many guards exist.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// One that is counted.
#[must_use = "what is dropped at once is not counted"]
pub struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_follows_its_guards() {
        let gauge = Gauge::default();
        let (one, two) = (gauge.count(), gauge.clone().count());
        assert_eq!(gauge.get(), 2);
        drop(one);
        assert_eq!(gauge.get(), 1);
        drop(two);
        assert_eq!(gauge.get(), 0);
    }
}
