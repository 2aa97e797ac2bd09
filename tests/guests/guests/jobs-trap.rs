//! Reports no jobs: it traps, or with `config.nonsense` says what is no JSON.

use airlock_adaptor::{AdaptorError, ClusterAdaptor, ClusterInfo, Jobs, User};

struct Broken;

impl ClusterAdaptor for Broken {
    fn get_jobs(cluster: ClusterInfo, _: Option<User>) -> Result<Jobs, AdaptorError> {
        assert!(cluster.config.contains("nonsense"), "there are no jobs");
        Ok(Jobs {
            running: Vec::new(),
            queued: Vec::new(),
            stopped: Vec::new(),
            others: Vec::new(),
            private_batch_running: Vec::new(),
            private_batch_queued: Vec::new(),
            cluster_status: "all is well".into(),
            cache_ms: None,
        })
    }
}

airlock_adaptor::export_cluster!(Broken);
