//! `[process]`: what the process may do to the machine that it runs on.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[process]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessSection {
    /// Whether the process leaves itself only the files and system calls that it needs.
    pub confine: Confine,
    /// Files and folders that it may read then, beside those that other settings name.
    pub read_paths: Vec<PathBuf>,
}

/// Whether the process is confined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confine {
    /// It is not.
    #[default]
    Off,
    /// As far as this machine can.
    Try,
    /// In full, or it does not start.
    On,
}
