//! Reports a cluster that has no scheduler to ask: every endpoint of the catalog is a running job,
//! unless the cluster's configuration says otherwise.
//!
//! ```json
//! {"models": {"meta-llama/Llama-3.1-8B": {"status": "stopped", "description": "Back on Monday"}}}
//! ```
//!
//! `status` is `running`, `queued` or `stopped`. `description` and any further field reach the client.

mod report;

use airlock_adaptor::{AdaptorError, ClusterAdaptor, ClusterInfo, Jobs, User};

struct StaticCluster;

impl ClusterAdaptor for StaticCluster {
    fn get_jobs(cluster: ClusterInfo, _user: Option<User>) -> Result<Jobs, AdaptorError> {
        report::jobs(&cluster)
    }
}

airlock_adaptor::export_cluster!(StaticCluster);
