//! Which endpoints may answer a request.

use std::sync::Arc;

use airlock_sandbox::Operation;

use crate::{
    auth::Caller,
    catalog::{Catalog, CatalogEndpoint},
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

/// The endpoints that may answer, in the order in which they are to be tried. `turn` spreads requests
/// over endpoints that are equally good.
pub fn candidates(
    catalog: &Catalog,
    scope: &Scope,
    caller: &Caller,
    model: &str,
    operation: Operation,
    turn: usize,
) -> Result<Vec<Arc<CatalogEndpoint>>, RouteError> {
    check_scope(catalog, scope)?;
    let serving = serving(catalog, scope, caller, model);
    if serving.is_empty() {
        return Err(RouteError::UnknownModel(model.to_owned()));
    }
    let mut able: Vec<_> = serving.iter().filter(|e| e.operations.contains(&operation)).cloned().collect();
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
    let first = turn % able.len();
    able.rotate_left(first);
    Ok(able)
}

/// The models that a caller may use, sorted.
pub fn visible_models(catalog: &Catalog, scope: &Scope, caller: &Caller) -> Result<Vec<String>, RouteError> {
    check_scope(catalog, scope)?;
    let own = catalog.endpoints().map(|e| e.model.as_str());
    let federated = catalog.all_federated().map(|(name, _)| name);
    let mut names: Vec<String> = own
        .chain(federated)
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
/// names a cluster: there the endpoints speak for themselves.
fn serving(catalog: &Catalog, scope: &Scope, caller: &Caller, model: &str) -> Vec<Arc<CatalogEndpoint>> {
    let may = |e: &CatalogEndpoint| scope.covers(e) && e.access.iter().all(|a| a.allows(caller));
    match catalog.federated(model) {
        Some(federated) if scope.within.is_none() => federated
            .targets
            .iter()
            .filter(|(access, endpoint)| access.allows(caller) && may(endpoint))
            .map(|(_, endpoint)| Arc::clone(endpoint))
            .collect(),
        _ => catalog.endpoints_of(model).iter().filter(|e| may(e)).cloned().collect(),
    }
}
