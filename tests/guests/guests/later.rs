//! Behaves, but for the model `m`: then it traps. What nobody finds before it is used.

use airlock_adaptor::direct_api::DirectApi;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};

struct Later;

impl EndpointAdaptor for Later {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        DirectApi::new(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        assert!(task.model != "m", "its time has come");
        Ok(Reply::Forward(DirectApi::new(&endpoint)?.request(&task)?))
    }
}

airlock_adaptor::export_endpoint!(Later);
