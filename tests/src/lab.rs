//! Endpoints without a gateway around them: with a tenant, a resolver and an address policy of the test's own.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use airlock_sandbox::{
    AddressPolicy, Answer, Budgets, CacheKey, CacheSettings, CompileLimits, CompilerSettings,
    ConnectSettings, Connector, Egress, EgressLimits, Endpoint, EndpointInfo, Fault, Grant, Operation,
    Origin, Resolve, Resolving, Sandbox, SandboxSettings, Task, Tenant,
};
use serde_json::{Value, json};

use super::{binary_path, chat_body, target_dir};

/// A sandbox with a way out.
pub struct Lab {
    /// Where adaptors run.
    pub sandbox: Sandbox,
    /// How connections are made.
    pub connector: Connector,
    /// The way out.
    pub egress: Egress,
}

/// A compiler as the gateway's, with the cache of all tests.
pub fn compiler() -> CompilerSettings {
    CompilerSettings {
        program: binary_path(),
        limits: CompileLimits::default(),
        cache: Some(CacheSettings {
            folder: target_dir().join("test-cache"),
            key: CacheKey([0x55; 32]),
            max_bytes: 2 << 30,
        }),
    }
}

impl Lab {
    /// Eight slots, the system's resolver.
    pub fn new() -> Self {
        Self::with(ConnectSettings::default())
    }

    /// The same with other connections.
    pub fn with(connect: ConnectSettings) -> Self {
        let settings =
            SandboxSettings { slots: 8, max_memory_bytes: 64 << 20, compiler: compiler(), callbacks: None };
        let sandbox = Sandbox::new(&settings).unwrap();
        let connector = Connector::new(&connect).unwrap();
        let egress = Egress::new(connector.clone(), EgressLimits::default());
        Self { sandbox, connector, egress }
    }

    /// An endpoint that may reach the origin of its `api_url`.
    pub async fn endpoint(
        &self,
        adaptor: &Path,
        config: Value,
        tenant: &Arc<Tenant>,
        policy: AddressPolicy,
    ) -> Arc<Endpoint> {
        let bytes = std::fs::read(adaptor).unwrap();
        let origin = config["api_url"].as_str().map(|url| Origin::parse(url).unwrap());
        Arc::new(Endpoint {
            sandbox: self.sandbox.clone(),
            adaptor: Arc::new(self.sandbox.load("lab", &bytes).await.unwrap()),
            info: EndpointInfo {
                slug: "c-api-m".into(),
                cluster: "c".into(),
                framework: "api".into(),
                model: "m".into(),
                config: config.to_string(),
            },
            grant: Arc::new(Grant::new(Arc::clone(tenant), policy, origin.into_iter().collect(), Vec::new())),
            budgets: Arc::new(Budgets::default()),
            pace: Arc::default(),
            meter: None,
            health: Vec::new(),
        })
    }

    /// A chat with an endpoint.
    pub async fn chat(&self, endpoint: &Arc<Endpoint>) -> Result<Answer, Fault> {
        endpoint.run(&self.egress, &chat_task()).await
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

/// A chat that is not streamed.
pub fn chat_task() -> Arc<Task> {
    Arc::new(Task {
        id: "lab".into(),
        operation: Operation::ChatCompletions,
        model: "m".into(),
        stream: false,
        user: None,
        body: json!(chat_body(false)).to_string().into(),
        form: None,
        headers: http::HeaderMap::new(),
    })
}

/// A resolver with a script: each look-up of a name gets the next of its answers, the last one for ever.
#[derive(Clone, Default)]
pub struct Names(Arc<Mutex<HashMap<String, Script>>>);

#[derive(Default)]
struct Script {
    answers: Vec<Vec<IpAddr>>,
    asked: usize,
}

impl Names {
    /// Answers for one name more.
    #[must_use]
    pub fn with(self, name: &str, answers: &[&[&str]]) -> Self {
        let answers =
            answers.iter().map(|answer| answer.iter().map(|a| a.parse().unwrap()).collect()).collect();
        self.0.lock().unwrap().insert(name.to_owned(), Script { answers, asked: 0 });
        self
    }

    /// How often a name was looked up.
    pub fn asked(&self, name: &str) -> usize {
        self.0.lock().unwrap()[name].asked
    }
}

impl Resolve for Names {
    fn resolve(&self, host: &str) -> Resolving {
        let mut names = self.0.lock().unwrap();
        let answer = names.get_mut(host).map(|script| {
            let answer = script.answers[script.asked.min(script.answers.len() - 1)].clone();
            script.asked += 1;
            answer
        });
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}
