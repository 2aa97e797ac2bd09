//! Fixtures → catalog: adaptors loaded, credentials found, every endpoint's configuration checked by its
//! own adaptor. All mistakes are collected.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use airlock_sandbox::{
    Adaptor, AddressPolicy, Budgets, Cluster, ClusterModel, Egress, Endpoint, EndpointInfo, Fault, Grant,
    Operation, Sandbox, Tenant,
};
use serde_json::{Map, Value};

use super::{
    Access, AdaptorCache, Backend, Canary, Catalog, CatalogCluster, CatalogEndpoint, ComponentSource,
    Deployed, FederatedModel, Uploads,
    adaptors::{self, Finder, Part, Variant, Wanted},
    grant::{self, Holder},
};
use crate::{
    config::Env,
    fixtures::{
        ClusterFixture, ConfigPlaces, EndpointFixture, FederatedFixture, Fixtures, Located, Mistake,
        Mistakes, Place,
    },
    pulse::{Pulse, Pulses},
};

/// What a catalog is made from.
pub struct BuildInput<'a> {
    /// The fixtures, already checked as a whole.
    pub fixtures: &'a Fixtures,
    /// Where adaptors are loaded.
    pub sandbox: &'a Sandbox,
    /// For adaptors that check their configuration; nothing is sent.
    pub egress: &'a Egress,
    /// Where the keys that `api_key_env_name` names are.
    pub env: &'a Env,
    /// Folder of the bundled adaptors.
    pub adaptors_dir: PathBuf,
    /// What the tenant has uploaded.
    pub uploads: &'a Uploads,
    /// Where uploaded components are.
    pub components: &'a dyn ComponentSource,
    /// Adaptors that are loaded already.
    pub cache: &'a AdaptorCache,
    /// The tenant's secrets, by name.
    pub secrets: &'a BTreeMap<String, TenantSecret>,
    /// What each call may use.
    pub budgets: Arc<Budgets>,
    /// Whose all of this is.
    pub tenant: Arc<Tenant>,
    /// Where its calls may go.
    pub policy: AddressPolicy,
    /// Clusters that are down beside those that say so themselves, with a notice each.
    pub maintenance: &'a BTreeMap<String, String>,
    /// How endpoints have fared until now.
    pub pulses: &'a Pulses,
}

/// A secret of a tenant.
#[derive(Clone)]
pub struct TenantSecret {
    /// The origin that it goes to.
    pub origin: String,
    /// The header that carries it.
    pub header: String,
    /// What it is, or why that cannot be said.
    pub value: Result<String, String>,
}

/// Builds a catalog, or says everything that is wrong.
pub async fn build(input: BuildInput<'_>) -> Result<Catalog, Mistakes> {
    let mut builder = Builder { input, adaptors: HashMap::new(), mistakes: Vec::new() };
    let catalog = builder.build().await;
    if builder.mistakes.is_empty() { Ok(catalog) } else { Err(Mistakes(builder.mistakes)) }
}

struct Builder<'a> {
    input: BuildInput<'a>,
    adaptors: HashMap<Vec<Part>, Arc<Adaptor>>,
    mistakes: Vec<Mistake>,
}

