//! `airlock adaptor dev`: build, push to a running gateway, and again whenever a file of the project changes.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use clap::Args;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use serde_json::Value;

use super::named;
use crate::{
    cli::{
        Failure, print,
        remote::{Own, RemoteArgs, config_in, upload},
        say,
    },
    config::Env,
    project::{Project, Quality},
};

/// How long a folder has to be quiet: an editor writes a file in several steps.
const QUIET: Duration = Duration::from_millis(30);

#[derive(Args)]
pub(super) struct DevArgs {
    /// The project's folder
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// The adaptor's name at the gateway [default: the project's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A file with the JSON object that it is configured with while the gate examines it [default: `[config]` of the
    /// project]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Goes on until the process is ended. A build that fails and a push that is refused are told, and the next change
/// mends them.
pub(super) fn run(args: DevArgs, env: &Env) -> Result<(), Failure> {
    let mut project = Project::open(&args.dir).map_err(Failure::new)?;
    let own = args.remote.open(env)?;
    let changes = Changes::watch(&project)?;
    loop {
        match round(&project, &own, &args) {
            Ok(line) => print(line)?,
            Err(Failure(why)) => {
                say(format_args!("error: {}\n(not served; waiting for a change)", why.trim_end()))
            }
        }
        changes.wait()?;
        match Project::open(&args.dir) {
            Ok(read) => project = read,
            Err(error) => {
                say(format_args!("error: {error}\n(adaptor.toml is as it was before, until it is mended)"))
            }
        }
    }
}

/// One build and push; a line that says how long each part took.
fn round(project: &Project, own: &Own, args: &DevArgs) -> Result<String, Failure> {
    let started = Instant::now();
    let component = project.build(Quality::Quick).map_err(Failure::new)?;
    let built = started.elapsed();
    let bytes = std::fs::read(&component).map_err(|e| named(&component, e))?;
    let config = match &args.config {
        Some(file) => config_in(file)?,
        None => project.config().clone(),
    };
    let name = args.name.as_deref().unwrap_or(project.name());
    let told = upload(own, name, bytes, &config)?;
    let pushed = started.elapsed() - built;
    let gate = gate_time(&told);
    let version = told.pointer("/report/digest").and_then(Value::as_str).unwrap_or_default();
    Ok(format!(
        "served {name} {}: build {}, gate {}, upload and rollout {}, together {}",
        version.get(..12).unwrap_or(version),
        shown(built),
        shown(gate),
        shown(pushed.saturating_sub(gate)),
        shown(started.elapsed()),
    ))
}

/// How long the gate took, by its own account.
fn gate_time(told: &Value) -> Duration {
    let checks =
        told.pointer("/report/checks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let took = checks.iter().filter_map(|check| check.get("took_ms").and_then(Value::as_u64));
    Duration::from_millis(took.sum())
}

fn shown(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// What the system tells of changes.
struct Changes {
    events: Receiver<notify::Result<Event>>,
    watched: Vec<PathBuf>,
    _watcher: RecommendedWatcher,
}

impl Changes {
    fn watch(project: &Project) -> Result<Self, Failure> {
        let (tell, events) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(tell).map_err(Failure::new)?;
        let mut watched = Vec::new();
        for path in project.watched() {
            let found = path.canonicalize().map_err(|e| unwatched(&path, e))?;
            // Editors put a new file in the place of the old one: its folder tells.
            let (folder, depth) = match found.parent() {
                Some(folder) if found.is_file() => (folder, RecursiveMode::NonRecursive),
                _ => (found.as_path(), RecursiveMode::Recursive),
            };
            watcher.watch(folder, depth).map_err(|e| unwatched(&path, e))?;
            watched.push(found);
        }
        Ok(Self { events, watched, _watcher: watcher })
    }

    /// Waits for a change, and until nothing more changes.
    fn wait(&self) -> Result<(), Failure> {
        while !self.is_change(&self.events.recv().map_err(Failure::new)?) {}
        loop {
            match self.events.recv_timeout(QUIET) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(error) => return Err(Failure::new(error)),
            }
        }
    }

    /// That somebody reads a file is no change. What could not be told may have been one.
    fn is_change(&self, event: &notify::Result<Event>) -> bool {
        let Ok(event) = event else { return true };
        let is_ours = |path: &PathBuf| self.watched.iter().any(|watched| path.starts_with(watched));
        !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(is_ours)
    }
}

fn unwatched(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(format_args!(
        "{}: cannot be watched: {error}\n  correct `watch` in adaptor.toml",
        path.display()
    ))
}
