//! The immutable picture of clusters, endpoints and federated endpoints that requests are routed by.

mod access;
mod adaptors;
mod build;
mod grant;
mod load;

use std::{collections::HashMap, sync::Arc};

use airlock_sandbox::{Cluster, Endpoint, Operation, Tenant};

pub use access::Access;
pub use adaptors::{AdaptorCache, ComponentSource, Release, Uploaded, Uploads};
pub use build::{BuildInput, TenantSecret, build};
pub use grant::{Holder, of_config as grant, origins};
pub use load::remedy;

pub use crate::fixtures::{EndpointLimits, OnDisconnect, UnknownFields};
use crate::pulse::Pulse;

/// Everything that requests can reach.
#[derive(Clone, Default)]
pub struct Catalog {
    /// Endpoints by slug.
    endpoints: HashMap<Arc<str>, Arc<CatalogEndpoint>>,
    /// Endpoints by model; several clusters may serve one.
    by_model: HashMap<String, Vec<Arc<CatalogEndpoint>>>,
    /// Endpoints of other tenants, by model.
    shared: HashMap<String, Vec<Arc<CatalogEndpoint>>>,
    /// Federated endpoints by the model name that clients use.
    federated: HashMap<String, FederatedModel>,
    /// Clusters by name.
    clusters: HashMap<String, Arc<CatalogCluster>>,
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
    /// What its cluster does with fields that an operation does not know.
    pub unknown_fields: UnknownFields,
    /// What its cluster wants of a request whose client goes away.
    pub on_disconnect: OnDisconnect,
    /// Whether its cluster wants what is asked and answered kept.
    pub log_content: bool,
    /// What its cluster offers.
    pub operations: Vec<Operation>,
    /// How much it may be used.
    pub limits: EndpointLimits,
    /// Who may use it: the endpoint's rules and the cluster's.
    pub access: Vec<Access>,
    /// What its cluster's operator says where that is down.
    pub maintenance: Option<String>,
    /// What answers.
    pub backend: Backend,
    /// How many requests it gets, beside others that serve the model.
    pub weight: u32,
    /// How it has fared lately.
    pub pulse: Arc<Pulse>,
    /// Whether it takes batches.
    pub takes_batches: bool,
    /// The other tenants that may use it; `*` stands for all.
    pub shared_with: Vec<String>,
}

/// What answers for an endpoint.
pub enum Backend {
    /// An adaptor in the sandbox.
    Adaptor(Deployed),
    /// No adaptor at all: the bench's reference.
    #[cfg(feature = "native-path")]
    Native(crate::routing::native::NativeEndpoint),
}

/// An adaptor with the endpoint's configuration, in the versions that are rolled out.
pub struct Deployed {
    /// The version that tasks go to.
    pub live: Arc<Endpoint>,
    /// A newer one, on trial.
    pub canary: Option<Canary>,
}

/// A version on trial.
pub struct Canary {
    /// The endpoint with this version.
    pub endpoint: Arc<Endpoint>,
    /// How many of a hundred tasks go to it.
    pub percent: u8,
}

impl CatalogEndpoint {
    /// Whose it is; nobody's without an adaptor.
    pub fn owner(&self) -> Option<&Arc<Tenant>> {
        match &self.backend {
            Backend::Adaptor(deployed) => Some(deployed.live.grant.tenant()),
            #[cfg(feature = "native-path")]
            Backend::Native(_) => None,
        }
    }

    /// Whether its owner lets this other tenant use it.
    pub fn is_shared_with(&self, tenant: &str) -> bool {
        self.shared_with.iter().any(|name| name == tenant || name == "*")
    }
}

impl Deployed {
    /// The version that the `turn`th task goes to.
    pub fn pick(&self, turn: usize) -> &Arc<Endpoint> {
        // 37 and 100 have no common divisor: the tasks of a trial are spread over every hundred.
        let share = turn.wrapping_mul(37) % 100;
        let canary = self.canary.as_ref().filter(|canary| share < usize::from(canary.percent));
        canary.map_or(&self.live, |canary| &canary.endpoint)
    }
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
#[derive(Clone)]
pub struct FederatedModel {
    /// Who may use each target, beside the endpoint's own rules.
    pub targets: Vec<(Access, Arc<CatalogEndpoint>)>,
}

impl Catalog {
    /// This one, with what other tenants share.
    #[must_use]
    pub fn with_shared(&self, shared: &[Arc<CatalogEndpoint>]) -> Self {
        let mut all = self.clone();
        for endpoint in shared {
            all.shared.entry(endpoint.model.clone()).or_default().push(Arc::clone(endpoint));
        }
        all
    }

    /// The endpoints of other tenants that serve this model. They stand back behind the tenant's own, and belong to no
    /// cluster of it.
    pub fn shared_of(&self, model: &str) -> &[Arc<CatalogEndpoint>] {
        self.shared.get(model).map_or(&[], Vec::as_slice)
    }

    /// All names that clients can ask for.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.by_model.keys().chain(self.federated.keys()).chain(self.shared.keys()).map(String::as_str)
    }

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

    /// Number of federated endpoints.
    pub fn federated_count(&self) -> usize {
        self.federated.len()
    }

    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> Option<&CatalogCluster> {
        self.clusters.get(name).map(Arc::as_ref)
    }

    /// All clusters, with their names.
    pub fn clusters(&self) -> impl ExactSizeIterator<Item = (&str, &CatalogCluster)> {
        self.clusters.iter().map(|(name, cluster)| (name.as_str(), &**cluster))
    }
}
