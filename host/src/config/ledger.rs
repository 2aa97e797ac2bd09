//! `[ledger]`: what is kept of requests that are over.

use serde::{Deserialize, Serialize};

/// `[ledger]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerSection {
    /// Whether records are kept in the store.
    pub records: bool,
    /// For how many days. The sums of each day stay.
    pub keep_days: u32,
}

impl Default for LedgerSection {
    fn default() -> Self {
        Self { records: true, keep_days: 90 }
    }
}

impl LedgerSection {
    /// A record stays for a day at least.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.keep_days {
            0 => Err("ledger.keep_days must be at least 1; ledger.records = false keeps nothing".to_owned()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_for_no_day() {
        assert_eq!(LedgerSection::default().check(), Ok(()));
        assert!(LedgerSection { keep_days: 0, ..LedgerSection::default() }.check().is_err());
    }
}
