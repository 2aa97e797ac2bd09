//! A cluster's report: jobs with further fields, and the lists that they stand in.
//!
//! ```
//! use airlock_adaptor::{Job, Jobs};
//!
//! let mut jobs = Jobs::new().cached_for(10_000);
//! jobs.running.push(Job::new("cluster", "vllm", "org/model").with("Model Status", "running"));
//! let jobs = jobs.counted("cluster");
//! assert_eq!(jobs.cluster_status, r#"{"cluster":"cluster","live_models":1,"stopped_models":0,"total_models":1}"#);
//! ```

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value, json};

use crate::object::Object;
use crate::{Job, Jobs};

/// What stands for a name that a backend left out.
const UNKNOWN: &str = "N/A";

impl Job {
    /// A job without further fields. `models` is one name, or several with commas between them.
    pub fn new(cluster: &str, framework: &str, models: &str) -> Self {
        Self {
            models: models.to_owned(),
            framework: framework.to_owned(),
            cluster: cluster.to_owned(),
            extra: "{}".to_owned(),
        }
    }

    /// The same with a further field, which reaches the client as it is, in place of one of that name.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        let mut extra = Object::parse(self.extra.as_bytes()).unwrap_or_default();
        extra.set(field, &value.into().to_string());
        self.extra = extra.to_string();
        self
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self::new()
    }
}

impl Jobs {
    /// Six empty lists and no facts; the host asks again each time.
    pub fn new() -> Self {
        Self {
            running: Vec::new(),
            queued: Vec::new(),
            stopped: Vec::new(),
            others: Vec::new(),
            private_batch_running: Vec::new(),
            private_batch_queued: Vec::new(),
            cluster_status: "{}".to_owned(),
            cache_ms: None,
        }
    }

    /// The same, which the host may show to others for a while.
    #[must_use]
    pub fn cached_for(mut self, milliseconds: u32) -> Self {
        self.cache_ms = Some(milliseconds);
        self
    }

    /// The same with facts about the cluster as a whole, in place of those before.
    #[must_use]
    pub fn with_facts(mut self, facts: Map<String, Value>) -> Self {
        self.cluster_status = Value::Object(facts).to_string();
        self
    }

    /// The same with the usual facts: the cluster's name, and how many models there are.
    #[must_use]
    pub fn counted(self, cluster: &str) -> Self {
        let facts = self.counts(cluster);
        self.with_facts(facts)
    }

    /// The usual facts, to add to: the cluster's name, and how many models are in the lists, batches aside.
    pub fn counts(&self, cluster: &str) -> Map<String, Value> {
        let lists = [&self.running, &self.queued, &self.stopped, &self.others];
        let total: usize = lists.into_iter().map(Vec::len).sum();
        let mut facts = Map::new();
        facts.insert("cluster".to_owned(), json!(cluster));
        facts.insert("total_models".to_owned(), json!(total));
        facts.insert("live_models".to_owned(), json!(self.running.len()));
        facts.insert("stopped_models".to_owned(), json!(self.stopped.len()));
        facts
    }
}

/// A report as FIRST's clients read it, and as some backends give it: `{"running": [{"Models", "Framework",
/// "Cluster", …}], …, "cluster_status": {…}}`. What is missing is empty.
impl<'de> Deserialize<'de> for Jobs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Only an object: derived code would take a list of its values too.
        let object = Map::<String, Value>::deserialize(deserializer)?;
        let report: Report = serde_json::from_value(Value::Object(object)).map_err(D::Error::custom)?;
        let jobs = |list: Vec<Entry>| list.into_iter().map(Job::from).collect();
        let lists = Self {
            running: jobs(report.running),
            queued: jobs(report.queued),
            stopped: jobs(report.stopped),
            others: jobs(report.others),
            private_batch_running: jobs(report.private_batch_running),
            private_batch_queued: jobs(report.private_batch_queued),
            ..Self::new()
        };
        Ok(lists.with_facts(report.cluster_status))
    }
}

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    running: Vec<Entry>,
    #[serde(default)]
    queued: Vec<Entry>,
    #[serde(default)]
    stopped: Vec<Entry>,
    #[serde(default)]
    others: Vec<Entry>,
    #[serde(default, alias = "private-batch-running")]
    private_batch_running: Vec<Entry>,
    #[serde(default, alias = "private-batch-queued")]
    private_batch_queued: Vec<Entry>,
    #[serde(default)]
    cluster_status: Map<String, Value>,
}

