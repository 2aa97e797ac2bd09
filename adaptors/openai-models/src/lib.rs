//! Reports a cluster that is one OpenAI-compatible server, such as vLLM: it runs what the server lists.
//!
//! | key | |
//! |---|---|
//! | `api_url` | required: as for `direct-api`; `/v1` may be left out |
//! | `health_url` | answers 200 while the server is well; `/health` of the server |
//! | `api_request_timeout` | seconds to wait for each answer; 10 |
//! | `api_key_env_name` | names the key, which the gateway adds to requests to the origin of `api_url` |

mod report;
mod server;

use airlock_adaptor::{AdaptorError, ClusterAdaptor, ClusterInfo, Jobs, User};
use server::Server;

struct OpenAiModels;

impl ClusterAdaptor for OpenAiModels {
    fn get_jobs(cluster: ClusterInfo, _user: Option<User>) -> Result<Jobs, AdaptorError> {
        let served = Server::of(&cluster)?.models()?;
        Ok(report::jobs(&cluster, served.as_deref()))
    }
}

airlock_adaptor::export_cluster!(OpenAiModels);
