//! What catalogs are made with.

use std::{path::Path, sync::Arc};

use airlock_sandbox::{Egress, Sandbox, Tenant};
use futures_util::future::BoxFuture;

use super::{definition::Definition, secrets::MasterKeys};
use crate::{
    catalog::{self, AdaptorCache, BuildInput, Catalog, ComponentSource, TenantSecret, Uploads},
    config::{Env, Settings},
    fixtures::{Fixtures, Mistakes},
    store::Store,
};

/// The tenant that owns what fixtures load.
pub const DEFAULT_TENANT: &str = "default";

/// A tenant's secrets, by name.
pub type Secrets = std::collections::BTreeMap<String, TenantSecret>;

/// What catalogs are made with, the same for all tenants.
pub struct Workshop {
    /// Where adaptors run.
    pub sandbox: Sandbox,
    /// For adaptors that check their configuration.
    pub egress: Egress,
    settings: Settings,
    env: Env,
    master: MasterKeys,
    cache: AdaptorCache,
    /// The operator's files: the tenant `default`'s.
    files: Vec<(Arc<Path>, String)>,
}

impl Workshop {
    /// With the fixture files that the settings name.
    pub fn open(
        settings: &Settings,
        env: &Env,
        master: MasterKeys,
        sandbox: Sandbox,
        egress: Egress,
    ) -> Result<Self, Mistakes> {
        let files = Fixtures::texts_of(&settings.fixtures)?;
        if files.is_empty() {
            let folder = settings.fixtures.display();
            tracing::info!(%folder, "the folder of fixtures has no .json file; endpoints are those that tenants define");
        }
        let (settings, env) = (settings.clone(), env.clone());
        Ok(Self { sandbox, egress, settings, env, master, cache: AdaptorCache::default(), files })
    }

    /// A tenant's secrets, decrypted.
    pub(super) fn secrets(&self, tenant: &str, definition: &Definition) -> Secrets {
        self.master.open_all(tenant, definition.secrets())
    }

    /// The files that belong to a tenant.
    pub fn files_of(&self, tenant: &str) -> &[(Arc<Path>, String)] {
        if tenant == DEFAULT_TENANT { &self.files } else { &[] }
    }

    /// Builds a catalog.
    pub async fn build(
        &self,
        tenant: &Arc<Tenant>,
        fixtures: &Fixtures,
        uploads: &Uploads,
        secrets: &Secrets,
        components: &dyn ComponentSource,
    ) -> Result<Catalog, Mistakes> {
        let is_default = **tenant.name() == *DEFAULT_TENANT;
        let nothing = std::collections::BTreeMap::new();
        let input = BuildInput {
            fixtures,
            sandbox: &self.sandbox,
            egress: &self.egress,
            env: &self.env,
            adaptors_dir: self.settings.adaptors_dir(),
            uploads,
            components,
            cache: &self.cache,
            secrets,
            budgets: self.settings.budgets(),
            tenant: Arc::clone(tenant),
            policy: if is_default {
                self.settings.address_policy()
            } else {
                self.settings.tenant_address_policy()
            },
            maintenance: if is_default { &self.settings.maintenance } else { &nothing },
        };
        catalog::build(input).await
    }
}

/// Uploaded components, where the store has them.
pub struct Stored(pub Store);

impl ComponentSource for Stored {
    fn component(&self, digest: Arc<str>) -> BoxFuture<'static, Result<Vec<u8>, String>> {
        let store = self.0.clone();
        Box::pin(async move {
            let found = store.blob(&digest).await.map_err(|error| error.to_string())?;
            found.ok_or_else(|| format!("the component {digest} is not stored"))
        })
    }
}

/// No uploads: for checks without a store.
pub struct Nothing;

impl ComponentSource for Nothing {
    fn component(&self, digest: Arc<str>) -> BoxFuture<'static, Result<Vec<u8>, String>> {
        Box::pin(async move { Err(format!("the component {digest} is not stored")) })
    }
}
