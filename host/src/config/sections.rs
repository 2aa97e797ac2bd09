//! The parts of the settings file, with their defaults.

use std::path::PathBuf;

use airlock_sandbox::{Budgets, CompileLimits, ConnectSettings, EgressLimits};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// `[sandbox]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxSection {
    /// Adaptor instances that may live at the same time; more get 503.
    pub slots: u32,
    /// CPU time of one call, in milliseconds.
    pub cpu_ms: u64,
    /// Wall time until an adaptor has replied, and until each of its events, in seconds.
    pub wall_seconds: u64,
    /// Memory of one call, in MiB, over all linear memories.
    pub memory_mib: usize,
    /// Outbound calls of one call.
    pub outbound_calls: u32,
}

/// `[batch]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchSection {
    /// How many batches of one caller may be active.
    pub max_active_per_user: u32,
    /// How often backends are asked about active batches, in seconds.
    pub poll_seconds: u64,
}

impl Default for BatchSection {
    fn default() -> Self {
        Self { max_active_per_user: 2, poll_seconds: 10 }
    }
}

/// `[callbacks]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallbackSection {
    /// Where backends reach this gateway to call back, for example `https://gateway.example.org`. Unset: they cannot.
    pub url: Option<String>,
}

/// `[egress]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressSection {
    /// A PEM file of further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Longest time to connect, in seconds.
    pub connect_seconds: u64,
    /// Longest wait for a response head, in seconds, whatever an endpoint asks for.
    pub head_seconds: u64,
    /// Longest silence inside a response body, in seconds.
    pub idle_seconds: u64,
    /// Whether fixtures may name private addresses: of this machine, or of the operator's own networks.
    pub private_addresses: bool,
    /// Networks that may be called though they are not public, in CIDR notation.
    pub allow_networks: Vec<IpNet>,
    /// Outbound calls that may be open at a time. 0: half of the files that the process may open.
    pub max_open_calls: usize,
}

/// `[compile]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompileSection {
    /// The program that compiles adaptors. Unset: this one.
    pub program: Option<PathBuf>,
    /// Folder of compiled adaptors. Unset: `adaptor-cache` in the data folder.
    pub cache: Option<PathBuf>,
    /// How much is kept there, in MiB.
    pub cache_mib: u64,
    /// Processor time of one compilation, in seconds.
    pub cpu_seconds: u64,
    /// Memory of one compilation, in MiB.
    pub memory_mib: u64,
    /// Largest component, in MiB.
    pub max_adaptor_mib: usize,
}

impl Default for CompileSection {
    fn default() -> Self {
        let limits = CompileLimits::default();
        Self {
            program: None,
            cache: None,
            cache_mib: 2048,
            cpu_seconds: limits.cpu.as_secs(),
            memory_mib: limits.memory_bytes >> 20,
            max_adaptor_mib: limits.max_component_bytes >> 20,
        }
    }
}

impl Default for SandboxSection {
    fn default() -> Self {
        let budgets = Budgets::default();
        Self {
            slots: 256,
            cpu_ms: budgets.cpu.as_millis().try_into().unwrap_or(2_000),
            wall_seconds: budgets.wall.as_secs(),
            memory_mib: budgets.memory_bytes >> 20,
            outbound_calls: budgets.outbound_calls,
        }
    }
}

impl Default for EgressSection {
    fn default() -> Self {
        let limits = EgressLimits::default();
        Self {
            ca_file: None,
            connect_seconds: ConnectSettings::default().timeout.as_secs(),
            head_seconds: limits.head_timeout.as_secs(),
            idle_seconds: limits.idle_timeout.as_secs(),
            private_addresses: true,
            allow_networks: Vec::new(),
            max_open_calls: 0,
        }
    }
}
