//! What is checked of an adaptor that reports what a cluster runs.

use std::{sync::Arc, time::Duration};

use airlock_sandbox::{Cluster, ClusterModel, Fault, Jobs, Meter};
use serde_json::{Map, Value};

use super::{
    LITTLE_PATIENCE, MODEL, PATIENCE, SLUG, Subject,
    backend::{Backend, Script},
    call::gone,
    cost::Costs,
    step,
    verdict::{Stop, judge},
};
use crate::gate::{Busy, report::Report};

const SCRIPTS: [Script; 6] = [
    Script::Well,
    Script::Status(429),
    Script::Status(500),
    Script::Garbage,
    Script::Empty,
    Script::BreaksOff,
];

pub(super) async fn run(subject: &Subject, report: &mut Report) -> Result<(), Busy> {
    let is_whole = step(report, ("jobs", "it says what a cluster runs"), jobs(subject)).await?;
    if is_whole && report.cost.is_none() {
        let mut costs = Costs::new();
        while costs.want_more() {
            let meter = subject.meter();
            drop(ask(subject, Script::Well, PATIENCE, meter.clone()).await);
            costs.add(&meter);
        }
        report.cost = Some(costs.of_one(report.took_ms("compilation")));
    }
    Ok(())
}

async fn jobs(subject: &Subject) -> Result<Vec<String>, Stop> {
    let mut warnings = Vec::new();
    for script in SCRIPTS {
        let when = format!("the jobs of a cluster that {}", script.does());
        let told = ask(subject, script, PATIENCE, subject.meter()).await?;
        let told = told.and_then(|jobs| check(&jobs));
        if let Err(fault) = told {
            let words = judge(&fault, &when)?;
            if script == Script::Well {
                warnings.push(format!("{when}: {words}; it may need more of its configuration (`?config=`)"));
            }
        }
    }
    match ask(subject, Script::Hangs, LITTLE_PATIENCE, subject.meter()).await? {
        // As it should be.
        Ok(_) | Err(Fault::Timeout) => {}
        Err(fault) => drop(judge(&fault, "the jobs of a cluster that never answers")?),
    }
    Ok(warnings)
}

async fn ask(
    subject: &Subject,
    script: Script,
    patience: Duration,
    meter: Meter,
) -> Result<Result<Jobs, Fault>, Stop> {
    let backend = Backend::new(script);
    let egress = subject.egress(&backend, patience);
    let config = Value::Object(subject.config()).to_string();
    let model = ClusterModel {
        slug: SLUG.into(),
        framework: "api".into(),
        model: MODEL.into(),
        config: config.clone(),
    };
    let cluster = Arc::new(Cluster {
        sandbox: subject.sandbox.clone(),
        adaptor: Arc::clone(&subject.adaptor),
        name: "conformance".into(),
        config,
        models: vec![model],
        grant: subject.grant(),
        budgets: subject.budgets(patience),
        pace: Arc::default(),
        meter: Some(meter.clone()),
    });
    let told = cluster.get_jobs(&egress, &SLUG.into(), None).await;
    gone(&meter, "the jobs of a cluster").await?;
    Ok(told)
}

/// Whether what has to be JSON objects is.
fn check(jobs: &Jobs) -> Result<(), Fault> {
    let lists = [&jobs.running, &jobs.queued, &jobs.stopped, &jobs.others];
    let private = [&jobs.private_batch_running, &jobs.private_batch_queued];
    let extras = lists.into_iter().chain(private).flatten().map(|job| ("a job's `extra`", &job.extra));
    for (what, text) in extras.chain([("`cluster-status`", &jobs.cluster_status)]) {
        // Nothing said is nothing wrong.
        if !text.trim().is_empty() && serde_json::from_str::<Map<String, Value>>(text).is_err() {
            return Err(Fault::BadOutput(format!("{what} is not the text of a JSON object")));
        }
    }
    Ok(())
}
