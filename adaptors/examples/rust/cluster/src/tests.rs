//! Natively, before a backend that is a closure: `cargo test`.

use airlock_adaptor::serde_json::json;
use airlock_adaptor::testing::{Answer, Backend, cluster};

use super::CustomCluster;

#[test]
fn the_backends_report_is_handed_on() {
    let running = json!({ "Models": "m", "Framework": "vllm", "Cluster": "c", "Job ID": "7" });
    let backend = Backend::new(move |_| Answer::json(&json!({ "running": [&running] })));
    let jobs = backend.jobs::<CustomCluster>(cluster(json!({ "status_url": "http://backend/jobs" })));
    let jobs = jobs.expect("a report");
    assert_eq!((jobs.running[0].models.as_str(), jobs.cache_ms), ("m", Some(30_000)));
    assert_eq!(jobs.running[0].extra, r#"{"Job ID":"7"}"#);
}

#[test]
fn a_backend_that_is_away_is_told() {
    let backend = Backend::new(|_| Answer::unreachable());
    let error = backend.jobs::<CustomCluster>(cluster(json!({ "status_url": "http://backend/jobs" })));
    let error = error.expect_err("no report");
    assert_eq!((error.status, error.code.as_str()), (502, "upstream_unreachable"));
}
