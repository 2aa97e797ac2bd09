//! What the server serves, against what the catalog lists.

use airlock_adaptor::serde_json::json;
use airlock_adaptor::{ClusterInfo, Job, Jobs};

/// How long an answer may be shown to others.
const CACHE_MS: u32 = 10_000;

/// The framework of a model that the catalog does not list, where the cluster has several.
const FRAMEWORK: &str = "api";

/// The cluster's jobs. `served` is what the server lists, and none where it is down.
pub(crate) fn jobs(cluster: &ClusterInfo, served: Option<&[String]>) -> Jobs {
    let mut jobs = Jobs::new().cached_for(CACHE_MS);
    let running = served.unwrap_or_default();
    let job = |framework: &str, model: &str, status: &str| {
        Job::new(&cluster.name, framework, model).with("Model Status", status)
    };
    for info in &cluster.models {
        if running.contains(&info.model) {
            jobs.running.push(job(&info.framework, &info.model, "running"));
        } else {
            jobs.stopped.push(job(&info.framework, &info.model, "stopped"));
        }
    }
    for model in running {
        if !jobs.running.iter().any(|job| job.models == *model) {
            jobs.running.push(job(framework(cluster), model, "running"));
        }
    }
    let mut facts = jobs.counts(&cluster.name);
    facts.insert("status".to_owned(), json!(if served.is_some() { "running" } else { "unavailable" }));
    jobs.with_facts(facts)
}

/// The framework of all models of the catalog.
fn framework(cluster: &ClusterInfo) -> &str {
    match cluster.models.as_slice() {
        [first, rest @ ..] if rest.iter().all(|info| info.framework == first.framework) => &first.framework,
        _ => FRAMEWORK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use airlock_adaptor::ModelInfo;

    fn cluster(models: &[(&str, &str)]) -> ClusterInfo {
        let info = |(framework, model): &(&str, &str)| ModelInfo {
            config: "{}".to_owned(),
            slug: format!("c-{framework}-{model}"),
            framework: (*framework).to_owned(),
            model: (*model).to_owned(),
        };
        ClusterInfo {
            name: "c".to_owned(),
            config: "{}".to_owned(),
            models: models.iter().map(info).collect(),
        }
    }

    fn shown(list: &[Job]) -> Vec<String> {
        list.iter().map(|job| format!("{} {} {}", job.framework, job.models, job.extra)).collect()
    }

    #[test]
    fn what_is_served_runs_and_what_is_not_is_stopped() {
        let served = ["new", "b", "b"].map(str::to_owned);
        let jobs = jobs(&cluster(&[("vllm", "a"), ("vllm", "b")]), Some(&served));
        let status = |status| format!(r#"{{"Model Status":"{status}"}}"#);
        let running = ["b", "new"].map(|model| format!("vllm {model} {}", status("running")));
        assert_eq!(shown(&jobs.running), running);
        assert_eq!(shown(&jobs.stopped), [format!("vllm a {}", status("stopped"))]);
        let facts =
            r#"{"cluster":"c","live_models":2,"status":"running","stopped_models":1,"total_models":3}"#;
        assert_eq!((jobs.cluster_status.as_str(), jobs.cache_ms), (facts, Some(10_000)));
    }

    #[test]
    fn of_a_server_that_is_down_everything_is_stopped() {
        let jobs = jobs(&cluster(&[("vllm", "a"), ("sglang", "b")]), None);
        assert_eq!((jobs.running.len(), jobs.stopped.len()), (0, 2));
        assert!(jobs.cluster_status.contains(r#""status":"unavailable""#), "{}", jobs.cluster_status);
    }

    #[test]
    fn a_new_model_has_the_clusters_framework_where_there_is_one() {
        let served = ["new".to_owned()];
        let of = |models: &[(&str, &str)]| jobs(&cluster(models), Some(&served)).running[0].framework.clone();
        assert_eq!(of(&[("vllm", "a"), ("vllm", "b")]), "vllm");
        assert_eq!(of(&[("vllm", "a"), ("sglang", "b")]), "api");
        assert_eq!(of(&[]), "api");
    }
}
