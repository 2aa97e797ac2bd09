//! What is reported, from the catalog and the configuration alone.

use std::collections::BTreeMap;

use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::serde_json::{Map, Value};
use airlock_adaptor::{AdaptorError, ClusterInfo, Job, Jobs, ModelInfo, config};

/// How long an answer may be shown to others. Short: it costs less than a millisecond to compute, and
/// what it depends on, catalog and configuration, should show soon after a change.
const CACHE_MS: u32 = 5_000;

/// The cluster's configuration.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Settings {
    #[serde(default)]
    models: BTreeMap<String, Model>,
}

/// What the configuration says of one model.
#[derive(Default, Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Model {
    #[serde(default)]
    status: Status,
    description: Option<String>,
    #[serde(flatten)]
    further: Map<String, Value>,
}

/// Where a model stands.
#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "lowercase")]
enum Status {
    #[default]
    Running,
    Queued,
    Stopped,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Queued => "queued",
            Self::Stopped => "stopped",
        }
    }
}

/// The cluster's jobs.
pub(crate) fn jobs(cluster: &ClusterInfo) -> Result<Jobs, AdaptorError> {
    let Settings { models } = config(cluster)?;
    let assumed = Model::default();
    let mut jobs = Jobs::new().cached_for(CACHE_MS);
    for info in &cluster.models {
        let model = models.get(&info.model).unwrap_or(&assumed);
        let list = match model.status {
            Status::Running => &mut jobs.running,
            Status::Queued => &mut jobs.queued,
            Status::Stopped => &mut jobs.stopped,
        };
        list.push(job(&cluster.name, info, model));
    }
    Ok(jobs.counted(&cluster.name))
}

/// One model as a job. The names of the fields are those that FIRST's clients read.
fn job(cluster: &str, info: &ModelInfo, model: &Model) -> Job {
    let job = Job::new(cluster, &info.framework, &info.model);
    let further = model.further.iter().fold(job, |job, (field, value)| job.with(field, value.clone()));
    let job = further.with("Model Status", model.status.name());
    match &model.description {
        Some(description) => job.with("Description", description.as_str()),
        None => job,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(config: &str, models: &[&str]) -> ClusterInfo {
        let info = |model: &&str| ModelInfo {
            config: "{}".to_owned(),
            slug: format!("c-vllm-{model}"),
            framework: "vllm".to_owned(),
            model: (*model).to_owned(),
        };
        ClusterInfo {
            name: "c".to_owned(),
            config: config.to_owned(),
            models: models.iter().map(info).collect(),
        }
    }

    fn names(jobs: &[Job]) -> Vec<&str> {
        jobs.iter().map(|job| job.models.as_str()).collect()
    }

    #[test]
    fn every_model_of_the_catalog_is_running() {
        let jobs = jobs(&cluster("{}", &["a", "b"])).unwrap();
        assert_eq!((names(&jobs.running), jobs.queued.len(), jobs.stopped.len()), (vec!["a", "b"], 0, 0));
        let first = jobs.running.first().unwrap();
        assert_eq!((first.cluster.as_str(), first.framework.as_str()), ("c", "vllm"));
        assert_eq!(first.extra, r#"{"Model Status":"running"}"#);
        let status = r#"{"cluster":"c","live_models":2,"stopped_models":0,"total_models":2}"#;
        assert_eq!((jobs.cluster_status.as_str(), jobs.cache_ms), (status, Some(5_000)));
    }

    #[test]
    fn the_configuration_moves_and_describes_a_model() {
        let config = r#"{"models":{"b":{"status":"stopped","description":"D","Model Version":"2"},
            "c":{"status":"queued"},"a":{"n":[1]},"elsewhere":{"status":"stopped"}}}"#;
        let jobs = jobs(&cluster(config, &["a", "b", "c"])).unwrap();
        assert_eq!(
            (names(&jobs.running), names(&jobs.queued), names(&jobs.stopped)),
            (vec!["a"], vec!["c"], vec!["b"])
        );
        assert_eq!(jobs.running.first().unwrap().extra, r#"{"n":[1],"Model Status":"running"}"#);
        let stopped = r#"{"Model Version":"2","Model Status":"stopped","Description":"D"}"#;
        assert_eq!(jobs.stopped.first().unwrap().extra, stopped);
        let status = r#"{"cluster":"c","live_models":1,"stopped_models":1,"total_models":3}"#;
        assert_eq!(jobs.cluster_status, status);
    }

    #[test]
    fn an_unknown_status_is_refused() {
        let error = jobs(&cluster(r#"{"models":{"a":{"status":"asleep"}}}"#, &["a"])).map(drop).unwrap_err();
        assert_eq!(error.code, "invalid_config");
        let expected =
            "config key `models`: unknown variant `asleep`, expected one of `running`, `queued`, `stopped`";
        assert_eq!(error.message, expected);
    }
}
