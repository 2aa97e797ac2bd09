//! The two tenants, made as people make them: with the command line.

use crate::backend::{HUGE, SLUGGISH};
use crate::client::Chat;
use crate::error::Fallible;
use crate::gateway;
use crate::stage::{Common, Stage};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a new key may be unknown.
const KEY_LIMIT: Duration = Duration::from_secs(10);
const KEY_PERIOD: Duration = Duration::from_millis(100);

/// What the other tenant's adaptors do.
pub struct Kind {
    /// Its name in reports.
    pub name: &'static str,
    /// The models of these adaptors.
    pub models: &'static [&'static str],
}

/// All of them, and all at once.
pub const KINDS: &[Kind] = &[
    Kind { name: "spinning", models: &["spin"] },
    Kind { name: "memory-hungry", models: &["grow"] },
    Kind { name: "slow upstream", models: &["sluggish"] },
    Kind { name: "huge bodies", models: &["huge"] },
    Kind { name: "all four", models: &["spin", "grow", "sluggish", "huge"] },
];

/// Both tenants.
pub struct Tenants {
    /// What the first one asks.
    pub calm: Chat,
    /// A key of the other one.
    pub rival_key: String,
}

impl Tenants {
    /// Makes them. Backends are `calm` and `rival`.
    pub async fn make(stage: &Stage, common: &Common, calm: SocketAddr, rival: SocketAddr) -> Fallible<Self> {
        let made = Making::on(stage, common).await?;
        let calm = made.calm(calm)?;
        made.push(&common.guests().join("brittle.wasm"))?;
        let one = |model, base, brittle| {
            (model, "brittle", json!({ "api_url": api(rival, base), "brittle": brittle }))
        };
        let rival_key = made.tenant(
            "rival",
            &[
                one("spin", "/v1", "spin"),
                one("grow", "/v1", "grow"),
                one("sluggish", SLUGGISH, ""),
                one("huge", HUGE, ""),
            ],
        )?;
        Ok(Self { calm, rival_key })
    }
}

/// The first tenant by itself; what it asks.
pub async fn calm_alone(stage: &Stage, common: &Common, backend: SocketAddr) -> Fallible<Chat> {
    Making::on(stage, common).await?.calm(backend)
}

fn api(address: SocketAddr, base: &str) -> String {
    format!("http://{address}{base}")
}

fn operator(stage: &Stage, common: &Common) -> Fallible<String> {
    let mut command = Command::new(common.gateway());
    command.args(["keys", "create", "operator", "--role", "operator", "--scope", "read", "--scope", "write"]);
    gateway::run(command.arg("--data").arg(stage.data()))
}

struct Making<'a> {
    stage: &'a Stage,
    binary: &'a Path,
    operator: String,
}

impl<'a> Making<'a> {
    async fn on(stage: &'a Stage, common: &'a Common) -> Fallible<Self> {
        let made = Self { stage, binary: common.gateway(), operator: operator(stage, common)? };
        made.wait_for_key().await?;
        Ok(made)
    }

    /// The first tenant.
    fn calm(&self, backend: SocketAddr) -> Fallible<Chat> {
        let config = json!({ "api_url": api(backend, "/v1") });
        Ok(Chat::new(&self.tenant("calm", &[("m", "direct-api", config)])?, "m", false))
    }

    fn airlock(&self, arguments: &[&str]) -> Fallible<String> {
        let mut command = Command::new(self.binary);
        command
            .env("AIRLOCK_URL", format!("http://{}", self.stage.address))
            .env("AIRLOCK_KEY", &self.operator);
        gateway::run(command.args(arguments))
    }

    /// A gateway that runs knows a new key of its store within a second.
    async fn wait_for_key(&self) -> Fallible<()> {
        let started = Instant::now();
        loop {
            match self.airlock(&["get", "tenants"]) {
                Err(_) if started.elapsed() < KEY_LIMIT => tokio::time::sleep(KEY_PERIOD).await,
                done => return done.map(drop),
            }
        }
    }

    /// A tenant with these models, and a key of it.
    fn tenant(&self, name: &str, models: &[(&str, &str, Value)]) -> Fallible<String> {
        if name != "rival" {
            self.airlock(&["tenant", "create", name])?;
        }
        let mut entries = vec![json!({ "model": "resource_server_async.cluster", "fields": {
            "cluster_name": "c", "cluster_adapter": "static-cluster", "frameworks": ["api"],
            "openai_endpoints": ["chat/completions"],
        }})];
        entries.extend(models.iter().map(|(model, adaptor, config)| {
            json!({ "model": "resource_server_async.endpoint", "fields": {
                "cluster": "c", "framework": "api", "model": model, "endpoint_adapter": adaptor, "config": config,
                "tpm_model": 0, "tpm_user": 0,
            }})
        }));
        let file = self.stage.dir().join(format!("{name}.json"));
        std::fs::write(&file, Value::from(entries).to_string())?;
        self.airlock(&["apply", &file.display().to_string(), "--tenant", name])?;
        let url = format!("http://{}", self.stage.address);
        self.airlock(&["keys", "create", "bench", "--tenant", name, "--url", &url])
    }

    /// The rival, with its adaptor. It behaves at the gate.
    fn push(&self, guest: &Path) -> Fallible<()> {
        self.airlock(&["tenant", "create", "rival"])?;
        let guest = guest.display().to_string();
        self.airlock(&["adaptor", "push", &guest, "--tenant", "rival"]).map(drop)
    }
}
