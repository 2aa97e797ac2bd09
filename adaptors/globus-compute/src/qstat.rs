//! What a cluster's queue holds: FIRST's qstat function on a login node, refined by which endpoints are connected.

use airlock_adaptor::serde_json::{self, Map, Value, json};
use airlock_adaptor::{AdaptorError, ClusterInfo, Job, Jobs, serde::Deserialize, warn};

use crate::settings::{ClusterSettings, Service, endpoint_uuid};
use crate::{done, pack, parse};

const TIMEOUT_MS: u32 = 60_000;
/// FIRST's time.
const CACHE_MS: u32 = 60_000;

/// What the function returns: FIRST's lists, two of them with dashes.
#[derive(Debug, Default, Deserialize)]
#[serde(crate = "airlock_adaptor::serde", default)]
struct Queue {
    running: Vec<Map<String, Value>>,
    queued: Vec<Map<String, Value>>,
    stopped: Vec<Map<String, Value>>,
    others: Vec<Map<String, Value>>,
    #[serde(alias = "private-batch-running")]
    private_batch_running: Vec<Map<String, Value>>,
    #[serde(alias = "private-batch-queued")]
    private_batch_queued: Vec<Map<String, Value>>,
    cluster_status: Value,
}

pub(crate) fn jobs(cluster: &ClusterInfo) -> Result<Jobs, AdaptorError> {
    let settings = ClusterSettings::read(cluster)?;
    let service = &settings.service;
    if !service.endpoint(&settings.qstat_endpoint_uuid)?.is_online() {
        let message = format!(
            "the state of the cluster `{}` is not known: its compute endpoint is offline",
            cluster.name
        );
        return Err(AdaptorError::unavailable("cluster_offline", message).retry_after(60_000));
    }
    let id = service.submit(
        &settings.qstat_endpoint_uuid,
        &settings.qstat_function_uuid,
        &pack::arguments(None),
    )?;
    let status = service.wait(&id, TIMEOUT_MS)?;
    let status = status
        .ok_or_else(|| AdaptorError::new(504, "upstream_timeout", "the queue could not be read in time"))?;
    let json = done(&id, &status)?;
    let mut queue = read(&json)?;
    refine(&mut queue, cluster, |uuid| is_connected(service, uuid));
    Ok(report(queue, &cluster.name))
}

fn read(json: &str) -> Result<Queue, AdaptorError> {
    serde_json::from_value(parse(json)).map_err(|error| {
        AdaptorError::bad_upstream(
            "upstream_bad_response",
            format!("the queue is not what was expected: {error}"),
        )
    })
}

/// Whether an endpoint has managers, and so nodes; `None`: it cannot be told.
fn is_connected(service: &Service, uuid: &str) -> Option<bool> {
    match service.endpoint(uuid) {
        Ok(state) => Some(state.is_online() && state.managers() != Some(0)),
        Err(error) => {
            warn!("the endpoint {uuid} could not be asked about: {}", error.message);
            None
        }
    }
}

/// A model's job may run while its endpoint has lost it: such a model answers nobody. One that cannot be asked about
/// stays as the queue has it.
fn refine(queue: &mut Queue, cluster: &ClusterInfo, is_connected: impl Fn(&str) -> Option<bool>) {
    for job in &mut queue.running {
        let text = |key: &str| job.get(key).and_then(Value::as_str).unwrap_or_default();
        if !text("Model Status").eq_ignore_ascii_case("running") {
            continue;
        }
        let first = text("Models").split(',').next().unwrap_or_default().trim();
        let framework = text("Framework");
        let model = cluster.models.iter().find(|model| {
            model.model.eq_ignore_ascii_case(first) && model.framework.eq_ignore_ascii_case(framework)
        });
        let uuid = model.and_then(|model| endpoint_uuid(&model.config));
        if uuid.is_some_and(|uuid| is_connected(&uuid) == Some(false)) {
            job.insert("Model Status".into(), json!("disconnected"));
        }
    }
}

