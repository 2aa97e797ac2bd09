//! A gateway in a process of its own, whose memory can be measured.

use std::future::Future;

use serde_json::Value;
use tempfile::TempDir;

use super::{Airlock, GatewayBuilder, hostile::chat_with, target_dir, within};

/// The real binary, serving.
pub struct GatewayProcess {
    airlock: Airlock,
    url: String,
    key: String,
    http: reqwest::Client,
    _folder: TempDir,
}

impl GatewayBuilder {
    /// Serves the endpoints from the real binary: two workers, eight sandboxes, settings from `env` alone.
    pub async fn start_process(self, env: &[(&str, &str)]) -> GatewayProcess {
        let folder = self.write_only();
        let made = Airlock::run(folder.path(), &["keys", "create", "test", "--data", "data"]).await;
        assert_eq!(made.code, 0, "{made:?}");
        let adaptors = target_dir().join("adaptors").display().to_string();
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", "data", "--adaptors", &adaptors];
        // Guests are not among the bundled adaptors.
        let read = format!("[{:?}]", target_dir().join("guests").display().to_string());
        let all: Vec<_> = [
            ("AIRLOCK_SANDBOX__SLOTS", "8"),
            ("AIRLOCK_WORKERS", "2"),
            ("AIRLOCK_LOG", "off"),
            ("AIRLOCK_PROCESS__READ_PATHS", &read),
        ]
        .into_iter()
        .chain(env.iter().copied())
        .collect();
        let mut airlock = Airlock::start(folder.path(), &arguments, &all);
        let url = airlock.line().await.strip_prefix("url=").expect("its address").to_owned();
        assert_eq!(airlock.line().await, "ready");
        let (key, http) = (made.stdout.trim().to_owned(), reqwest::Client::new());
        GatewayProcess { airlock, url, key, http, _folder: folder }
    }
}

impl GatewayProcess {
    /// A chat with this model.
    pub fn ask(&self, model: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/chat/completions", self.url);
        self.http.post(url).bearer_auth(&self.key).json(&chat_with(model))
    }

    /// A POST with the key.
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let root = self.url.strip_suffix("/v1").unwrap();
        self.http.post(format!("{root}{path}")).bearer_auth(&self.key)
    }

    /// Status and body of a chat with this model.
    pub async fn answer(&self, model: &str) -> (u16, Value) {
        let response = within(self.ask(model).send()).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// How many bytes more than before were resident at the highest point of `work`.
    pub async fn growth<T>(&self, work: impl Future<Output = T>) -> (T, usize) {
        let folder = format!("/proc/{}", self.airlock.id());
        std::fs::write(format!("{folder}/clear_refs"), "5").unwrap(); // the highest point so far is now
        let peak = || {
            let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
        };
        let before = peak();
        let done = work.await;
        (done, peak().saturating_sub(before)) // the kernel counts in batches
    }
}
