//! The immutable picture of clusters, endpoints and federated endpoints that requests are routed by.

mod access;
mod build;
mod grant;
mod load;

use std::{collections::HashMap, sync::Arc};

use airlock_sandbox::{Cluster, Endpoint, Operation};

pub use access::Access;
pub use build::{BuildInput, build};

/// Everything that requests can reach.
#[derive(Default)]
pub struct Catalog {
    /// Endpoints by slug.
    endpoints: HashMap<Arc<str>, Arc<CatalogEndpoint>>,
    /// Endpoints by model; several clusters may serve one.
    by_model: HashMap<String, Vec<Arc<CatalogEndpoint>>>,
    /// Federated endpoints by the model name that clients use.
    federated: HashMap<String, FederatedModel>,
    /// Clusters by name.
    clusters: HashMap<String, CatalogCluster>,
}

/// One endpoint, ready to serve.
pub struct CatalogEndpoint {
    /// Its unique name.
    pub slug: Arc<str>,
    /// Its cluster's name.
    pub cluster: String,
    /// Its framework.
    pub framework: String,
    /// Its model, as the backend knows it.
    pub model: String,
    /// What its cluster offers.
    pub operations: Vec<Operation>,
    /// Who may use it: the endpoint's rules and the cluster's.
    pub access: Vec<Access>,
    /// What answers.
    pub backend: Backend,
    /// Whether it takes batches.
    pub takes_batches: bool,
}

/// What answers for an endpoint.
pub enum Backend {
    /// An adaptor in the sandbox.
    Adaptor(Arc<Endpoint>),
    /// No adaptor at all: the bench's reference.
    #[cfg(feature = "native-path")]
    Native(crate::routing::native::NativeEndpoint),
}

/// One cluster.
pub struct CatalogCluster {
    /// Frameworks that it has.
    pub frameworks: Vec<String>,
    /// What it offers.
    pub operations: Vec<Operation>,
    /// Who may use it.
    pub access: Access,
    /// What its operator says where it is down.
    pub maintenance: Option<String>,
    /// Its adaptor, which reports jobs.
    pub adaptor: Arc<Cluster>,
}

/// One public model name in front of several endpoints.
pub struct FederatedModel {
    /// Who may use each target, beside the endpoint's own rules.
    pub targets: Vec<(Access, Arc<CatalogEndpoint>)>,
}

impl Catalog {
    /// The endpoint with this slug.
    pub fn endpoint(&self, slug: &str) -> Option<&Arc<CatalogEndpoint>> {
        self.endpoints.get(slug)
    }

    /// The endpoints that serve this model, in the order of the fixtures.
    pub fn endpoints_of(&self, model: &str) -> &[Arc<CatalogEndpoint>] {
        self.by_model.get(model).map_or(&[], Vec::as_slice)
    }

    /// All endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<CatalogEndpoint>> {
        self.endpoints.values()
    }

    /// The federated endpoint behind this public name.
    pub fn federated(&self, model: &str) -> Option<&FederatedModel> {
        self.federated.get(model)
    }

    /// All federated endpoints, with their public names.
    pub fn all_federated(&self) -> impl Iterator<Item = (&str, &FederatedModel)> {
        self.federated.iter().map(|(name, model)| (name.as_str(), model))
    }

    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> Option<&CatalogCluster> {
        self.clusters.get(name)
    }

    /// All clusters, with their names.
    pub fn clusters(&self) -> impl ExactSizeIterator<Item = (&str, &CatalogCluster)> {
        self.clusters.iter().map(|(name, cluster)| (name.as_str(), cluster))
    }
}
