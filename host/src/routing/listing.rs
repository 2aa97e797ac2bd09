//! What one caller can use, as FIRST's `list-endpoints` groups it; and which clusters everybody can.

use std::collections::BTreeMap;

use airlock_sandbox::Operation;

use super::may_use;
use crate::{
    auth::Caller,
    catalog::{Access, Catalog},
};

/// One cluster, as far as a caller may see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisibleCluster {
    /// Its models by framework, sorted. A framework without a visible model is left out.
    pub frameworks: BTreeMap<String, Vec<String>>,
    /// What it offers.
    pub operations: Vec<Operation>,
}

/// The clusters that a caller may use, by name, also those with nothing on them for it.
pub fn visible_clusters(catalog: &Catalog, caller: &Caller) -> BTreeMap<String, VisibleCluster> {
    let open = catalog.clusters().filter(|(_, cluster)| cluster.access.allows(caller));
    let mut clusters: BTreeMap<String, VisibleCluster> = open
        .map(|(name, cluster)| {
            let operations = cluster.operations.clone();
            (name.to_owned(), VisibleCluster { frameworks: BTreeMap::new(), operations })
        })
        .collect();
    for endpoint in catalog.endpoints().filter(|e| may_use(e, caller)) {
        if let Some(cluster) = clusters.get_mut(&endpoint.cluster) {
            cluster.frameworks.entry(endpoint.framework.clone()).or_default().push(endpoint.model.clone());
        }
    }
    clusters.values_mut().flat_map(|c| c.frameworks.values_mut()).for_each(|models| models.sort_unstable());
    clusters
}

/// Whether each cluster that has no access rules is up, by name: what anybody may know.
pub fn public_status(catalog: &Catalog) -> BTreeMap<String, bool> {
    let is_public = |access: &Access| access.groups.is_empty() && access.domains.is_empty();
    catalog
        .clusters()
        .filter(|(_, cluster)| is_public(&cluster.access))
        .map(|(name, cluster)| (name.to_owned(), cluster.maintenance.is_none()))
        .collect()
}