/// One job. A backend that leaves out a name does not make the whole report unreadable.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Models", default = "unknown")]
    models: String,
    #[serde(rename = "Framework", default = "unknown")]
    framework: String,
    #[serde(rename = "Cluster", default = "unknown")]
    cluster: String,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}

impl From<Entry> for Job {
    fn from(Entry { models, framework, cluster, extra }: Entry) -> Self {
        Self { models, framework, cluster, extra: Value::Object(extra).to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_fields_keep_their_order_and_can_be_replaced() {
        let job =
            Job::new("c", "vllm", "m").with("Model Status", "running").with("A", 1).with("B", Value::Null);
        assert_eq!((job.cluster.as_str(), job.framework.as_str(), job.models.as_str()), ("c", "vllm", "m"));
        assert_eq!(job.extra, r#"{"Model Status":"running","A":1,"B":null}"#);
        assert_eq!(job.with("A", "x\"y").extra, r#"{"Model Status":"running","A":"x\"y","B":null}"#);
    }

    #[test]
    fn models_are_counted_and_facts_added() {
        let mut jobs = Jobs::new().cached_for(7);
        assert_eq!((jobs.cluster_status.as_str(), jobs.cache_ms), ("{}", Some(7)));
        let job = || Job::new("c", "api", "m");
        jobs.running.extend([job(), job(), job()]);
        jobs.queued.push(job());
        jobs.stopped.extend([job(), job()]);
        jobs.others.push(job());
        jobs.private_batch_running.push(job());
        let mut facts = jobs.counts("c");
        let status = jobs.counted("c").cluster_status;
        assert_eq!(status, r#"{"cluster":"c","live_models":3,"stopped_models":2,"total_models":7}"#);
        facts.insert("x".to_owned(), json!(1));
        assert!(Jobs::new().with_facts(facts).cluster_status.ends_with(r#""x":1}"#));
    }

    #[test]
    fn a_report_of_a_backend_is_read() {
        let text = r#"{
            "running": [{"Models": "a,b", "Framework": "vllm", "Cluster": "c", "Job ID": "7", "n": [1]}],
            "queued": [{"Job State": "Q"}], "stopped": [], "unknown": 1,
            "private-batch-running": [{"Models": "d"}], "private_batch_queued": [{"Models": "e"}],
            "cluster_status": {"free_nodes": 3}
        }"#;
        let jobs: Jobs = serde_json::from_str(text).unwrap();
        let [running] = jobs.running.as_slice() else { panic!("{jobs:?}") };
        assert_eq!((running.models.as_str(), running.extra.as_str()), ("a,b", r#"{"Job ID":"7","n":[1]}"#));
        let queued = &jobs.queued[0];
        assert_eq!((queued.models.as_str(), queued.cluster.as_str()), ("N/A", "N/A"));
        assert_eq!((jobs.private_batch_running.len(), jobs.private_batch_queued.len()), (1, 1));
        assert_eq!((jobs.cluster_status.as_str(), jobs.cache_ms), (r#"{"free_nodes":3}"#, None));
        assert!(serde_json::from_str::<Jobs>("[]").is_err());
        assert!(serde_json::from_str::<Jobs>(r#"{"running": {}}"#).is_err());
        assert!(serde_json::from_str::<Jobs>(r#"{"running": [1]}"#).is_err());
    }
}