impl Builder<'_> {
    async fn build(&mut self) -> Catalog {
        let fixtures = self.input.fixtures;
        self.load_adaptors(fixtures).await;
        let mut catalog = Catalog::default();
        for endpoint in &fixtures.endpoints {
            let cluster = fixtures.clusters.iter().find(|c| c.name == endpoint.cluster);
            if let (Some(cluster), Some(backend)) = (cluster, self.backend(endpoint).await) {
                let takes_batches = self.takes_batches(endpoint, &backend).await;
                let maintenance = self.maintenance(cluster);
                let pulse = self.pulse(endpoint);
                let endpoint =
                    Made { fixture: endpoint, cluster, backend, takes_batches, maintenance, pulse };
                endpoint.add_to(&mut catalog);
            }
        }
        for cluster in &fixtures.clusters {
            if let Some(adaptor) = self.cluster(cluster, fixtures).await {
                let maintenance = self.maintenance(cluster);
                catalog.clusters.insert(
                    cluster.name.clone(),
                    Arc::new(CatalogCluster {
                        frameworks: cluster.frameworks.clone(),
                        operations: operations(cluster),
                        access: access(&cluster.allowed_groups, &cluster.allowed_domains),
                        maintenance,
                        adaptor,
                    }),
                );
            }
        }
        for federated in &fixtures.federated {
            add_federated(&mut catalog, federated);
        }
        catalog
    }

    /// What is said of a cluster that is down. Whoever decides at the moment comes before what is defined.
    fn maintenance(&self, cluster: &ClusterFixture) -> Option<String> {
        self.input.maintenance.get(&cluster.name).or(cluster.maintenance.as_ref()).cloned()
    }

    fn pulse(&self, endpoint: &EndpointFixture) -> Arc<Pulse> {
        // Without the places of things: they move when something else is edited.
        let chain: Vec<_> = endpoint.chain.iter().map(|part| &part.value).collect();
        let definition = format!("{chain:?} {}", Value::Object(endpoint.config.clone()));
        self.input.pulses.of(self.input.tenant.name(), &endpoint.slug, &definition)
    }

    async fn load_adaptors(&mut self, fixtures: &Fixtures) {
        let mut wanted = Wanted::new();
        let mut want = |variant: Variant, places: Vec<Place>| {
            wanted.entry(variant.parts).or_insert(places);
        };
        for endpoint in &fixtures.endpoints {
            let places: Vec<Place> = endpoint.chain.iter().map(|part| part.place.clone()).collect();
            if let Some(variants) = self.finder().variants(&endpoint.chain) {
                if let Some((canary, _)) = variants.canary {
                    want(canary, places.clone());
                }
                want(variants.live, places);
            }
        }
        for cluster in &fixtures.clusters {
            if let Some(variant) = self.cluster_variant(cluster) {
                want(variant, vec![cluster.place.clone()]);
            }
        }
        let BuildInput { sandbox, components, cache, .. } = &self.input;
        self.adaptors = adaptors::load_all(wanted, sandbox, *components, cache, &mut self.mistakes).await;
    }

    fn finder(&self) -> Finder<'_> {
        Finder { bundled: &self.input.adaptors_dir, uploads: self.input.uploads }
    }

    fn cluster_variant(&self, cluster: &Located<ClusterFixture>) -> Option<Variant> {
        let adaptor = Located { value: cluster.adaptor.clone(), place: cluster.place.clone() };
        Some(self.finder().variants(&[adaptor])?.live)
    }

    fn mistake(&mut self, place: &Place, message: String, remedy: &str) {
        self.mistakes.push(Mistake::new(place.clone(), message, remedy));
    }

    async fn backend(&mut self, fixture: &Located<EndpointFixture>) -> Option<Backend> {
        let grant = self.grant(&fixture.config, &fixture.config_places, &fixture.slug);
        #[cfg(feature = "native-path")]
        if fixture.chain.first().is_some_and(|part| part.value == crate::fixtures::AdaptorRef::Native) {
            let url = fixture.config.get("api_url").and_then(Value::as_str);
            return Some(Backend::Native(crate::routing::native::NativeEndpoint::new(url?, grant?)?));
        }
        let (variants, grant) = (self.finder().variants(&fixture.chain)?, grant?);
        let live = self.endpoint(fixture, variants.live, &grant).await?;
        let canary = match variants.canary {
            Some((variant, percent)) => {
                Some(Canary { endpoint: self.endpoint(fixture, variant, &grant).await?, percent })
            }
            None => None,
        };
        Some(Backend::Adaptor(Deployed { live, canary }))
    }

    /// An endpoint with one version of its adaptor, which has accepted its configuration.
    async fn endpoint(
        &mut self,
        fixture: &Located<EndpointFixture>,
        variant: Variant,
        grant: &Arc<Grant>,
    ) -> Option<Arc<Endpoint>> {
        let adaptor = Arc::clone(self.adaptors.get(&variant.parts)?);
        if !adaptor.is_endpoint() {
            self.mistake(
                &fixture.place,
                format!("{} is no endpoint adaptor", adaptor.name()),
                "name a component that exports airlock:adaptor/endpoint",
            );
            return None;
        }
        let endpoint = Arc::new(Endpoint {
            sandbox: self.input.sandbox.clone(),
            adaptor,
            info: EndpointInfo {
                slug: fixture.slug.as_str().into(),
                cluster: fixture.cluster.clone(),
                framework: fixture.framework.clone(),
                model: fixture.model.clone(),
                config: Value::Object(fixture.config.clone()).to_string(),
            },
            grant: Arc::clone(grant),
            budgets: Arc::clone(&self.input.budgets),
            pace: Arc::default(),
            meter: None,
            health: variant.health,
        });
        match endpoint.validate(self.input.egress).await {
            Ok(()) => Some(endpoint),
            Err(fault) => {
                self.refused(fixture, &fault);
                None
            }
        }
    }

    async fn takes_batches(&mut self, fixture: &EndpointFixture, backend: &Backend) -> bool {
        let asked = match backend {
            Backend::Adaptor(deployed) => deployed.live.has_batch_enabled(self.input.egress).await,
            #[cfg(feature = "native-path")]
            Backend::Native(_) => Ok(false),
        };
        asked.unwrap_or_else(|fault| {
            self.refused(fixture, &fault);
            false
        })
    }

    /// The adaptor's own word on the configuration.
    fn refused(&mut self, fixture: &EndpointFixture, fault: &Fault) {
        let message = match fault {
            Fault::Reported(error) => error.message.clone(),
            other => format!("the adaptor failed while it checked the configuration: {other}"),
        };
        // The SDK's messages name the key in quotes: config key 'api_url': …
        let key = message.split(['`', '\'']).nth(1).unwrap_or_default();
        let key = key.split(['.', '[']).next().unwrap_or_default();
        let place = fixture.place_of_config(key).clone();
        self.mistake(&place, format!("{}: {message}", fixture.slug), "correct the endpoint's config");
    }

    fn grant(&mut self, config: &Map<String, Value>, places: &ConfigPlaces, who: &str) -> Option<Arc<Grant>> {
        let BuildInput { tenant, policy, env, secrets, .. } = &self.input;
        match grant::of_config(config, places, who, Holder { tenant, policy, env, secrets }) {
            Ok(grant) => Some(Arc::new(grant)),
            Err(mistake) => {
                self.mistakes.push(mistake);
                None
            }
        }
    }

    async fn cluster(&mut self, fixture: &Located<ClusterFixture>, all: &Fixtures) -> Option<Arc<Cluster>> {
        let variant = self.cluster_variant(fixture)?;
        let adaptor = Arc::clone(self.adaptors.get(&variant.parts)?);
        if !adaptor.is_cluster() {
            self.mistake(
                &fixture.place,
                format!("{} is no cluster adaptor", adaptor.name()),
                "name a component that exports airlock:adaptor/cluster",
            );
            return None;
        }
        let mut models: Vec<_> = all
            .endpoints
            .iter()
            .filter(|e| e.cluster == fixture.name)
            .map(|e| ClusterModel {
                slug: e.slug.clone(),
                framework: e.framework.clone(),
                model: e.model.clone(),
                config: Value::Object(e.config.clone()).to_string(),
            })
            .collect();
        models.sort_by(|a, b| a.slug.cmp(&b.slug));
        let grant = self.grant(&fixture.config, &fixture.config_places, &fixture.name)?;
        let cluster = Arc::new(Cluster {
            sandbox: self.input.sandbox.clone(),
            adaptor,
            name: fixture.name.as_str().into(),
            config: Value::Object(fixture.config.clone()).to_string(),
            models,
            grant,
            budgets: Arc::clone(&self.input.budgets),
            pace: Arc::default(),
            meter: None,
        });
        if let Err(fault) = cluster.validate(self.input.egress).await {
            self.mistake(
                &fixture.place,
                format!("{} does not fit airlock:adaptor/cluster: {fault}", cluster.adaptor.name()),
                "build it again with a matching SDK",
            );
            return None;
        }
        Some(cluster)
    }
}

