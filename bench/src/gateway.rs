//! The gateway under test: the real binary, with the models that a tool asks for.

use crate::error::{Context, Fallible};
use crate::rungs::{Adaptor, Model};
use crate::server::{Server, shown};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Guests are compiled before it is ready.
const READY_LIMIT: Duration = Duration::from_secs(180);

/// A gateway that is ready.
pub struct Gateway {
    /// The process.
    pub server: Server,
    /// Where it listens, up to and including `/v1`.
    pub url: String,
    /// A key that opens it.
    pub key: String,
}

/// What to start.
pub struct Start<'a> {
    /// The gateway.
    pub binary: &'a Path,
    /// Where its fixtures, its store and its log go.
    pub dir: &'a Path,
    /// Where the test guests are.
    pub guests: &'a Path,
    /// What it serves.
    pub models: &'a [Model],
    /// Who answers for all of them.
    pub upstream: SocketAddr,
    /// Variables of settings that differ from the defaults.
    pub settings: &'a [(&'static str, String)],
}

/// The file of a guest, or why the model cannot be measured.
pub fn missing_guest(model: &Model, guests: &Path) -> Option<String> {
    let (Adaptor::Guest(file) | Adaptor::Chain(file, _)) = model.adaptor else {
        return None;
    };
    let path = guests.join(file);
    let remedy = "run `just build-guests`, or say where it is with --guests";
    (!path.is_file()).then(|| format!("no guest at {}: {remedy}", path.display()))
}

/// The version the binary reports.
pub fn version(binary: &Path) -> Fallible<String> {
    run(Command::new(binary).arg("--version"))
}

/// Starts a gateway and waits until it is ready.
pub async fn start(start: &Start<'_>) -> Fallible<Gateway> {
    let &Start { binary, dir, settings, .. } = start;
    let (fixtures, data) = (dir.join("fixtures"), dir.join("data"));
    write_fixtures(&fixtures, start)?;
    std::fs::create_dir_all(&data)?;
    let key = run(Command::new(binary).args(["keys", "create", "bench", "--data"]).arg(&data))?;
    let mut command = Command::new(binary);
    command.arg("serve").arg("--fixtures").arg(&fixtures).arg("--data").arg(&data);
    command.args(["--listen", "127.0.0.1:0"]);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    let mut server = Server::start("airlock", command, dir)?;
    let url = server.wait_for(READY_LIMIT, ready_url).await?;
    Ok(Gateway { server, url, key })
}

fn ready_url(printed: &str) -> Option<String> {
    let url = printed.lines().find_map(|line| line.strip_prefix("url="))?;
    printed.lines().any(|line| line == "ready").then(|| url.to_owned())
}

fn write_fixtures(dir: &Path, start: &Start<'_>) -> Fallible<()> {
    let cluster = json!([{"model": "resource_server_async.cluster", "pk": 1, "fields": {
        "cluster_name": "bench",
        "cluster_adapter": "static-cluster",
        "frameworks": ["api"],
        "openai_endpoints": ["chat/completions"],
        "config": {},
    }}]);
    let numbered = start.models.iter().zip(1..);
    let endpoints: Fallible<Vec<Value>> = numbered
        .map(|(model, pk)| Ok(endpoint(pk, model, adaptor(model, start.guests)?, start.upstream)))
        .collect();
    std::fs::create_dir_all(dir).context(|| format!("cannot make {}", dir.display()))?;
    std::fs::write(dir.join("clusters.json"), cluster.to_string())?;
    std::fs::write(dir.join("endpoints.json"), Value::from(endpoints?).to_string())?;
    Ok(())
}

fn endpoint(pk: u32, model: &Model, adaptor: Value, upstream: SocketAddr) -> Value {
    json!({"model": "resource_server_async.endpoint", "pk": pk, "fields": {
        "cluster": "bench",
        "framework": "api",
        "model": model.name,
        "endpoint_adapter": adaptor,
        "config": {"api_url": format!("http://{upstream}{}", model.base)},
        "tpm_model": 0,
        "tpm_user": 0,
    }})
}

fn adaptor(model: &Model, guests: &Path) -> Fallible<Value> {
    let guest = |file: &str| absolute(&guests.join(file));
    Ok(match model.adaptor {
        Adaptor::Named(name) => json!(name),
        Adaptor::Guest(file) => json!(guest(file)?),
        Adaptor::Chain(front, name) => json!([guest(front)?, name]),
    })
}

fn absolute(path: &Path) -> Fallible<PathBuf> {
    path.canonicalize().context(|| format!("cannot find {}", path.display()))
}

/// Runs the binary to its end: what it printed.
pub fn run(command: &mut Command) -> Fallible<String> {
    let output = command.output().context(|| {
        let build = "cargo build --release --bin airlock";
        format!("cannot run `{}`; build it with `{build}`", shown(command))
    })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{}` failed ({}):\n{said}", shown(command), output.status).into())
    }
}
