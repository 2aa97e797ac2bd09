//! Whose adaptor runs. What one tenant's calls use up or leave behind is never another's.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;

use crate::{EgressError, Fault, Usage, coalesce::Groups, host::key_value::KeyValueStore};

/// Pieces of a tenant's large answers that are moved before others have their turn: each takes its thread a tenth of a
/// millisecond.
const PIECES_AT_ONCE: usize = 2;

/// What all calls of one tenant together may hold at one moment, and use in a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantLimits {
    /// Instances.
    pub instances: usize,
    /// Outbound exchanges, from the request to the last byte of the response.
    pub outbound_calls: usize,
    /// Look-ups of names. A slow name server would otherwise hold threads that others need.
    pub lookups: usize,
    /// Large answers that are being read: they are held in memory, and whoever reads many at once holds up others.
    pub large_answers: usize,
    /// Answers that are read to their end though their client is gone.
    pub unattended: usize,
    /// CPU time of guests in a day.
    pub daily_cpu: Option<Duration>,
    /// Bytes sent to backends in a day.
    pub daily_egress_bytes: Option<u64>,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self {
            instances: Semaphore::MAX_PERMITS,
            outbound_calls: 1024,
            lookups: 8,
            large_answers: 64,
            unattended: 32,
            daily_cpu: None,
            daily_egress_bytes: None,
        }
    }
}

/// One tenant: its name, what its calls share and leave behind, and how much of it there is. All grants of a tenant hold
/// the same one; a tenant that gets the name of one that is gone is another, and finds nothing of it.
pub struct Tenant {
    name: Arc<str>,
    limits: TenantLimits,
    instances: Arc<Semaphore>,
    outbound_calls: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    large_answers: Arc<Semaphore>,
    large_pieces: Arc<Semaphore>,
    unattended: Arc<Semaphore>,
    groups: Arc<Groups>,
    key_value: KeyValueStore,
    usage: Arc<Usage>,
    /// Made on first use by the connector. TLS sessions are resumed by the tenant that began them only.
    pub(crate) tls: Mutex<Option<TlsConnector>>,
}

impl Tenant {
    /// A tenant with nothing in use.
    pub fn new(name: &str, limits: TenantLimits) -> Arc<Self> {
        Self::with_usage(name, limits, Arc::default())
    }

    /// The same tenant with other limits: what it has used counts on.
    #[must_use]
    pub fn limited(&self, limits: TenantLimits) -> Arc<Self> {
        Self::with_usage(&self.name, limits, Arc::clone(&self.usage))
    }

    fn with_usage(name: &str, limits: TenantLimits, usage: Arc<Usage>) -> Arc<Self> {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self {
            name: name.into(),
            instances: semaphore(limits.instances),
            outbound_calls: semaphore(limits.outbound_calls),
            lookups: semaphore(limits.lookups),
            large_answers: semaphore(limits.large_answers),
            large_pieces: semaphore(PIECES_AT_ONCE),
            unattended: semaphore(limits.unattended),
            groups: Arc::default(),
            key_value: KeyValueStore::default(),
            usage,
            limits,
            tls: Mutex::default(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What all its calls together may hold.
    pub fn limits(&self) -> &TenantLimits {
        &self.limits
    }

    /// Where its instances meet.
    pub(crate) fn groups(&self) -> &Arc<Groups> {
        &self.groups
    }

    /// What its instances keep.
    pub(crate) fn key_value(&self) -> &KeyValueStore {
        &self.key_value
    }

    /// What its calls have used today.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Takes one of the tenant's instances, or says at once that there is none.
    pub(crate) fn instance(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let limit = self.limits.daily_cpu.unwrap_or(Duration::MAX);
        if Duration::from_nanos(self.usage.today().cpu_ns) >= limit {
            return Err(Fault::DayUsedUp { limit });
        }
        Arc::clone(&self.instances)
            .try_acquire_owned()
            .map_err(|_| Fault::Overloaded { what: "sandboxes of this tenant", limit: self.limits.instances })
    }

    /// How many bytes may be sent still today. Fails where there are none.
    pub(crate) fn egress_left(&self) -> Result<u64, EgressError> {
        let Some(limit) = self.limits.daily_egress_bytes else { return Ok(u64::MAX) };
        match limit.saturating_sub(self.usage.today().egress_bytes) {
            0 => Err(EgressError::DayUsedUp(limit)),
            left => Ok(left),
        }
    }

    /// Takes one of the tenant's outbound calls, or says at once that there is none.
    pub(crate) fn outbound_call(&self) -> Result<OwnedSemaphorePermit, EgressError> {
        self.egress_left()?;
        Arc::clone(&self.outbound_calls)
            .try_acquire_owned()
            .map_err(|_| EgressError::Busy(self.limits.outbound_calls))
    }

    /// Waits until one more large answer may be read.
    pub async fn large_answer(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.large_answers).acquire_owned().await.ok()
    }

    /// What each piece of a large answer takes while it is moved.
    pub fn large_pieces(&self) -> Arc<Semaphore> {
        Arc::clone(&self.large_pieces)
    }

    /// Lets one more answer be read whose client is gone, or none.
    pub fn unattended(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.unattended).try_acquire_owned().ok()
    }

    /// Waits for one of the tenant's look-ups.
    pub(crate) async fn lookup(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.lookups).acquire_owned().await.ok()
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({})", self.name)
    }
}
