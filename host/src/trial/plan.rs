//! What is run: components, what they are told, and what they may use.

use std::{sync::Arc, time::Duration};

use airlock_sandbox::{
    Adaptor, Budgets, Cluster, ClusterModel, Data, Egress, Endpoint, EndpointInfo, Grant, Sandbox,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::TaskText;

/// What is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The adaptor; of a chain the middlewares, and last what they stand in front of.
    pub parts: Vec<Part>,
    /// What it is run as.
    pub subject: Subject,
    /// What it may use.
    pub limits: Limits,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What people call it.
    pub name: String,
    /// SHA-256, in hexadecimal.
    pub digest: String,
    /// In bytes.
    pub size: usize,
    /// The component itself, where the recording holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Data>,
}

/// What it is run as, and what it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subject {
    /// An endpoint, with one task.
    Endpoint {
        /// Its unique name.
        slug: String,
        /// Its cluster's name.
        cluster: String,
        /// Its framework's name.
        framework: String,
        /// The backend's name of the model.
        model: String,
        /// Its configuration.
        config: Map<String, Value>,
        /// The task.
        task: TaskText,
    },
    /// A cluster, asked for its jobs.
    Cluster {
        /// Its name.
        name: String,
        /// Its configuration.
        config: Map<String, Value>,
        /// The one model that it is told of.
        model: String,
    },
}

/// What each call may use: those of the gateway's budgets that a run can come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// Wall time, in milliseconds.
    pub wall_ms: u64,
    /// Linear memory.
    pub memory_bytes: usize,
    /// Requests of its own.
    pub outbound_calls: u32,
    /// Log lines and output.
    pub log_bytes: usize,
}

/// Whatever a recording says, a replay takes no more than this.
const MOST: Limits = Limits {
    cpu_ms: 10 * 60 * 1000,
    wall_ms: 60 * 60 * 1000,
    memory_bytes: 1 << 30,
    outbound_calls: 10_000,
    log_bytes: 16 << 20,
};

/// Where a plan is run.
pub struct Stage {
    /// Where instances are made.
    pub sandbox: Sandbox,
    /// The parts, as one component.
    pub adaptor: Arc<Adaptor>,
    /// What it may reach.
    pub grant: Arc<Grant>,
    /// The way out.
    pub egress: Egress,
    /// What the plan's limits are part of.
    pub budgets: Arc<Budgets>,
}

impl Limits {
    /// Of a gateway's budgets.
    pub fn of(budgets: &Budgets) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            cpu_ms: ms(budgets.cpu),
            wall_ms: ms(budgets.wall),
            memory_bytes: budgets.memory_bytes,
            outbound_calls: budgets.outbound_calls,
            log_bytes: budgets.log_bytes,
        }
    }

    fn budgets(&self, usual: &Budgets) -> Arc<Budgets> {
        Arc::new(Budgets {
            cpu: Duration::from_millis(self.cpu_ms.min(MOST.cpu_ms)),
            wall: Duration::from_millis(self.wall_ms.min(MOST.wall_ms)),
            memory_bytes: self.memory_bytes.min(MOST.memory_bytes),
            outbound_calls: self.outbound_calls.min(MOST.outbound_calls),
            log_bytes: self.log_bytes.min(MOST.log_bytes),
            ..usual.clone()
        })
    }
}

impl Subject {
    /// The endpoint's slug, or the cluster's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Endpoint { slug, .. } => slug,
            Self::Cluster { name, .. } => name,
        }
    }
}

impl Plan {
    pub(super) fn endpoint(&self, stage: &Stage) -> Arc<Endpoint> {
        let info = match &self.subject {
            Subject::Endpoint { slug, cluster, framework, model, config, .. } => EndpointInfo {
                slug: slug.as_str().into(),
                cluster: cluster.clone(),
                framework: framework.clone(),
                model: model.clone(),
                config: Value::Object(config.clone()).to_string(),
            },
            Subject::Cluster { name, config, model } => EndpointInfo {
                slug: name.as_str().into(),
                cluster: name.clone(),
                framework: "api".into(),
                model: model.clone(),
                config: Value::Object(config.clone()).to_string(),
            },
        };
        Arc::new(Endpoint {
            sandbox: stage.sandbox.clone(),
            adaptor: Arc::clone(&stage.adaptor),
            info,
            grant: Arc::clone(&stage.grant),
            budgets: self.limits.budgets(&stage.budgets),
            pace: Arc::default(),
            health: Vec::new(),
            meter: None,
        })
    }

    pub(super) fn cluster(&self, stage: &Stage) -> Arc<Cluster> {
        let EndpointInfo { slug, framework, model, config, .. } = self.endpoint(stage).info.clone();
        let told = ClusterModel { slug: slug.to_string(), framework, model, config: config.clone() };
        Arc::new(Cluster {
            sandbox: stage.sandbox.clone(),
            adaptor: Arc::clone(&stage.adaptor),
            name: slug,
            config,
            models: vec![told],
            grant: Arc::clone(&stage.grant),
            budgets: self.limits.budgets(&stage.budgets),
            pace: Arc::default(),
            meter: None,
        })
    }
}
