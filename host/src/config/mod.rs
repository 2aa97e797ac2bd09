//! Settings: `airlock.toml`, then `AIRLOCK_…` variables, then flags; read once, checked, handed on as
//! plain data. The only room that reads the environment.

mod auth;
mod callbacks;
mod cors;
mod database;
mod env;
mod ledger;
mod limits;
mod live;
mod process;
mod routing;
mod sections;
mod telemetry;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use airlock_sandbox::{
    AddressPolicy, Budgets, CacheKey, CacheSettings, CallbackSettings, CompileLimits, CompilerSettings,
    ConnectSettings, EgressLimits, SandboxSettings,
};
use figment::{
    Figment,
    providers::{Env as FigmentEnv, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

pub use auth::*;
pub use cors::CorsSection;
pub use database::DatabaseUrl;
pub use env::Env;
pub use ledger::LedgerSection;
pub use limits::{Limits, LimitsSection, RedisLost, RedisUrl};
pub use process::{Confine, ProcessSection};
pub use routing::{Affinity, RoutingSection};
pub use sections::{BatchSection, CallbackSection, CompileSection, EgressSection, SandboxSection};
pub use telemetry::{GenAiConventions, TelemetrySection};

/// The settings file that is read where none is named.
pub const DEFAULT_FILE: &str = "airlock.toml";

/// `AIRLOCK_…` variables that others read: the command line, the log, the project's scripts. Any further one
/// that is no setting is a mistake, most likely a misspelt setting.
const NOT_SETTINGS: [&str; 8] = ["config", "log", "bin", "cache", "url", "key", "tenant", "master_key"];

/// Everything that can be set, with its default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The file that they were read from, where there was one.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Folder of the embedded store, and of compiled adaptors. Made where it is missing.
    pub data: PathBuf,
    /// A PostgreSQL server that holds the store in the place of the folder.
    pub database: Option<DatabaseUrl>,
    /// Folder of the fixture files.
    pub fixtures: PathBuf,
    /// Folder of the bundled adaptors. Unset: `../adaptors` from the binary.
    pub adaptors: Option<PathBuf>,
    /// Threads that serve requests. 0: one for each core.
    pub workers: usize,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Largest form, in bytes. It passes through; what comes before its model is held, up to `max_body_bytes`.
    pub max_form_bytes: u64,
    /// Largest complete (not streamed) answer, in bytes. It is checked before it is sent.
    pub max_answer_bytes: usize,
    /// Largest stream, in bytes.
    pub max_stream_bytes: u64,
    /// Longest time for an answer, from its head to its end, in seconds.
    pub max_answer_seconds: u64,
    /// How long a client may read nothing of a stream, in seconds. Then it counts as gone.
    pub client_stall_seconds: u64,
    /// After how long a silence a stream gets a comment, in seconds. 0: never.
    pub keep_alive_seconds: u64,
    /// How long `/ready` says no, after the signal to stop, before new connections are refused, in seconds.
    pub unready_seconds: u64,
    /// Whether the settings file and the fixtures are read again when they change.
    pub watch_files: bool,
    /// How long open requests may go on after the signal to stop, in seconds.
    pub drain_seconds: u64,
    /// A file with the master keys of tenants' secrets, newest first, a line each. Unset: `AIRLOCK_MASTER_KEY`.
    pub master_key_file: Option<PathBuf>,
    /// Whether `/metrics` is served. It needs no key.
    pub metrics: bool,
    /// Clusters that are down: a notice for each, which clients get with a 503.
    pub maintenance: BTreeMap<String, String>,
    /// Tokens of others that may call.
    pub auth: AuthSection,
    /// Pages in browsers.
    pub cors: CorsSection,
    /// What is kept of requests.
    pub ledger: LedgerSection,
    /// Where traces and metrics are sent.
    pub telemetry: TelemetrySection,
    /// The sandbox.
    pub sandbox: SandboxSection,
    /// Which endpoints are asked.
    pub routing: RoutingSection,
    /// Rates, tokens and what may be open at a time.
    pub limits: LimitsSection,
    /// Batches.
    pub batch: BatchSection,
    /// What backends post to the gateway.
    pub callbacks: CallbackSection,
    /// Calls to backends.
    pub egress: EgressSection,
    /// The compilation of adaptors.
    pub compile: CompileSection,
    /// The process itself.
    pub process: ProcessSection,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            data: "airlock-data".into(),
            database: None,
            fixtures: "fixtures".into(),
            adaptors: None,
            workers: 0,
            max_body_bytes: 32 << 20,
            max_form_bytes: 256 << 20,
            max_answer_bytes: 64 << 20,
            max_stream_bytes: 1 << 30,
            max_answer_seconds: 3600,
            client_stall_seconds: 60,
            keep_alive_seconds: 15,
            unready_seconds: 2,
            watch_files: true,
            drain_seconds: 30,
            master_key_file: None,
            metrics: false,
            maintenance: BTreeMap::new(),
            auth: AuthSection::default(),
            cors: CorsSection::default(),
            ledger: LedgerSection::default(),
            telemetry: TelemetrySection::default(),
            sandbox: SandboxSection::default(),
            routing: RoutingSection::default(),
            limits: LimitsSection::default(),
            batch: BatchSection::default(),
            callbacks: CallbackSection::default(),
            egress: EgressSection::default(),
            compile: CompileSection::default(),
            process: ProcessSection::default(),
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
    /// `--database`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseUrl>,
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
pub struct ConfigError(pub(crate) String);

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
            .merge(Toml::file(&file))
            .merge(FigmentEnv::prefixed("AIRLOCK_").split("__").ignore(&NOT_SETTINGS))
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|errors| {
                ConfigError(errors.into_iter().map(|e| format!("{e}\n")).collect::<String>())
            })?;
        Self { file: file.is_file().then_some(file), ..settings }.check()
    }

    fn check(self) -> Result<Self, ConfigError> {
        self.cors.check().map_err(ConfigError)?;
        self.routing.check().map_err(ConfigError)?;
        self.limits.check().map_err(ConfigError)?;
        self.auth.check().map_err(ConfigError)?;
        self.ledger.check().map_err(ConfigError)?;
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
            (self.batch.poll_seconds == 0, "batch.poll_seconds must be at least 1"),
            (self.max_answer_seconds == 0, "max_answer_seconds must be at least 1"),
            (self.client_stall_seconds == 0, "client_stall_seconds must be at least 1"),
            (self.compile.cpu_seconds == 0, "compile.cpu_seconds must be at least 1"),
            (self.compile.memory_mib < 256, "compile.memory_mib must be at least 256"),
            (self.compile.max_adaptor_mib == 0, "compile.max_adaptor_mib must be at least 1"),
            (self.max_stream_bytes < 1024, "max_stream_bytes must be at least 1024"),
            (self.max_body_bytes < 1024, "max_body_bytes must be at least 1024"),
            (self.max_form_bytes < 1024, "max_form_bytes must be at least 1024"),
            (self.max_answer_bytes < 1024, "max_answer_bytes must be at least 1024"),
        ];
        match rules.iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(ConfigError((*rule).to_owned())),
            None => Ok(self),
        }
    }

    /// For the sandbox's pool and compiler. Without a key, nothing that is compiled is kept.
    pub fn sandbox_settings(
        &self,
        cache_key: Option<CacheKey>,
        callbacks: Option<CallbackSettings>,
    ) -> SandboxSettings {
        let CompileSection { cpu_seconds, memory_mib, max_adaptor_mib, cache_mib, .. } = self.compile;
        let [_, folder] = self.own_folders();
        SandboxSettings {
            slots: self.sandbox.slots,
            max_memory_bytes: (self.sandbox.memory_mib << 20).max(256 << 20),
            compiler: CompilerSettings {
                program: self.compile.program.clone().unwrap_or_else(own_program),
                limits: CompileLimits {
                    cpu: Duration::from_secs(cpu_seconds),
                    memory_bytes: memory_mib << 20,
                    max_component_bytes: max_adaptor_mib << 20,
                    ..CompileLimits::default()
                },
                cache: cache_key.map(|key| CacheSettings { folder, key, max_bytes: cache_mib << 20 }),
            },
            callbacks,
        }
    }

    /// The folders that the gateway writes to: of the store, and of compiled adaptors.
    pub fn own_folders(&self) -> [PathBuf; 2] {
        let cache = self.compile.cache.clone().unwrap_or_else(|| self.data.join("adaptor-cache"));
        [self.data.clone(), cache]
    }

    /// Where calls for what fixtures load may go.
    pub fn address_policy(&self) -> AddressPolicy {
        let networks = self.egress.allow_networks.clone();
        if self.egress.private_addresses {
            AddressPolicy::with_private(networks)
        } else {
            AddressPolicy::public(networks)
        }
    }

    /// Where calls for what tenants define may go.
    pub fn tenant_address_policy(&self) -> AddressPolicy {
        AddressPolicy::public(self.egress.allow_networks.clone())
    }

    /// The text of the master keys, where there are any.
    pub fn master_keys(&self, env: &Env) -> Result<Option<String>, ConfigError> {
        let Some(file) = &self.master_key_file else {
            return Ok(env.get("AIRLOCK_MASTER_KEY").map(str::to_owned));
        };
        let text = std::fs::read_to_string(file);
        text.map(Some).map_err(|e| ConfigError(format!("master_key_file {}: {e}", file.display())))
    }

    /// For each call of an adaptor.
    pub fn budgets(&self) -> Arc<Budgets> {
        Arc::new(Budgets {
            cpu: Duration::from_millis(self.sandbox.cpu_ms),
            wall: Duration::from_secs(self.sandbox.wall_seconds),
            memory_bytes: self.sandbox.memory_mib << 20,
            hostcall_bytes: self.max_body_bytes.max(self.max_answer_bytes) + (1 << 20),
            outbound_calls: self.sandbox.outbound_calls,
            ..Budgets::default()
        })
    }

    /// For connections to backends.
    pub fn connect_settings(&self) -> ConnectSettings {
        ConnectSettings {
            timeout: Duration::from_secs(self.egress.connect_seconds),
            ca_file: self.egress.ca_file.clone(),
            max_open: match self.egress.max_open_calls {
                0 => open_file_limit() / 2,
                n => n,
            },
            ..ConnectSettings::default()
        }
    }

    /// For responses of backends.
    pub fn egress_limits(&self) -> EgressLimits {
        EgressLimits {
            head_timeout: Duration::from_secs(self.egress.head_seconds),
            idle_timeout: Duration::from_secs(self.egress.idle_seconds),
            max_request_bytes: (self.max_body_bytes + (16 << 20)) as u64,
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

/// This program, also after an upgrade has put another in its place.
fn own_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        "/proc/self/exe".into()
    } else {
        std::env::current_exe().unwrap_or_default()
    }
}

/// Files and sockets that this process may have open.
fn open_file_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX).clamp(64, 1 << 20)
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
