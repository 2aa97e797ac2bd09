//! Sends the task upstream under the direct API's configuration, reads the whole response (up to
//! 16 MiB) and replies with it as a body. A response that is no success becomes `upstream_error`.

use airlock_adaptor::direct_api::DirectApi;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, upstream};

struct BodyUpstream;

impl EndpointAdaptor for BodyUpstream {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        DirectApi::new(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let response = upstream::send(&DirectApi::new(&endpoint)?.request(&task)?)?;
        if !upstream::is_success(&response) {
            return Err(upstream::into_error(response));
        }
        Ok(Reply::Body(upstream::read_all(&response, 16 << 20)?))
    }
}

airlock_adaptor::export_endpoint!(BodyUpstream);
