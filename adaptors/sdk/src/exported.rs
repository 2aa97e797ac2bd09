//! Carries an adaptor's traits over to those that the exports of a component want.

use std::marker::PhantomData;

use crate::bindings::batch::exports::airlock::adaptor::batch;
use crate::bindings::cluster::exports::airlock::adaptor::cluster;
use crate::bindings::endpoint::exports::airlock::adaptor::{endpoint, replies};
use crate::{
    AdaptorError, BatchAdaptor, BatchProgress, BatchRequest, ClusterAdaptor, ClusterInfo, EndpointAdaptor,
    EndpointInfo, Events, Jobs, Reply, SubmittedBatch, Task, User,
};

/// An adaptor as its component exports it. Only the export macros name it.
#[doc(hidden)]
pub struct Exported<T>(PhantomData<T>);

impl<T> replies::Guest for Exported<T> {
    type EventStream = Events;
}

impl<T: EndpointAdaptor> endpoint::Guest for Exported<T> {
    fn validate(endpoint: EndpointInfo) -> Result<(), AdaptorError> {
        T::validate(&endpoint)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        T::submit_task(endpoint, task).map_err(AdaptorError::at_run_time)
    }

    fn submit_streaming_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        T::submit_streaming_task(endpoint, task).map_err(AdaptorError::at_run_time)
    }
}

impl<T: ClusterAdaptor> cluster::Guest for Exported<T> {
    fn get_jobs(cluster: ClusterInfo, user: Option<User>) -> Result<Jobs, AdaptorError> {
        T::get_jobs(cluster, user).map_err(AdaptorError::at_run_time)
    }
}

impl<T: BatchAdaptor> batch::Guest for Exported<T> {
    fn has_batch_enabled(endpoint: EndpointInfo) -> bool {
        T::has_batch_enabled(&endpoint)
    }

    fn submit_batch(endpoint: EndpointInfo, request: BatchRequest) -> Result<SubmittedBatch, AdaptorError> {
        T::submit_batch(endpoint, request).map_err(AdaptorError::at_run_time)
    }

    fn get_batch_status(endpoint: EndpointInfo, handle: String) -> Result<BatchProgress, AdaptorError> {
        T::get_batch_status(endpoint, handle).map_err(AdaptorError::at_run_time)
    }

    fn get_batch_result(endpoint: EndpointInfo, handle: String) -> Result<Vec<u8>, AdaptorError> {
        T::get_batch_result(endpoint, handle).map_err(AdaptorError::at_run_time)
    }

    fn cancel_batch(endpoint: EndpointInfo, handle: String) -> Result<(), AdaptorError> {
        T::cancel_batch(endpoint, handle).map_err(AdaptorError::at_run_time)
    }
}

impl replies::GuestEventStream for Events {
    fn next(&self) -> Result<Option<Vec<u8>>, AdaptorError> {
        self.pull()
    }
}
