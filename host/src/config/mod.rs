//! Settings: `airlock.toml`, then `AIRLOCK_…` variables, then flags; read once, checked, handed on as
//! plain data. The only room that reads the environment.

mod env;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use airlock_sandbox::{Budgets, ConnectSettings, EgressLimits, SandboxSettings};
use figment::{
    Figment,
    providers::{Env as FigmentEnv, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

pub use env::Env;

/// The settings file that is read where none is named.
pub const DEFAULT_FILE: &str = "airlock.toml";

/// `AIRLOCK_…` variables that others read: the command line, the log, the project's scripts. Any further one
/// that is no setting is a mistake, most likely a misspelt setting.
const NOT_SETTINGS: [&str; 6] = ["config", "log", "bin", "cache", "url", "key"];

/// Everything that can be set, with its default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Folder of the embedded store. Made where it is missing.
    pub data: PathBuf,
    /// Folder of the fixture files.
    pub fixtures: PathBuf,
    /// Folder of the bundled adaptors. Unset: `../adaptors` from the binary.
    pub adaptors: Option<PathBuf>,
    /// Threads that serve requests. 0: one for each core.
    pub workers: usize,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Largest complete (not streamed) answer, in bytes. It is checked before it is sent.
    pub max_answer_bytes: usize,
    /// How long open requests may go on after the signal to stop, in seconds.
    pub drain_seconds: u64,
    /// The sandbox.
    pub sandbox: SandboxSection,
    /// Calls to backends.
    pub egress: EgressSection,
}

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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            data: "airlock-data".into(),
            fixtures: "fixtures".into(),
            adaptors: None,
            workers: 0,
            max_body_bytes: 32 << 20,
            max_answer_bytes: 64 << 20,
            drain_seconds: 30,
            sandbox: SandboxSection::default(),
            egress: EgressSection::default(),
        }
    }
}

impl Default for SandboxSection {
    fn default() -> Self {
        let budgets = Budgets::default();
        Self {
            slots: SandboxSettings::default().slots,
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
        }
    }
}

/// What was given on the command line. Unset fields leave the rest as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    /// `--listen`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// `--data`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// `--fixtures`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixtures: Option<PathBuf>,
    /// `--adaptors`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptors: Option<PathBuf>,
    /// `--workers`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
}

/// A setting that cannot be used. The text names the setting, where it came from and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl Settings {
    /// Reads the file (a missing `airlock.toml` is no mistake, a missing named file is one), the
    /// variables and the flags.
    pub fn load(file: Option<PathBuf>, flags: &Overrides) -> Result<Self, ConfigError> {
        if let Some(file) = &file
            && !file.is_file()
        {
            return Err(ConfigError(format!("the settings file {} does not exist", file.display())));
        }
        let file = file.unwrap_or_else(|| DEFAULT_FILE.into());
        let settings: Self = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::file(file))
            .merge(FigmentEnv::prefixed("AIRLOCK_").split("__").ignore(&NOT_SETTINGS))
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|errors| {
                ConfigError(errors.into_iter().map(|e| format!("{e}\n")).collect::<String>())
            })?;
        settings.check()
    }

    fn check(self) -> Result<Self, ConfigError> {
        let SandboxSection { slots, cpu_ms, wall_seconds, memory_mib, .. } = self.sandbox;
        let rules = [
            (slots == 0, "sandbox.slots must be at least 1"),
            (slots > 16_000, "sandbox.slots is above 16000, which no address space holds"),
            (cpu_ms == 0, "sandbox.cpu_ms must be at least 1"),
            (wall_seconds == 0, "sandbox.wall_seconds must be at least 1"),
            (!(2..=4096).contains(&memory_mib), "sandbox.memory_mib must be from 2 to 4096"),
            (self.egress.connect_seconds == 0, "egress.connect_seconds must be at least 1"),
            (self.egress.head_seconds == 0, "egress.head_seconds must be at least 1"),
            (self.egress.idle_seconds == 0, "egress.idle_seconds must be at least 1"),
            (self.max_body_bytes < 1024, "max_body_bytes must be at least 1024"),
            (self.max_answer_bytes < 1024, "max_answer_bytes must be at least 1024"),
        ];
        match rules.iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(ConfigError((*rule).to_owned())),
            None => Ok(self),
        }
    }

    /// For the sandbox's pool.
    pub fn sandbox_settings(&self) -> SandboxSettings {
        SandboxSettings {
            slots: self.sandbox.slots,
            max_memory_bytes: (self.sandbox.memory_mib << 20).max(256 << 20),
        }
    }

    /// For each call of an adaptor.
    pub fn budgets(&self) -> Budgets {
        Budgets {
            cpu: Duration::from_millis(self.sandbox.cpu_ms),
            wall: Duration::from_secs(self.sandbox.wall_seconds),
            memory_bytes: self.sandbox.memory_mib << 20,
            hostcall_bytes: self.max_body_bytes.max(self.max_answer_bytes) + (1 << 20),
            outbound_calls: self.sandbox.outbound_calls,
            ..Budgets::default()
        }
    }

    /// For connections to backends.
    pub fn connect_settings(&self) -> ConnectSettings {
        ConnectSettings {
            timeout: Duration::from_secs(self.egress.connect_seconds),
            ca_file: self.egress.ca_file.clone(),
        }
    }

    /// For responses of backends.
    pub fn egress_limits(&self) -> EgressLimits {
        EgressLimits {
            head_timeout: Duration::from_secs(self.egress.head_seconds),
            idle_timeout: Duration::from_secs(self.egress.idle_seconds),
            ..EgressLimits::default()
        }
    }

    /// Where the bundled adaptors are: the setting, or beside the folder of the binary.
    pub fn adaptors_dir(&self) -> PathBuf {
        self.adaptors.clone().unwrap_or_else(|| {
            let binary = std::env::current_exe().unwrap_or_default();
            let folder = binary.parent().and_then(|bin| bin.parent()).unwrap_or(&binary);
            folder.join("adaptors")
        })
    }

    /// Threads that serve requests.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_unknown_keys_are_named() {
        let dir = std::env::temp_dir().join(format!("airlock-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("a.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\n[sandbox]\nslots = 7\n").unwrap();
        let flags = Overrides { listen: Some("127.0.0.1:2".parse().unwrap()), ..Overrides::default() };
        let settings = Settings::load(Some(file.clone()), &flags).unwrap();
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.sandbox.slots, 7);

        std::fs::write(&file, "slotz = 7\n").unwrap();
        let error = Settings::load(Some(file.clone()), &flags).unwrap_err().to_string();
        assert!(error.contains("slotz") && error.contains("a.toml"), "{error}");

        std::fs::write(&file, "[sandbox]\nslots = 0\n").unwrap();
        assert!(Settings::load(Some(file), &flags).is_err());
        assert!(Settings::load(Some(dir.join("none.toml")), &flags).is_err());
    }
}
