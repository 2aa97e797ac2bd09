//! A real gateway in the test's process.

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use airlock::{
    config::{Env, Settings},
    gateway::Gateway,
    server,
    store::Store,
};
use airlock_sandbox::{ConnectSettings, Connector, Egress, EgressLimits, Fault, Jobs, Operation};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Database, Recorder, target_dir};

/// A gateway that is about to start.
pub struct GatewayBuilder {
    endpoints: Vec<Value>,
    federated: Vec<Value>,
    operations: Vec<&'static str>,
    cluster: Value,
    files: Vec<(String, String)>,
    env: Env,
    settings: Settings,
    /// The data folder of another gateway.
    beside: Option<PathBuf>,
}

/// A gateway that serves. Dropping it stops it.
pub struct TestGateway {
    /// Where it listens.
    pub address: SocketAddr,
    /// A valid key.
    pub key: String,
    /// What it recorded.
    pub ledger: Recorder,
    /// The gateway itself, for its gauges.
    pub gateway: Arc<Gateway>,
    /// Its store, which other processes would share.
    pub store: Store,
    http: reqwest::Client,
    server: Option<JoinHandle<std::io::Result<()>>>,
    stop: CancellationToken,
    _stop: DropGuard,
    folder: TempDir,
}

impl TestGateway {
    /// Cluster `c` with framework `api`, one worker, eight sandboxes; endpoints are added by the test.
    pub fn builder() -> GatewayBuilder {
        let mut settings = Settings {
            workers: 1,
            unready_seconds: 0,
            drain_seconds: 5,
            adaptors: Some(target_dir().join("adaptors")),
            ..Settings::default()
        };
        settings.compile.program = Some(super::binary_path());
        settings.compile.cache = Some(target_dir().join("test-cache"));
        settings.sandbox.slots = 8;
        GatewayBuilder {
            endpoints: Vec::new(),
            federated: Vec::new(),
            operations: vec!["chat/completions", "completions", "embeddings"],
            cluster: json!({}),
            files: Vec::new(),
            env: Env::default(),
            settings,
            beside: None,
        }
    }

    /// One endpoint `m`, with this adaptor and config.
    pub async fn with(adaptor: impl AsRef<Path>, config: Value) -> Self {
        Self::builder().endpoint("m", adaptor, config).start().await
    }

    /// An absolute URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request with the key.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse::<http::Method>().unwrap();
        self.http.request(method, self.url(path)).bearer_auth(&self.key)
    }

    /// A request without the key.
    pub fn anonymous(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), self.url(path))
    }

    /// A POST of JSON with the key.
    pub fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.request("POST", path).json(body)
    }

    /// A chat with model `m`.
    pub fn chat(&self) -> reqwest::RequestBuilder {
        self.post("/v1/chat/completions", &chat_body(false))
    }

    /// A streamed chat with model `m`.
    pub fn chat_stream(&self) -> reqwest::RequestBuilder {
        self.post("/v1/chat/completions", &chat_body(true))
    }

    /// The folder of its store, for other processes.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Waits until no sandbox is alive any more.
    #[track_caller]
    pub fn idle(&self) -> impl Future<Output = std::time::Duration> {
        super::eventually(|| self.live_instances() == 0)
    }

    /// Sandboxes that are alive.
    pub fn live_instances(&self) -> usize {
        self.gateway.sandbox().live_instances()
    }

    /// Asks the adaptor of cluster `c` what it runs.
    pub async fn jobs(&self, request_id: &str) -> Result<Jobs, Fault> {
        let connector = Connector::new(&ConnectSettings::default()).unwrap();
        let egress = Egress::new(connector, EgressLimits::default());
        let catalog = self.gateway.catalog("default");
        let cluster = &catalog.cluster("c").expect("cluster c").adaptor;
        super::within(cluster.get_jobs(&egress, &request_id.into(), None)).await
    }

    /// Gives the signal to stop; open requests may finish.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stopped.
    pub async fn stopped(&mut self) {
        let server = self.server.take().expect("stopped once");
        super::within(server).await.unwrap().unwrap();
    }
}

/// A chat with model `m`.
pub fn chat_body(stream: bool) -> Value {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    if stream {
        body["stream"] = json!(true);
    }
    body
}

/// What an operation that takes JSON needs, for model `m`.
pub fn least_body(operation: Operation) -> Value {
    let (model, messages) = ("m", json!([{ "role": "user", "content": "hi" }]));
    match operation {
        Operation::Messages => json!({ "model": model, "max_tokens": 9, "messages": messages }),
        Operation::ChatCompletions | Operation::CountTokens => {
            json!({ "model": model, "messages": messages })
        }
        Operation::Completions | Operation::ImageGenerations => json!({ "model": model, "prompt": "x" }),
        Operation::Embeddings | Operation::Responses | Operation::Moderations => {
            json!({ "model": model, "input": "x" })
        }
        Operation::Rerank => json!({ "model": model, "query": "x", "documents": ["y"] }),
        Operation::Speech => json!({ "model": model, "input": "x", "voice": "y" }),
        // These take forms.
        Operation::ImageEdits
        | Operation::ImageVariations
        | Operation::Transcriptions
        | Operation::Translations => json!({ "model": model }),
    }
}

