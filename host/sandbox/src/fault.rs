//! Why a call gave no reply.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::{EgressError, limits::Exceeded};

/// A failure that an adaptor reports on purpose, as in `wit/common.wit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptorError {
    /// HTTP status for the client.
    pub status: u16,
    /// Machine-readable code.
    pub code: String,
    /// A sentence for a person.
    pub message: String,
    /// How long to wait before a retry, in milliseconds.
    pub retry_after_ms: Option<u32>,
}

/// Why a call gave no reply. Texts are for the log: they may name symbols of the component.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The adaptor said so.
    #[error("the adaptor answered {} {}: {}", .0.status, .0.code, .0.message)]
    Reported(AdaptorError),
    /// All there is of something is in use.
    #[error("all {limit} {what} are in use")]
    Overloaded {
        /// Of what.
        what: &'static str,
        /// How many there are.
        limit: usize,
    },
    /// The tenant's guests have computed for as long as they may in a day.
    #[error("the tenant's guests have computed for {limit:?} today, and may not for longer")]
    DayUsedUp {
        /// For how long they may.
        limit: Duration,
    },
    /// The component trapped, or could not be instantiated.
    #[error("the adaptor trapped: {0}")]
    Trap(String),
    /// The CPU budget is used up.
    #[error("the adaptor used up its CPU budget")]
    CpuLimit,
    /// The memory budget is used up.
    #[error("the adaptor used up its memory budget")]
    MemoryLimit,
    /// The wall time is used up.
    #[error("the adaptor did not reply in time")]
    Timeout,
    /// The reply breaks the contract.
    #[error("the adaptor's reply is not usable: {0}")]
    BadOutput(String),
    /// A request that the host made for the adaptor failed.
    #[error(transparent)]
    Egress(#[from] EgressError),
}

impl Fault {
    /// Finds the cause in what wasmtime returns.
    pub(crate) fn from_wasmtime(error: &wasmtime::Error, slots: usize) -> Self {
        if error.is::<PoolConcurrencyLimitError>() {
            return Self::Overloaded { what: "sandboxes", limit: slots };
        }
        match error.downcast_ref::<Exceeded>() {
            Some(Exceeded::Cpu) => return Self::CpuLimit,
            Some(Exceeded::Memory) => return Self::MemoryLimit,
            None => {}
        }
        if matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt)) {
            return Self::CpuLimit;
        }
        Self::Trap(format!("{error:?}"))
    }
}
