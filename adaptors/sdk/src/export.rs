//! The traits an adaptor implements, and the macros that make them a component's exports. Natively there is no
//! component: the macros check that the type fits, and tests call the traits.

use crate::{
    AdaptorError, BatchProgress, BatchRequest, ClusterInfo, EndpointInfo, Jobs, Reply, SubmittedBatch, Task,
    User,
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

/// Makes a type that implements [`EndpointAdaptor`] this component's endpoint adaptor.
#[cfg(target_family = "wasm")]
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

/// Makes a type that implements [`EndpointAdaptor`] this component's endpoint adaptor.
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! export_endpoint {
    ($adaptor:ty) => {
        const _: () = $crate::is_endpoint::<$adaptor>();
    };
}

/// Adds the batches of a type that implements [`BatchAdaptor`] to this component's endpoint adaptor.
#[cfg(target_family = "wasm")]
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

/// Adds the batches of a type that implements [`BatchAdaptor`] to this component's endpoint adaptor.
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! export_batch {
    ($adaptor:ty) => {
        const _: () = $crate::is_batch::<$adaptor>();
    };
}

/// Makes a type that implements [`ClusterAdaptor`] this component's cluster adaptor.
#[cfg(target_family = "wasm")]
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

/// Makes a type that implements [`ClusterAdaptor`] this component's cluster adaptor.
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! export_cluster {
    ($adaptor:ty) => {
        const _: () = $crate::is_cluster::<$adaptor>();
    };
}

/// Compiles where the type is an endpoint adaptor.
#[doc(hidden)]
pub const fn is_endpoint<T: EndpointAdaptor>() {}

/// Compiles where the type takes batches.
#[doc(hidden)]
pub const fn is_batch<T: BatchAdaptor>() {}

/// Compiles where the type is a cluster adaptor.
#[doc(hidden)]
pub const fn is_cluster<T: ClusterAdaptor>() {}