fn report(queue: Queue, cluster: &str) -> Jobs {
    let list = |jobs: Vec<Map<String, Value>>| jobs.into_iter().map(|fields| job(fields, cluster)).collect();
    let mut jobs = Jobs::new().cached_for(CACHE_MS);
    jobs.running = list(queue.running);
    jobs.queued = list(queue.queued);
    jobs.stopped = list(queue.stopped);
    jobs.others = list(queue.others);
    jobs.private_batch_running = list(queue.private_batch_running);
    jobs.private_batch_queued = list(queue.private_batch_queued);
    jobs.with_facts(queue.cluster_status.as_object().cloned().unwrap_or_default())
}

/// A job; one whose submission cannot be read lacks even its names.
fn job(mut fields: Map<String, Value>, cluster: &str) -> Job {
    let mut take = |key: &str| match fields.remove(key) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let (models, framework, named) = (take("Models"), take("Framework"), take("Cluster"));
    let cluster = if named.is_empty() { cluster } else { &named };
    let job = Job::new(cluster, &framework, &models);
    fields.into_iter().fold(job, |job, (field, value)| job.with(&field, value))
}

#[cfg(test)]
mod tests {
    use airlock_adaptor::ModelInfo;

    use super::*;

    const UUID: &str = "6a0f3cde-0000-4000-8000-000000000001";

    fn cluster() -> ClusterInfo {
        let model = ModelInfo {
            slug: "c-vllm-org-m".into(),
            framework: "vllm".into(),
            model: "org/M".into(),
            config: format!("{{\"endpoint_uuid\":\"{UUID}\"}}"),
        };
        ClusterInfo { name: "c".into(), config: "{}".into(), models: vec![model] }
    }

    #[test]
    fn all_lists_and_fields_come_through_and_malformed_jobs_do_no_harm() {
        let json = r#"{"running":[{"Models":"org/m","Framework":"vllm","Cluster":"c","Model Status":"running","Job ID":"7.x",
            "Nodes Reserved":"1"}],"queued":[{"Job ID":"8.x"}],"others":[{"Models":null,"n":1}],
            "private-batch-running":[{"Models":"b","Framework":"vllm","Cluster":"c","Batch ID":"q"}],
            "private-batch-queued":[{"Models":"d"}],"cluster_status":{"free_nodes":-1}}"#;
        let jobs = report(read(json).unwrap(), "c");
        let [running] = jobs.running.as_slice() else { panic!("{:?}", jobs.running) };
        assert_eq!((running.models.as_str(), running.framework.as_str()), ("org/m", "vllm"));
        assert!(
            running.extra.contains(r#""Job ID":"7.x""#) && running.extra.contains(r#""Nodes Reserved":"1""#)
        );
        assert_eq!((jobs.queued[0].models.as_str(), jobs.queued[0].cluster.as_str()), ("", "c"));
        assert_eq!(jobs.others.len(), 1);
        assert_eq!(jobs.private_batch_running[0].models, "b");
        assert_eq!(jobs.private_batch_queued[0].models, "d");
        assert_eq!(jobs.cluster_status, r#"{"free_nodes":-1}"#);
        assert_eq!(jobs.cache_ms, Some(CACHE_MS));
        assert!(read("[1]").is_err() && read("\"text\"").is_err());
    }

    #[test]
    fn a_running_model_whose_endpoint_is_gone_is_disconnected() {
        let with = |status: &str, connected: Option<bool>| {
            let json = format!(
                r#"{{"running":[{{"Models":"org/m,other","Framework":"vllm","Model Status":"{status}"}}]}}"#
            );
            let mut queue = read(&json).unwrap();
            refine(&mut queue, &cluster(), |uuid| {
                assert_eq!(uuid, UUID);
                connected
            });
            queue.running[0]["Model Status"].as_str().unwrap().to_owned()
        };
        assert_eq!(with("running", Some(false)), "disconnected");
        assert_eq!(with("running", Some(true)), "running");
        assert_eq!(with("running", None), "running");
        assert_eq!(with("starting", Some(false)), "starting");
    }
}
