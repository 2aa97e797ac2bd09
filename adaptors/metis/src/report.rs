//! The manifest as a cluster's report. The names of the fields are those that FIRST's clients read; keys,
//! URLs and ids of endpoints are nobody's business.

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::{Job, Jobs};

use crate::manifest::{Entry, SUCCESS_MS};

/// What FIRST calls the framework of models that are served by an API.
const FRAMEWORK: &str = "api";

/// The cluster's jobs: what is live runs, what is stopped is stopped, and anything else waits.
pub(crate) fn jobs(cluster: &str, entries: &[Entry]) -> Jobs {
    let mut jobs = Jobs::new().cached_for(SUCCESS_MS);
    for entry in entries {
        let (list, status) = match entry.status.as_str() {
            _ if entry.is_live() => (&mut jobs.running, "running".to_owned()),
            "Stopped" => (&mut jobs.stopped, "stopped".to_owned()),
            other => (&mut jobs.queued, other.to_lowercase()),
        };
        list.push(job(cluster, entry, &status));
    }
    jobs.counted(cluster)
}

fn job(cluster: &str, entry: &Entry, status: &str) -> Job {
    let version = match &entry.model_version {
        Value::Null => json!(""),
        version => version.clone(),
    };
    let description = entry.description.as_deref().unwrap_or_default();
    Job::new(cluster, FRAMEWORK, &entry.model)
        .with("Model Status", status)
        .with("Description", format!("{} - {description}", entry.model))
        .with("Model Version", version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use airlock_adaptor::serde_json::from_value;

    fn report(entries: Value) -> Jobs {
        jobs("metis", &from_value::<Vec<Entry>>(entries).unwrap())
    }

    #[test]
    fn live_runs_stopped_is_stopped_and_the_rest_waits() {
        let jobs = report(json!([
            { "model": "a", "status": "Live", "description": "D", "model_version": 4 },
            { "model": "b", "status": "Stopped" },
            { "model": "c", "status": "Maintenance", "model_version": "v2" },
            { "model": "d", "status": "stopped" },
            { "model": "e" },
        ]));
        let names = |list: &[Job]| list.iter().map(|job| job.models.clone()).collect::<Vec<_>>().join(" ");
        assert_eq!(
            [&jobs.running, &jobs.stopped, &jobs.queued].map(|list| names(list)),
            ["a", "b", "c d e"].map(str::to_owned)
        );
        assert_eq!((jobs.running[0].framework.as_str(), jobs.running[0].cluster.as_str()), ("api", "metis"));
        let extras: Vec<&str> =
            jobs.running.iter().chain(&jobs.queued).map(|job| job.extra.as_str()).collect();
        assert_eq!(
            extras,
            [
                r#"{"Model Status":"running","Description":"a - D","Model Version":4}"#,
                r#"{"Model Status":"maintenance","Description":"c - ","Model Version":"v2"}"#,
                r#"{"Model Status":"stopped","Description":"d - ","Model Version":""}"#,
                r#"{"Model Status":"unknown","Description":"e - ","Model Version":""}"#,
            ]
        );
        let status = r#"{"cluster":"metis","live_models":1,"stopped_models":1,"total_models":5}"#;
        assert_eq!((jobs.cluster_status.as_str(), jobs.cache_ms), (status, Some(60_000)));
    }

    #[test]
    fn what_concerns_the_operator_alone_is_not_shown() {
        let entry = json!({ "model": "a", "status": "Live", "url": "https://secret.example/v1",
            "endpoint_id": "secret-id", "key": "secret-key", "experts": ["secret-name"] });
        let shown = format!("{:?}", report(json!([entry])));
        assert!(shown.contains("running") && !shown.contains("secret"), "{shown}");
    }
}
