//! The traits an adaptor implements, and the macros that make them a component's exports.

use std::marker::PhantomData;

use crate::bindings::batch::exports::airlock::adaptor::batch;
use crate::bindings::cluster::exports::airlock::adaptor::cluster;
use crate::bindings::endpoint::exports::airlock::adaptor::{endpoint, replies};
use crate::{
    AdaptorError, BatchProgress, BatchRequest, ClusterInfo, EndpointInfo, Events, Jobs, Reply,
    SubmittedBatch, Task, User,
};

/// Runs tasks on one backend.
pub trait EndpointAdaptor {
    /// Checks the endpoint's configuration, without network. Called when the endpoint is loaded; the
    /// message is for the operator and should name the key and the remedy.
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError>;

    /// Runs a task whose client wants one complete answer.
    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError>;

    /// Runs a task whose client wants server-sent events. For adaptors that forward or relay, this
    /// is the same work.
    fn submit_streaming_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        Self::submit_task(endpoint, task)
    }
}

/// Runs many tasks as one job: what an endpoint adaptor implements beside [`EndpointAdaptor`] where its backend can.
pub trait BatchAdaptor {
    /// Whether this endpoint takes batches, by its configuration. Without network.
    fn has_batch_enabled(endpoint: &EndpointInfo) -> bool;

    /// Starts a batch.
    fn submit_batch(endpoint: EndpointInfo, request: BatchRequest) -> Result<SubmittedBatch, AdaptorError>;

    /// Asks how far a batch has got. `handle` is what [`Self::submit_batch`] gave.
    fn get_batch_status(endpoint: EndpointInfo, handle: String) -> Result<BatchProgress, AdaptorError>;

    /// Reads the results of a completed batch whose status came without.
    fn get_batch_result(endpoint: EndpointInfo, handle: String) -> Result<Vec<u8>, AdaptorError>;

    /// Asks for a batch to stop.
    fn cancel_batch(endpoint: EndpointInfo, handle: String) -> Result<(), AdaptorError>;
}

/// Reports what a cluster is running.
pub trait ClusterAdaptor {
    /// Asks for the state of the cluster. `user` is who asks, where the answer depends on it.
    fn get_jobs(cluster: ClusterInfo, user: Option<User>) -> Result<Jobs, AdaptorError>;
}

/// Carries an adaptor's trait over to the generated ones. Only the export macros name it.
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

/// Makes a type that implements [`EndpointAdaptor`] this component's endpoint adaptor.
#[macro_export]
macro_rules! export_endpoint {
    ($adaptor:ty) => {
        const _: () = {
            type AirlockEndpoint = $crate::Exported<$adaptor>;
            $crate::bindings::endpoint::export_endpoint_bindings!(
                AirlockEndpoint with_types_in $crate::bindings::endpoint
            );
        };
    };
}

/// Adds the batches of a type that implements [`BatchAdaptor`] to this component's endpoint adaptor.
#[macro_export]
macro_rules! export_batch {
    ($adaptor:ty) => {
        const _: () = {
            type AirlockBatch = $crate::Exported<$adaptor>;
            $crate::bindings::batch::export_batch_bindings!(
                AirlockBatch with_types_in $crate::bindings::batch
            );
        };
    };
}

/// Makes a type that implements [`ClusterAdaptor`] this component's cluster adaptor.
#[macro_export]
macro_rules! export_cluster {
    ($adaptor:ty) => {
        const _: () = {
            type AirlockCluster = $crate::Exported<$adaptor>;
            $crate::bindings::cluster::export_cluster_bindings!(
                AirlockCluster with_types_in $crate::bindings::cluster
            );
        };
    };
}
