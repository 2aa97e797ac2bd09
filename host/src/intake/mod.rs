//! Components on their way in: how many at once, and where they are until it is their turn to be examined. A file holds
//! what has come, so that those who send, or wait, cost no memory.

mod receive;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use receive::{ReceiveError, Received};

/// Uploads at one moment, of all tenants and of one. Each may have a file as large as the largest component.
const AT_ONCE: usize = 16;
const OF_ONE_TENANT: usize = 4;

/// The door for components. Cheap to clone.
#[derive(Clone)]
pub struct Intake(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    taken: Mutex<HashMap<String, usize>>,
}

/// There is no room for another upload at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The tenant has its share.
    #[error("{OF_ONE_TENANT} uploads of the tenant are under way, and no more may be at once. Try again.")]
    Tenant,
    /// The gateway has all that it takes.
    #[error("{AT_ONCE} uploads are under way, and no more may be at once. Try again.")]
    Gateway,
}

/// The place of one upload, until it is dropped.
pub struct Slot {
    intake: Intake,
    tenant: String,
}

impl Intake {
    /// One whose files are in this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self(Arc::new(Inner { folder, taken: Mutex::default() }))
    }

    /// A place for an upload of a tenant.
    pub fn enter(&self, tenant: &str) -> Result<Slot, Full> {
        let mut taken = self.taken();
        if taken.values().sum::<usize>() >= AT_ONCE {
            return Err(Full::Gateway);
        }
        let own = taken.entry(tenant.to_owned()).or_default();
        if *own >= OF_ONE_TENANT {
            return Err(Full::Tenant);
        }
        *own += 1;
        Ok(Slot { intake: self.clone(), tenant: tenant.to_owned() })
    }

    /// Uploads that are under way.
    pub fn under_way(&self) -> usize {
        self.taken().values().sum()
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.intake.taken();
        if let Some(own) = taken.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_share_and_all_together_have_theirs() {
        let intake = Intake::new(std::env::temp_dir());
        let mut held = Vec::new();
        for tenant in ["a", "b", "c", "d"] {
            held.extend((0..OF_ONE_TENANT).map(|_| intake.enter(tenant).unwrap()));
            if tenant != "d" {
                assert_eq!(intake.enter(tenant).err(), Some(Full::Tenant));
            }
        }
        assert_eq!(intake.under_way(), AT_ONCE);
        assert_eq!(intake.enter("e").err(), Some(Full::Gateway));
        held.pop();
        assert!(intake.enter("e").is_ok());
        held.clear();
        assert_eq!(intake.under_way(), 0);
        assert!(intake.taken().is_empty(), "tenants that have gone are forgotten");
    }
}
