//! A cluster whose backend can say what it runs: fetches the report, and hands it on.

use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, ClusterAdaptor, ClusterInfo, Jobs, User, config, upstream};

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Config {
    status_url: String,
}

struct CustomCluster;

impl ClusterAdaptor for CustomCluster {
    fn get_jobs(cluster: ClusterInfo, _user: Option<User>) -> Result<Jobs, AdaptorError> {
        let Config { status_url } = config(&cluster)?;
        let jobs: Jobs = upstream::get_json("the cluster's status", &status_url, 10_000)?;
        Ok(jobs.cached_for(30_000))
    }
}

airlock_adaptor::export_cluster!(CustomCluster);

#[cfg(test)]
mod tests;