/// An endpoint, and all that was made of it.
struct Made<'a> {
    fixture: &'a EndpointFixture,
    cluster: &'a ClusterFixture,
    backend: Backend,
    takes_batches: bool,
    maintenance: Option<String>,
    pulse: Arc<Pulse>,
}

impl Made<'_> {
    fn add_to(self, catalog: &mut Catalog) {
        let Self { fixture, cluster, backend, takes_batches, maintenance, pulse } = self;
        let endpoint = Arc::new(CatalogEndpoint {
            slug: fixture.slug.as_str().into(),
            cluster: fixture.cluster.clone(),
            framework: fixture.framework.clone(),
            model: fixture.model.clone(),
            unknown_fields: cluster.unknown_fields,
            on_disconnect: cluster.on_disconnect,
            log_content: cluster.log_content,
            operations: operations(cluster),
            limits: fixture.limits,
            access: vec![
                access(&fixture.allowed_groups, &fixture.allowed_domains),
                access(&cluster.allowed_groups, &cluster.allowed_domains),
            ],
            maintenance,
            backend,
            takes_batches,
            weight: fixture.weight,
            pulse,
            shared_with: fixture.shared_with.clone(),
        });
        catalog.by_model.entry(fixture.model.clone()).or_default().push(Arc::clone(&endpoint));
        catalog.endpoints.insert(Arc::clone(&endpoint.slug), endpoint);
    }
}

/// What a cluster offers, of what this gateway serves.
fn operations(cluster: &ClusterFixture) -> Vec<Operation> {
    let offered = |o: &Operation| cluster.operations.iter().any(|name| name == o.path());
    Operation::ALL.into_iter().filter(offered).collect()
}

fn access(groups: &[String], domains: &[String]) -> Access {
    Access { groups: groups.to_vec(), domains: domains.to_vec() }
}

fn add_federated(catalog: &mut Catalog, fixture: &FederatedFixture) {
    let targets: Vec<_> = fixture
        .targets
        .iter()
        .filter_map(|target| {
            let endpoint = catalog.endpoint(&target.endpoint_slug)?;
            let access = Access { groups: target.allowed_groups.clone(), domains: Vec::new() };
            Some((access, Arc::clone(endpoint)))
        })
        .collect();
    let name = fixture.target_model_name.clone();
    catalog.federated.insert(name, FederatedModel { targets });
}
