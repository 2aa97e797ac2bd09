//! Settings and fixtures that are read again while the gateway serves: when SIGHUP comes, and when a file has changed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::signal::unix::{Signal, SignalKind};
use tokio_util::sync::CancellationToken;

use super::{Failure, SettingsArgs};
use crate::{
    config::{DEFAULT_FILE, Env, Settings},
    gateway::Gateway,
};

/// How often files are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// What tells one state of a file from another: its size, and when it was changed.
type Stamp = (u64, Option<SystemTime>);
type Stamps = BTreeMap<PathBuf, Stamp>;

/// Reads settings and fixtures again.
pub(super) struct Reloader {
    args: SettingsArgs,
    env: Env,
    hangup: Signal,
    /// What the files were when they were read last.
    read: Stamps,
}

impl Reloader {
    /// Before the files are read for the first time: what changes from now on is seen. SIGHUP ends nothing any more.
    pub(super) fn new(args: SettingsArgs, env: &Env, settings: &Settings) -> Result<Self, Failure> {
        let hangup = tokio::signal::unix::signal(SignalKind::hangup()).map_err(Failure::new)?;
        let read = stamps(&places(&args, env, settings));
        Ok(Self { args, env: env.clone(), hangup, read })
    }

    /// Until `stop`.
    pub(super) async fn run(mut self, gateway: Arc<Gateway>, stop: CancellationToken) {
        let mut seen = self.read.clone();
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = self.hangup.recv() => true,
                () = tokio::time::sleep(PERIOD) => false,
            };
            let settings = gateway.settings();
            if !is_asked && !settings.watch_files {
                continue;
            }
            let places = places(&self.args, &self.env, &settings);
            // A slow disk keeps no request waiting.
            let now = tokio::task::spawn_blocking(move || stamps(&places)).await.unwrap_or_default();
            // Whoever is still writing is waited for.
            let is_changed = now != self.read && now == seen;
            seen = now;
            if is_asked || is_changed {
                self.read.clone_from(&seen);
                self.reload(&gateway).await;
            }
        }
    }

    async fn reload(&self, gateway: &Gateway) {
        let settings = match self.args.load(&self.env) {
            Ok(settings) => settings,
            Err(Failure(error)) => {
                return refused(&Failure::to_load(error, gateway.settings().process.confine).0);
            }
        };
        let confine = settings.process.confine;
        match gateway.reload(settings).await {
            Ok(fixed) => {
                tracing::info!("settings and fixtures were read again");
                if !fixed.is_empty() {
                    let names = fixed.join(", ");
                    tracing::warn!(names, "these settings have changed and count from the next start on");
                }
            }
            Err(error) => refused(&Failure::to_load(error, confine).0),
        }
    }
}

/// The settings file, the folder of fixtures, and that of the bundled adaptors.
fn places(args: &SettingsArgs, env: &Env, settings: &Settings) -> [PathBuf; 3] {
    let file = args.file(env).unwrap_or_else(|| DEFAULT_FILE.into());
    [file, settings.fixtures.clone(), settings.adaptors_dir()]
}

fn stamps([file, fixtures, adaptors]: &[PathBuf; 3]) -> Stamps {
    let inside = [fixtures, adaptors].into_iter().flat_map(|folder| files_in(folder));
    let files = inside.chain([file.clone()]);
    files.filter_map(|file| stamp(&file).map(|stamp| (file, stamp))).collect()
}

fn refused(error: &str) {
    tracing::error!(error, "settings and fixtures were not read again; what was read before goes on");
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_read = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "json" || kind == "wasm");
    entries.map(|entry| entry.path()).filter(is_read).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(file).ok()?;
    Some((found.len(), found.modified().ok()))
}
