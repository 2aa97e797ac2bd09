//! Models behind a status manifest: a JSON object at `status_url` that says of each model whether it is
//! live, and perhaps where. One component for the cluster, which reports the manifest, and for its
//! endpoints, which send tasks to models that are live.
//!
//! | key | |
//! |---|---|
//! | `status_url` | required: the manifest |
//! | `api_request_timeout` | of a cluster: seconds to wait for the manifest, 10; of an endpoint: as for `direct-api` |
//! | `api_url` | of an endpoint: where entries without a URL of their own are reached |
//!
//! An endpoint takes all other keys of `direct-api` too.

mod balance;
mod manifest;
mod report;
mod settings;

use airlock_adaptor::{
    AdaptorError, ClusterAdaptor, ClusterInfo, EndpointAdaptor, EndpointInfo, Jobs, Reply, Task, User,
};
use settings::Settings;

struct Metis;

impl ClusterAdaptor for Metis {
    fn get_jobs(cluster: ClusterInfo, _user: Option<User>) -> Result<Jobs, AdaptorError> {
        let source = Settings::of(&cluster)?.source()?;
        Ok(report::jobs(&cluster.name, &manifest::fetch(&source)?))
    }
}

impl EndpointAdaptor for Metis {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        Settings::of(endpoint)?.check(endpoint)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let settings = Settings::of(&endpoint)?;
        let source = settings.source_for_task()?;
        let entries = manifest::known(&source).map_err(|error| unknown(&endpoint, &error))?;
        let urls = balance::urls(&endpoint, &entries, settings.api_url.as_deref())?;
        balance::send(&endpoint, &task, &urls)
    }
}

/// Without a manifest nothing can be said of the model. The cause is in the log, from when it was met.
fn unknown(endpoint: &EndpointInfo, cause: &AdaptorError) -> AdaptorError {
    let message = format!(
        "it cannot be told whether the model `{}` is running: {}; try again in a few seconds",
        endpoint.model, cause.message
    );
    AdaptorError::unavailable("model_status_unknown", message).retry_after(manifest::FAILURE_MS)
}

airlock_adaptor::export_endpoint!(Metis);
airlock_adaptor::export_cluster!(Metis);
