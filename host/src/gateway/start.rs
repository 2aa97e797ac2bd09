//! What is checked before a gateway serves, and why it does not.

use airlock_sandbox::{CacheKey, Connector, Egress, Sandbox, Tenant, TenantLimits};

use crate::{
    admission::AdmissionError,
    auth::Providers,
    catalog::{Catalog, Uploads},
    config::{ConfigError, Env, Settings},
    fixtures::{Fixtures, Mistakes},
    store::StoreError,
    tenants::{
        DEFAULT_TENANT, MasterKeys, Nothing, Notices, OpenError, Plan, ReloadError, SecretError, Secrets,
        Workshop,
    },
};

/// Why the gateway cannot start, or what `airlock check` found.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Mistakes in the fixtures.
    #[error("{0}")]
    Fixtures(#[from] Mistakes),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A master key that is none.
    #[error(transparent)]
    MasterKey(#[from] SecretError),
    /// A notice for a cluster that the fixtures do not have.
    #[error("maintenance.{0}: there is no cluster of this name; correct or remove the setting")]
    Maintenance(String),
    /// A setting that the environment does not fit.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// The sandbox's pool.
    #[error("{0}")]
    Sandbox(String),
    /// It ends.
    #[error("the gateway is stopping")]
    Stopping,
    /// Limits.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// Metrics.
    #[error("metrics cannot be counted: {0}")]
    Metrics(String),
    /// What sends to a collector.
    #[error("traces and metrics cannot be sent: {0}")]
    Telemetry(String),
    /// Certificates.
    #[error("the certificates for calls to backends cannot be read: {0}")]
    Egress(String),
}

impl From<ReloadError> for StartError {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Fixtures(mistakes) => Self::Fixtures(mistakes),
            ReloadError::Maintenance(name) => Self::Maintenance(name),
            ReloadError::Stopping => Self::Stopping,
        }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Fixtures(mistakes) => Self::Fixtures(mistakes),
            OpenError::Store(error) => Self::Store(error),
        }
    }
}

/// Loads fixtures and adaptors and checks all that can be checked without serving, and without a store.
pub async fn check(
    settings: &Settings,
    env: &Env,
    cache_key: Option<CacheKey>,
) -> Result<Catalog, StartError> {
    let (sandbox, connector) = engine(settings, env, cache_key)?;
    Providers::read(settings, env)?;
    settings.otlp_endpoint(env)?;
    let egress = Egress::new(connector, settings.egress_limits());
    let workshop = Workshop::open(settings, env, MasterKeys::default(), sandbox, egress)?;
    let fixtures = Fixtures::load_dir(&settings.fixtures)?;
    let tenant = Tenant::new(DEFAULT_TENANT, TenantLimits::default());
    let plan = Plan {
        tenant: &tenant,
        fixtures: &fixtures,
        uploads: &Uploads::new(),
        secrets: &Secrets::new(),
        notices: Notices::new(),
        components: &Nothing,
    };
    let catalog = workshop.build(plan).await?;
    check_maintenance(settings, &catalog)?;
    Ok(catalog)
}

pub(super) fn engine(
    settings: &Settings,
    env: &Env,
    cache_key: Option<CacheKey>,
) -> Result<(Sandbox, Connector), StartError> {
    let callbacks = settings.callback_settings(env)?;
    let sandbox =
        Sandbox::new(&settings.sandbox_settings(cache_key, callbacks)).map_err(StartError::Sandbox)?;
    let connector = Connector::new(&settings.connect_settings()).map_err(StartError::Egress)?;
    Ok((sandbox, connector))
}

/// The keys that tenants' secrets are encrypted with: of the environment, or of a file.
pub fn master_keys(settings: &Settings, env: &Env) -> Result<MasterKeys, StartError> {
    let text = settings.master_keys(env)?;
    Ok(MasterKeys::parse(&text.unwrap_or_default())?)
}

/// Every notice is for a cluster that there is.
pub(super) fn check_maintenance(settings: &Settings, catalog: &Catalog) -> Result<(), StartError> {
    let unknown = settings.maintenance.keys().find(|name| catalog.cluster(name).is_none());
    unknown.map_or(Ok(()), |name| Err(StartError::Maintenance(name.clone())))
}
