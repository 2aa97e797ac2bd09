//! Forwards a task to an OpenAI-compatible API, under the endpoint's configuration:
//!
//! | key | |
//! |---|---|
//! | `api_url` | required: a base such as `https://host/v1`, or the full URL of one operation |
//! | `api_request_timeout` | seconds to wait for the head of the answer; 120 |
//! | `api_key_env_name` | names the key, which the gateway adds |
//! | `extra_headers` | headers to add, an object of strings |
//! | `extra_body` | fields to set in the body; a null removes the client's |
//! | `speaks` | the operations that the backend speaks; all. What it does not is translated to a chat, or refused |
//! | `ignored_fields` | fields of requests that a translation drops |
//!
//! Where nothing is translated the instance is gone before the backend is contacted, and a body that needs no change is
//! not read.

use airlock_adaptor::direct_api::DirectApi;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};

struct Direct;

impl EndpointAdaptor for Direct {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        DirectApi::new(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        DirectApi::new(&endpoint)?.run(task)
    }
}

airlock_adaptor::export_endpoint!(Direct);
