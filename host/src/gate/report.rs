//! What the gate found out, for people and for scripts.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the gate found out about a component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GateReport)]
pub struct Report {
    /// Whether it can be used.
    pub passed: bool,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Its size, in bytes.
    pub size: usize,
    /// Who signed it, where the tenant wants that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signer: Option<String>,
    /// What it can be used as: `endpoint`, `cluster`, `batch`, `middleware`.
    pub roles: Vec<String>,
    /// What it imports, and what that lets it do.
    pub capabilities: Vec<Capability>,
    /// Every check, in order, up to the first that failed.
    pub checks: Vec<Check>,
    /// What it costs, where it was run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost: Option<Cost>,
}

/// One import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Capability {
    /// Its name.
    pub import: String,
    /// What it lets the component do.
    pub lets: String,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// Whether it holds; also where it was skipped.
    pub passed: bool,
    /// Whether it could not be made: `message` says why.
    #[serde(skip_serializing_if = "is_false", default)]
    pub skipped: bool,
    /// What was found, in one line.
    pub message: String,
    /// What to do, where it does not hold or was skipped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
    /// What is allowed, and most often a mistake.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What one request costs, and the component as such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cost {
    /// How long it took to compile, in milliseconds; next to nothing where that was done before.
    pub compile_ms: u64,
    /// CPU time of one request, in microseconds: the instance and the task. The median of several.
    pub request_cpu_us: u64,
    /// The most linear memory that a request had, in bytes.
    pub peak_memory_bytes: usize,
}

/// What came of a check.
pub(super) enum Finding {
    /// It holds.
    Holds { message: String, warnings: Vec<String> },
    /// It could not be made.
    Skipped { message: String, remedy: String },
    /// It does not hold.
    Fails { message: String, remedy: String },
}

impl Finding {
    pub(super) fn holds(message: impl Into<String>) -> Self {
        Self::Holds { message: message.into(), warnings: Vec::new() }
    }

    pub(super) fn fails(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Fails { message: message.into(), remedy: remedy.into() }
    }
}

impl Report {
    /// The first check that failed.
    pub fn failed(&self) -> Option<&Check> {
        self.checks.iter().find(|check| !check.passed)
    }

    /// How long a check took, in milliseconds.
    pub(super) fn took_ms(&self, name: &str) -> u64 {
        self.checks.iter().find(|check| check.name == name).map_or(0, |check| check.took_ms)
    }

    /// Adds a check; whether those that build on it can be made.
    pub(super) fn note(&mut self, name: &str, started: Instant, finding: Finding) -> bool {
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (passed, skipped, message, remedy, warnings) = match finding {
            Finding::Holds { message, warnings } => (true, false, message, None, warnings),
            Finding::Skipped { message, remedy } => (true, true, message, Some(remedy), Vec::new()),
            Finding::Fails { message, remedy } => (false, false, message, Some(remedy), Vec::new()),
        };
        let name = name.to_owned();
        self.checks.push(Check { name, passed, skipped, message, remedy, warnings, took_ms });
        passed && !skipped
    }
}
