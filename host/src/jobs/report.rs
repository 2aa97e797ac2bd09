//! A cluster's state in FIRST's shape, and the part of it that one caller may see.

use std::collections::HashMap;

use airlock_sandbox::{Fault, Job, Jobs};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::routing::Warmth;

/// What a cluster is running: FIRST's `JobsByStatus`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Jobs)]
pub struct Report {
    /// Ready to answer.
    pub running: Vec<Block>,
    /// Waiting to start, or starting.
    pub queued: Vec<Block>,
    /// Known, and not running.
    pub stopped: Vec<Block>,
    /// Jobs that fit no other list.
    pub others: Vec<Block>,
    /// The caller's own batch jobs that run.
    pub private_batch_running: Vec<Block>,
    /// The caller's own batch jobs that wait.
    pub private_batch_queued: Vec<Block>,
    /// Facts about the cluster as a whole.
    pub cluster_status: Map<String, Value>,
}

/// One job, or one model that is ready to be used: FIRST's `JobInfo`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct Block {
    /// Model names, separated by commas.
    #[serde(rename = "Models")]
    pub models: String,
    /// The framework that serves them.
    #[serde(rename = "Framework")]
    pub framework: String,
    /// The cluster's name.
    #[serde(rename = "Cluster")]
    pub cluster: String,
    /// Further fields, as the adaptor gave them.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The fields that the contract has names for: `extra` cannot replace them.
const NAMED: [&str; 3] = ["Models", "Framework", "Cluster"];

impl Report {
    /// Reads what an adaptor reported.
    pub(super) fn read(jobs: Jobs) -> Result<Self, Fault> {
        let blocks = |jobs: Vec<Job>| jobs.into_iter().map(Block::read).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            running: blocks(jobs.running)?,
            queued: blocks(jobs.queued)?,
            stopped: blocks(jobs.stopped)?,
            others: blocks(jobs.others)?,
            private_batch_running: blocks(jobs.private_batch_running)?,
            private_batch_queued: blocks(jobs.private_batch_queued)?,
            cluster_status: object(&jobs.cluster_status, "cluster-status")?,
        })
    }

    /// The models that `may_see` lets pass; a block that loses all of its models is left out.
    #[must_use]
    pub(super) fn only(&self, may_see: impl Fn(&Block, &str) -> bool) -> Self {
        let visible = |blocks: &[Block]| {
            let cut = |block: &Block| {
                let names = block.models.split(',').map(str::trim).filter(|name| !name.is_empty());
                let names: Vec<&str> = names.filter(|name| may_see(block, name)).collect();
                (!names.is_empty()).then(|| Block { models: names.join(","), ..block.clone() })
            };
            blocks.iter().filter_map(cut).collect()
        };
        Self {
            running: visible(&self.running),
            queued: visible(&self.queued),
            stopped: visible(&self.stopped),
            others: visible(&self.others),
            private_batch_running: visible(&self.private_batch_running),
            private_batch_queued: visible(&self.private_batch_queued),
            cluster_status: self.cluster_status.clone(),
        }
    }
}

/// Whether each model runs, by framework and by name.
pub(super) type Warmths = HashMap<String, HashMap<String, Warmth>>;

impl Report {
    /// Where a model stands in several lists, the best counts.
    pub(super) fn warmths(&self) -> Warmths {
        let lists = [
            (Warmth::Stopped, &self.stopped),
            (Warmth::Starting, &self.queued),
            (Warmth::Running, &self.running),
        ];
        let mut warmths = Warmths::new();
        for (warmth, blocks) in lists {
            for block in blocks {
                let names = block.models.split(',').map(str::trim).filter(|name| !name.is_empty());
                let models = warmths.entry(block.framework.clone()).or_default();
                models.extend(names.map(|name| (name.to_owned(), warmth)));
            }
        }
        warmths
    }
}

impl Block {
    fn read(job: Job) -> Result<Self, Fault> {
        let mut extra = object(&job.extra, "job.extra")?;
        extra.retain(|name, _| !NAMED.contains(&name.as_str()));
        Ok(Self { models: job.models, framework: job.framework, cluster: job.cluster, extra })
    }
}

/// `text` as a JSON object; an empty text is an empty one.
fn object(text: &str, field: &str) -> Result<Map<String, Value>, Fault> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|e| Fault::BadOutput(format!("{field} is not one JSON object: {e}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jobs(running: Vec<Job>, cluster_status: &str) -> Jobs {
        Jobs {
            running,
            queued: Vec::new(),
            stopped: Vec::new(),
            others: Vec::new(),
            private_batch_running: Vec::new(),
            private_batch_queued: Vec::new(),
            cluster_status: cluster_status.into(),
            cache_ms: None,
        }
    }

    fn job(models: &str, extra: &str) -> Job {
        Job { models: models.into(), framework: "vllm".into(), cluster: "c".into(), extra: extra.into() }
    }

    #[test]
    fn further_fields_are_unchanged_and_replace_none_of_the_contracts() {
        let extra = r#"{"Model Version":4,"Walltime":null,"Models":"forged","Job":{"Cluster":"x"}}"#;
        let report = Report::read(jobs(vec![job("a", extra)], r#"{"free_nodes":3}"#)).unwrap();
        assert_eq!(
            serde_json::to_value(&report).unwrap(),
            json!({
                "running": [{
                    "Models": "a", "Framework": "vllm", "Cluster": "c",
                    "Model Version": 4, "Walltime": null, "Job": { "Cluster": "x" },
                }],
                "queued": [], "stopped": [], "others": [],
                "private_batch_running": [], "private_batch_queued": [],
                "cluster_status": { "free_nodes": 3 },
            })
        );
    }

    #[test]
    fn what_is_no_object_is_the_adaptors_fault() {
        for (extra, status) in [("[]", ""), ("{", ""), ("", "7"), ("null", "")] {
            let fault = Report::read(jobs(vec![job("a", extra)], status)).unwrap_err();
            assert!(matches!(fault, Fault::BadOutput(_)), "{extra} {status}");
        }
        assert_eq!(Report::read(jobs(vec![job("a", "")], "")).unwrap().running.len(), 1);
    }

    #[test]
    fn a_block_keeps_its_visible_models_and_goes_with_the_last() {
        let report =
            Report::read(jobs(vec![job("a, b ,c", "{\"n\":1}"), job("b", ""), job("", "")], "")).unwrap();
        let cut = report.only(|block, model| block.framework == "vllm" && model != "b");
        let [block] = cut.running.as_slice() else { panic!("{cut:?}") };
        assert_eq!((block.models.as_str(), &block.extra["n"]), ("a,c", &json!(1)));
    }
}
