//! Which endpoints may answer a request.

use std::sync::Arc;

use airlock_sandbox::Operation;

use crate::{
    auth::Caller,
    catalog::{Catalog, CatalogCluster, CatalogEndpoint},
};

/// Where a request was sent: the whole gateway, or one framework of one cluster.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// `/{cluster}/{framework}/v1/…`; `None`: `/v1/…`.
    pub within: Option<(String, String)>,
}

impl Scope {
    fn covers(&self, endpoint: &CatalogEndpoint) -> bool {
        self.within.as_ref().is_none_or(|(cluster, framework)| {
            endpoint.cluster == *cluster && endpoint.framework == *framework
        })
    }
}

/// Why no endpoint may answer. What a caller may not use does not exist for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path names no cluster.
    #[error("there is no cluster `{0}`")]
    UnknownCluster(String),
    /// The path names no framework of its cluster.
    #[error("the cluster `{cluster}` has no framework `{framework}`")]
    UnknownFramework {
        /// The cluster.
        cluster: String,
        /// The framework that it does not have.
        framework: String,
    },
    /// The cluster is down, and its operator says why.
    #[error("the cluster `{cluster}` is under maintenance: {notice}")]
    Maintenance {
        /// The cluster.
        cluster: String,
        /// The operator's notice.
        notice: String,
    },
    /// No endpoint serves this model.
    #[error("the model `{0}` does not exist or is not available to you; GET /v1/models lists those that are")]
    UnknownModel(String),
    /// The model is served, this operation is not.
    #[error("the model `{model}` does not offer `{operation}`; it offers {offered}")]
    Unsupported {
        /// The model.
        model: String,
        /// What was asked.
        operation: &'static str,
        /// What can be asked.
        offered: String,
    },
}

/// The endpoints that may answer, in the order of the fixtures. Never empty.
pub fn candidates(
    catalog: &Catalog,
    scope: &Scope,
    caller: &Caller,
    model: &str,
    operation: Operation,
) -> Result<Vec<Arc<CatalogEndpoint>>, RouteError> {
    let serving = known(catalog, scope, caller, model)?;
    let able: Vec<_> = serving.iter().filter(|e| e.operations.contains(&operation)).cloned().collect();
    if able.is_empty() {
        let mut offered: Vec<_> = serving.iter().flat_map(|e| &e.operations).map(|o| o.path()).collect();
        offered.sort_unstable();
        offered.dedup();
        return Err(RouteError::Unsupported {
            model: model.to_owned(),
            operation: operation.path(),
            offered: if offered.is_empty() { "nothing".into() } else { offered.join(", ") },
        });
    }
    without_maintenance(able)
}

/// The endpoints that serve a model for the caller, whatever they offer, in the order of the fixtures. Never empty.
pub fn endpoints_for(
    catalog: &Catalog,
    scope: &Scope,
    caller: &Caller,
    model: &str,
) -> Result<Vec<Arc<CatalogEndpoint>>, RouteError> {
    without_maintenance(known(catalog, scope, caller, model)?)
}

fn known(
    catalog: &Catalog,
    scope: &Scope,
    caller: &Caller,
    model: &str,
) -> Result<Vec<Arc<CatalogEndpoint>>, RouteError> {
    check_scope(catalog, scope)?;
    let serving = serving(catalog, scope, caller, model);
    if serving.is_empty() { Err(RouteError::UnknownModel(model.to_owned())) } else { Ok(serving) }
}

/// Those whose cluster is up; where none is, what its operator says.
fn without_maintenance(
    endpoints: Vec<Arc<CatalogEndpoint>>,
) -> Result<Vec<Arc<CatalogEndpoint>>, RouteError> {
    let (up, down): (Vec<_>, Vec<_>) = endpoints.into_iter().partition(|e| e.maintenance.is_none());
    match down.first() {
        Some(first) if up.is_empty() => Err(RouteError::Maintenance {
            cluster: first.cluster.clone(),
            notice: first.maintenance.clone().unwrap_or_default(),
        }),
        _ => Ok(up),
    }
}

/// The cluster, for a caller that its rules let pass. For others it does not exist.
pub fn open_cluster<'a>(
    catalog: &'a Catalog,
    name: &str,
    caller: &Caller,
) -> Result<&'a CatalogCluster, RouteError> {
    let cluster = catalog.cluster(name).filter(|cluster| cluster.access.allows(caller));
    cluster.ok_or_else(|| RouteError::UnknownCluster(name.to_owned()))
}

/// Whether the rules of the endpoint and of its cluster let the caller pass.
pub fn may_use(endpoint: &CatalogEndpoint, caller: &Caller) -> bool {
    endpoint.access.iter().all(|access| access.allows(caller))
}

/// The models that a caller may use, sorted.
pub fn visible_models(catalog: &Catalog, scope: &Scope, caller: &Caller) -> Result<Vec<String>, RouteError> {
    check_scope(catalog, scope)?;
    let mut names: Vec<String> = catalog
        .models()
        .filter(|name| !serving(catalog, scope, caller, name).is_empty())
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn check_scope(catalog: &Catalog, scope: &Scope) -> Result<(), RouteError> {
    let Some((cluster, framework)) = &scope.within else { return Ok(()) };
    let Some(known) = catalog.cluster(cluster) else {
        return Err(RouteError::UnknownCluster(cluster.clone()));
    };
    if !known.frameworks.contains(framework) {
        return Err(RouteError::UnknownFramework { cluster: cluster.clone(), framework: framework.clone() });
    }
    Ok(())
}

/// A federated name stands for its targets and hides endpoints of the same name, except where the path
/// names a cluster: there the endpoints speak for themselves. What others share comes where the tenant has nothing of
/// that name.
fn serving(catalog: &Catalog, scope: &Scope, caller: &Caller, model: &str) -> Vec<Arc<CatalogEndpoint>> {
    let may = |e: &CatalogEndpoint| scope.covers(e) && may_use(e, caller);
    match catalog.federated(model) {
        Some(federated) if scope.within.is_none() => federated
            .targets
            .iter()
            .filter(|(access, endpoint)| access.allows(caller) && may(endpoint))
            .map(|(_, endpoint)| Arc::clone(endpoint))
            .collect(),
        _ => match catalog.endpoints_of(model) {
            [] if scope.within.is_none() => {
                catalog.shared_of(model).iter().filter(|e| may_use(e, caller)).cloned().collect()
            }
            own => own.iter().filter(|e| may(e)).cloned().collect(),
        },
    }
}
