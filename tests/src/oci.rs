//! A real OCI registry for one test, and what is pushed to it. The server is Debian's `docker-registry`; pushes are the
//! requests of the distribution specification, made by the kit itself.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::within;

/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The config and the layer of a component.
pub const WASM: [&str; 2] = ["application/vnd.wasm.config.v0+json", "application/wasm"];
/// Who may use a private registry: user and password.
pub const ACCOUNT: &str = "ci:pa:ss-4711";
/// The same as its server keeps it.
const HTPASSWD: &str = "ci:$2b$04$abcdefghijklmnopqrstuuiU1eoKQf6g/RW17VoA4x4cHQcMbcXG6\n";
/// The shell that holds the server: it ends it when nobody holds the shell's input any more.
const GUARD: &str = r#"cd /; "$@" 2>&1 & server=$!; read -r _; kill -9 $server; rm -rf "$0""#;

/// A registry server. Dropping it ends it, and so does the end of the process.
pub struct OciRegistry {
    /// Where it listens.
    pub address: SocketAddr,
    is_private: bool,
    guard: Child,
    _folder: TempDir,
}

/// One part of an artifact.
#[derive(Debug, Clone)]
pub struct Blob {
    media_type: String,
    bytes: Vec<u8>,
    annotations: Value,
}

impl Blob {
    /// Bytes of a media type.
    pub fn new(media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { media_type: media_type.to_owned(), bytes: bytes.into(), annotations: json!({}) }
    }

    /// With one annotation.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.annotations[key] = json!(value);
        self
    }

    /// What a manifest says of it.
    pub fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type, "digest": digest(&self.bytes), "size": self.bytes.len(),
            "annotations": self.annotations,
        })
    }
}

/// `sha256:…`
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A manifest, as it is pushed.
pub fn manifest(config: &Blob, layers: &[Blob]) -> String {
    let layers: Vec<Value> = layers.iter().map(Blob::descriptor).collect();
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": layers })
        .to_string()
}

/// Config and layer of a component, as `wkg` pushes them.
pub fn component(bytes: impl Into<Vec<u8>>) -> [Blob; 2] {
    [Blob::new(WASM[0], "{}"), Blob::new(WASM[1], bytes)]
}

impl OciRegistry {
    /// One for everybody. `None`: there is no such server here, and that was said.
    pub fn start() -> Option<Self> {
        Self::run(false)
    }

    /// One that wants [`ACCOUNT`].
    pub fn start_private() -> Option<Self> {
        Self::run(true)
    }

    fn run(is_private: bool) -> Option<Self> {
        let program = std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join("docker-registry"))
            .find(|program| program.is_file());
        let Some(program) = program else {
            missing();
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut config = json!({
            "version": "0.1", "log": { "level": "info" }, "http": { "addr": "127.0.0.1:0" },
            "storage": { "filesystem": { "rootdirectory": path("data") } },
        });
        if is_private {
            std::fs::write(path("htpasswd"), HTPASSWD).unwrap();
            config["auth"] = json!({ "htpasswd": { "realm": "tests", "path": path("htpasswd") } });
        }
        std::fs::write(path("config.yml"), config.to_string()).unwrap(); // JSON is YAML
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, &folder.path().display().to_string()]).arg(program);
        command.args(["serve", &path("config.yml")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = command.spawn().unwrap();
        let mut lines = BufReader::new(guard.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("no registry:\n{}", said.join("\n")) };
            let address = line.split("listening on ").nth(1).and_then(|rest| rest.split(['"', ' ']).next());
            match address {
                Some(address) => break address.parse().unwrap(),
                None => said.push(line),
            }
        };
        // Somebody has to read what it says, or it stalls.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { address, is_private, guard, _folder: folder })
    }

    /// A reference to a version of a repository.
    pub fn reference(&self, name: &str, tag: &str) -> String {
        format!("{}/{name}:{tag}", self.address)
    }

    /// Pushes an artifact under a tag; the digest of its manifest.
    pub async fn push(&self, name: &str, tag: &str, config: &Blob, layers: &[Blob]) -> String {
        for blob in layers.iter().chain([config]) {
            self.push_blob(name, blob).await;
        }
        self.push_manifest(name, tag, MANIFEST, manifest(config, layers)).await
    }

    /// Pushes a manifest of any kind; its digest.
    pub async fn push_manifest(&self, name: &str, tag: &str, media_type: &str, manifest: String) -> String {
        let pushed = digest(manifest.as_bytes());
        let request = self.request("PUT", &format!("{}/manifests/{tag}", self.url(name)));
        let done = within(request.header("content-type", media_type).body(manifest).send()).await.unwrap();
        assert_eq!(done.status(), 201, "{}", done.text().await.unwrap());
        pushed
    }

    async fn push_blob(&self, name: &str, blob: &Blob) {
        let begun = self.request("POST", &format!("{}/blobs/uploads/", self.url(name)));
        let begun = within(begun.send()).await.unwrap();
        assert_eq!(begun.status(), 202);
        let mut place = url::Url::parse(begun.headers()["location"].to_str().unwrap()).unwrap();
        place.query_pairs_mut().append_pair("digest", &digest(&blob.bytes));
        let done = within(self.request("PUT", place.as_str()).body(blob.bytes.clone()).send()).await.unwrap();
        assert_eq!(done.status(), 201, "{}", done.text().await.unwrap());
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}/v2/{name}", self.address)
    }

    fn request(&self, method: &str, url: &str) -> reqwest::RequestBuilder {
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        let (user, password) = ACCOUNT.split_once(':').unwrap();
        if self.is_private { request.basic_auth(user, Some(password)) } else { request }
    }
}

impl Drop for OciRegistry {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// On CI it is a mistake that there is none; elsewhere it is said past libtest, which hides what passing tests say.
fn missing() {
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!ci, "there is no docker-registry on this machine: run scripts/registry");
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: a test on docker-registry, which is missing: run scripts/registry"
    );
}