impl GatewayBuilder {
    /// An endpoint of cluster `c`, without the limits that endpoints usually have: an adaptor's bundled name, or the path of
    /// a component.
    #[must_use]
    pub fn endpoint(mut self, model: &str, adaptor: impl AsRef<Path>, config: Value) -> Self {
        self.endpoints.push(json!({
            "model": "resource_server_async.endpoint",
            "pk": self.endpoints.len() + 1,
            "fields": {
                "cluster": "c", "framework": "api", "model": model,
                "endpoint_adapter": adaptor.as_ref(), "config": config, "tpm_model": 0, "tpm_user": 0,
            },
        }));
        self
    }

    /// Further fields of the endpoint that was added last.
    #[must_use]
    pub fn fields(mut self, fields: Value) -> Self {
        let last = self.endpoints.last_mut().expect("an endpoint")["fields"].as_object_mut().unwrap();
        last.extend(fields.as_object().unwrap().clone());
        self
    }

    /// A federated endpoint over models of cluster `c`.
    #[must_use]
    pub fn federated(mut self, name: &str, models: &[&str]) -> Self {
        let targets: Vec<Value> = models
            .iter()
            .map(|model| {
                let slug = airlock::fixtures::endpoint_slug("c", "api", model);
                json!({ "cluster": "c", "framework": "api", "model": model, "endpoint_slug": slug })
            })
            .collect();
        self.federated.push(json!({
            "model": "resource_server.federatedendpoint",
            "pk": self.federated.len() + 1,
            "fields": {
                "name": name, "slug": airlock::fixtures::slugify(name), "target_model_name": name,
                "description": "", "targets": targets,
            },
        }));
        self
    }

    /// What cluster `c` offers.
    #[must_use]
    pub fn operations(mut self, operations: &[&'static str]) -> Self {
        self.operations = operations.to_vec();
        self
    }

    /// Further fields of cluster `c`.
    #[must_use]
    pub fn cluster(mut self, fields: Value) -> Self {
        self.cluster = fields;
        self
    }

    /// A fixture file, in the place of the one that would be written under this name.
    #[must_use]
    pub fn file(mut self, name: &str, text: impl Into<String>) -> Self {
        self.files.push((name.to_owned(), text.into()));
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env = self.env.with(name, value);
        self
    }

    /// Keeps its store there; a folder of its own where it is a file.
    #[must_use]
    pub fn database(mut self, database: &Database) -> Self {
        self.settings.database = database.url().cloned();
        self
    }

    /// Keeps its store where another gateway has it.
    #[must_use]
    pub fn beside(mut self, other: &TestGateway) -> Self {
        self.settings.database = other.gateway.settings().database.clone();
        self.beside = Some(other.data());
        self
    }

    /// Changes settings.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Writes the fixtures, as `fixtures/` in a folder of the test's own.
    fn write(&mut self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let fixtures = folder.path().join("fixtures");
        std::fs::create_dir(&fixtures).unwrap();
        let mut cluster = json!([{
            "model": "resource_server_async.cluster", "pk": 1,
            "fields": {
                "cluster_name": "c", "cluster_adapter": "static-cluster", "frameworks": ["api"],
                "openai_endpoints": self.operations, "config": {},
            },
        }]);
        let further = self.cluster.as_object().unwrap().clone();
        cluster[0]["fields"].as_object_mut().unwrap().extend(further);
        let write = |name: &str, value: &Value| {
            std::fs::write(fixtures.join(name), format!("{value:#}")).unwrap();
        };
        write("clusters.json", &cluster);
        write("endpoints.json", &Value::Array(self.endpoints.clone()));
        if !self.federated.is_empty() {
            write("federated_endpoints.json", &Value::Array(self.federated.clone()));
        }
        for (name, text) in &self.files {
            std::fs::write(fixtures.join(name), text).unwrap();
        }
        self.settings.fixtures = fixtures;
        self.settings.data = self.beside.clone().unwrap_or_else(|| folder.path().join("data"));
        folder
    }

    /// Only writes the fixtures, for the binary.
    pub fn write_only(mut self) -> TempDir {
        self.write()
    }

    /// Starts it; `Err` says what an operator would read.
    pub async fn try_start(mut self) -> Result<TestGateway, String> {
        let folder = self.write();
        let store = Store::open(&self.settings).await.map_err(|e| e.to_string())?;
        Store::make_folder(&self.settings.data).unwrap();
        // One key for all tests, so that what one has compiled the next one finds.
        std::fs::write(self.settings.data.join("adaptor-cache.key"), "5".repeat(64)).unwrap();
        let name =
            self.beside.as_ref().map_or_else(|| "test".to_owned(), |_| uuid::Uuid::new_v4().to_string());
        let key = store.create_key(&airlock::store::KeyOrder::named(&name)).await.unwrap().secret;
        let ledger = Recorder::default();
        let gateway = Gateway::assemble(self.settings, &self.env, &store, Arc::new(ledger.clone()));
        let gateway = Box::pin(gateway).await.map_err(|e| e.to_string())?;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        gateway.start_following(store.clone(), &stop);
        let server = tokio::spawn(server::serve(Arc::clone(&gateway), listener, stop.clone()));
        Ok(TestGateway {
            address,
            key,
            ledger,
            gateway,
            store,
            http: reqwest::Client::new(),
            server: Some(server),
            _stop: stop.clone().drop_guard(),
            stop,
            folder,
        })
    }

    /// Starts it.
    pub async fn start(self) -> TestGateway {
        self.try_start().await.unwrap_or_else(|error| panic!("the gateway did not start:\n{error}"))
    }
}
