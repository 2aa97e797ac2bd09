//! `airlock adaptor run`, `record` and `replay`, as an author calls them.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::{Airlock, Finished, target_dir};

/// A folder with a configuration, to run adaptors in.
pub struct Desk {
    folder: TempDir,
    env: Vec<(String, String)>,
}

impl Desk {
    /// With this configuration.
    pub fn new(config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        // What is compiled is kept from test to test.
        let cache = target_dir().join("test-cache-home").display().to_string();
        Self { folder, env: vec![("XDG_CACHE_HOME".into(), cache)] }
    }

    /// The same with small limits; of time for those guests alone that do nothing but wait.
    pub fn limited(config: &Value, guest: &str) -> Self {
        let desk =
            Self::new(config).env("AIRLOCK_SANDBOX__CPU_MS", "300").env("AIRLOCK_SANDBOX__MEMORY_MIB", "16");
        if matches!(guest, "sleep" | "rewrite") {
            desk.env("AIRLOCK_SANDBOX__WALL_SECONDS", "1")
        } else {
            desk
        }
    }

    /// The same with a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of a file in it.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    /// Puts a file into it.
    pub fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), text).unwrap();
    }

    /// `airlock adaptor` with these arguments.
    pub async fn adaptor(&self, arguments: &[&str]) -> Finished {
        let all: Vec<&str> = ["adaptor"].into_iter().chain(arguments.iter().copied()).collect();
        let env: Vec<(&str, &str)> = self.env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        Airlock::run_with(self.folder.path(), &all, &env).await
    }

    /// Runs a component.
    pub async fn run(&self, component: &Path, more: &[&str]) -> Finished {
        self.with_config("run", component, more).await
    }

    /// Records a run of it, with the component.
    pub async fn record(&self, component: &Path, more: &[&str]) -> Finished {
        let more: Vec<&str> =
            ["--to", "run.json", "--with-component"].into_iter().chain(more.iter().copied()).collect();
        self.with_config("record", component, &more).await
    }

    /// Plays what was recorded.
    pub async fn replay(&self, more: &[&str]) -> Finished {
        let all: Vec<&str> = ["replay", "run.json"].into_iter().chain(more.iter().copied()).collect();
        self.adaptor(&all).await
    }

    async fn with_config(&self, command: &str, component: &Path, more: &[&str]) -> Finished {
        let component = component.to_str().unwrap();
        let all: Vec<&str> =
            [command, component, "--config", "config.json"].into_iter().chain(more.iter().copied()).collect();
        self.adaptor(&all).await
    }
}
