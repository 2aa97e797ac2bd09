//! What catalogs are made with.

use std::{path::Path, sync::Arc};

use airlock_sandbox::{Egress, Sandbox, Tenant};
use futures_util::future::BoxFuture;

use super::{definition::Definition, secrets::MasterKeys};
use crate::{
    catalog::{self, AdaptorCache, BuildInput, Catalog, ComponentSource, TenantSecret, Uploads},
    config::{Env, Settings},
    fixtures::{Fixtures, Mistakes},
    pulse::Pulses,
    store::Store,
};

/// The tenant that owns what fixtures load.
pub const DEFAULT_TENANT: &str = "default";

/// A tenant's secrets, by name.
pub type Secrets = std::collections::BTreeMap<String, TenantSecret>;

/// What clients are told of clusters that are down, by name.
pub type Notices = std::collections::BTreeMap<String, String>;

/// Settings, and the operator's files.
type Before = (Settings, Vec<(Arc<Path>, String)>);

/// What one tenant's catalog is made of.
pub struct Plan<'a> {
    /// Whose it is.
    pub tenant: &'a Arc<Tenant>,
    /// Its clusters and endpoints.
    pub fixtures: &'a Fixtures,
    /// Its adaptors.
    pub uploads: &'a Uploads,
    /// Its secrets.
    pub secrets: &'a Secrets,
    /// Its clusters that are down, with a notice each.
    pub notices: Notices,
    /// Where its components are.
    pub components: &'a dyn ComponentSource,
}

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
    pulses: Pulses,
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
        Ok(Self {
            sandbox,
            egress,
            settings,
            env,
            master,
            cache: AdaptorCache::default(),
            pulses: Pulses::default(),
            files,
        })
    }

    /// Reads the files again, those that other settings name. What it was before goes back with [`Workshop::restore`].
    pub(super) fn reopen(&mut self, settings: Settings) -> Result<Before, Mistakes> {
        let files = Fixtures::texts_of(&settings.fixtures)?;
        self.cache.forget_files();
        Ok((std::mem::replace(&mut self.settings, settings), std::mem::replace(&mut self.files, files)))
    }

    /// Takes back what was read again.
    pub(super) fn restore(&mut self, before: Before) {
        (self.settings, self.files) = before;
        self.cache.forget_files();
    }

    /// The clusters that the settings have a notice for.
    pub(super) fn noted(&self) -> impl Iterator<Item = &String> {
        self.settings.maintenance.keys()
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
    pub async fn build(&self, plan: Plan<'_>) -> Result<Catalog, Mistakes> {
        let Plan { tenant, fixtures, uploads, secrets, notices, components } = plan;
        let is_default = **tenant.name() == *DEFAULT_TENANT;
        let mut maintenance = notices;
        if is_default {
            maintenance.extend(self.settings.maintenance.clone());
        }
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
            maintenance: &maintenance,
            pulses: &self.pulses,
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
