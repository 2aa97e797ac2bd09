//! Makes the catalogs of all tenants, one change after the other.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use airlock_sandbox::{Health, Tenant, TenantLimits};
use arc_swap::ArcSwap;
use serde_json::json;

use super::{
    DEFAULT_TENANT, Kind, Notices, OpenError, Plan, ReloadError, Rollout, Secrets, TenantSettings, View,
    Views, Workshop, WriteError, definition::Definition, workshop::Stored,
};
use crate::{
    catalog::{Catalog, Release, Uploaded, Uploads},
    config::Settings,
    fixtures::Mistakes,
    store::{Change, ChangeWatch, Document, Expect, NewAudit, Store, StoreError, now},
};

/// How often other processes' changes and the health of new versions are looked at.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// How long a component is kept that no version has, in seconds.
const COMPONENT_LIFE: i64 = 86_400;

/// Who decides without a person.
const ACTOR: &str = "airlock";

/// One tenant as it was made last.
struct Made {
    definition: Definition,
    tenant: Arc<Tenant>,
    /// Its own, without what others share.
    catalog: Arc<Catalog>,
    /// What had to be left out.
    broken: Mistakes,
}

impl Made {
    fn tell_broken(&self, tenant: &str) {
        for mistake in &self.broken.0 {
            tracing::error!(tenant, "left out: {mistake}");
        }
    }
}

/// A version within one decision about it.
type Judged = (Arc<str>, String, String, i64);

pub(super) struct Maker {
    workshop: Workshop,
    store: Store,
    components: Stored,
    made: HashMap<Arc<str>, Made>,
    health: HashMap<Judged, Arc<Health>>,
    views: Arc<ArcSwap<Views>>,
    is_failing: bool,
}

impl Maker {
    pub(super) fn new(workshop: Workshop, store: Store, views: Arc<ArcSwap<Views>>) -> Self {
        Self {
            workshop,
            components: Stored(store.clone()),
            store,
            made: HashMap::new(),
            health: HashMap::new(),
            views,
            is_failing: false,
        }
    }

    /// Makes all tenants. A mistake in the operator's files is fatal; what a tenant has and cannot be used is left out.
    pub(super) async fn start(&mut self) -> Result<(), OpenError> {
        let documents = self.store.documents(None, None).await?;
        self.build_files().await?;
        self.forget_components(&documents).await?;
        self.make_all(documents).await;
        Ok(())
    }

    /// Removes components that no version has any more. Those of the last day stay: their version may be on its way.
    async fn forget_components(&self, documents: &[Document]) -> Result<(), StoreError> {
        let versions = documents.iter().filter(|document| document.kind == Kind::Version.as_str());
        let digests = versions.filter_map(|version| version.name.rsplit_once('/'));
        let used: Vec<String> = digests.map(|(_, digest)| digest.to_owned()).collect();
        let gone = self.store.delete_unused_blobs(&used, now() - COMPONENT_LIFE).await?;
        if gone > 0 {
            tracing::info!(gone, "components that no adaptor has any more were removed");
        }
        Ok(())
    }

    /// Looks for changes of others and for versions that fail.
    pub(super) async fn tick(&mut self, watch: &mut Option<ChangeWatch>) {
        match self.follow(watch).await {
            Ok(()) => self.is_failing = false,
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::error!(%error, "the store cannot be followed; what is known goes on");
            }
            Err(_) => {}
        }
        self.take_back_failing().await;
    }

    async fn follow(&mut self, watch: &mut Option<ChangeWatch>) -> Result<(), StoreError> {
        let changed = match watch {
            Some(watch) => watch.changed().await,
            None => {
                *watch = Some(self.store.watch().await?);
                Ok(true)
            }
        };
        if changed.inspect_err(|_| *watch = None)? {
            let documents = self.store.documents(None, None).await?;
            self.make_all(documents).await;
        }
        Ok(())
    }

    /// Reads the operator's files again, under other settings, and makes all tenants anew. A mistake in the files changes
    /// nothing; what a tenant has and cannot be used with them is left out, as at the start.
    pub(super) async fn reload(&mut self, settings: Settings) -> Result<(), ReloadError> {
        let before = self.workshop.reopen(settings)?;
        if let Err(error) = self.check_files().await {
            self.workshop.restore(before);
            return Err(error);
        }
        let names: Vec<Arc<str>> = self.made.keys().cloned().collect();
        for name in names {
            let definition = self.made.get(&name).map(|made| made.definition.clone()).unwrap_or_default();
            let made = self.make(&name, definition).await;
            made.tell_broken(&name);
            self.made.insert(name, made);
        }
        self.publish();
        Ok(())
    }

    /// Whether the operator's files are in order.
    async fn check_files(&self) -> Result<(), ReloadError> {
        let catalog = self.build_files().await?;
        let stored = self.made.get(DEFAULT_TENANT).map(|made| &made.definition);
        let is_stored = |name: &String| stored.is_some_and(|stored| stored.has(Kind::Cluster, name));
        let mut noted = self.workshop.noted();
        match noted.find(|name| catalog.cluster(name).is_none() && !is_stored(name)) {
            Some(name) => Err(ReloadError::Maintenance(name.clone())),
            None => Ok(()),
        }
    }

    /// What the operator's files alone make.
    async fn build_files(&self) -> Result<Catalog, Mistakes> {
        let fixtures = Definition::default().fixtures(self.workshop.files_of(DEFAULT_TENANT))?;
        let tenant = self.tenant(DEFAULT_TENANT, &TenantSettings::default(), &Definition::default());
        let plan = Plan {
            tenant: &tenant,
            fixtures: &fixtures,
            uploads: &Uploads::new(),
            secrets: &Secrets::new(),
            notices: Notices::new(),
            components: &self.components,
        };
        self.workshop.build(plan).await
    }

    /// Tries changes of one tenant, stores them and lets requests see them.
    pub(super) async fn write(
        &mut self,
        name: &Arc<str>,
        changes: &[Change],
        audit: &NewAudit,
    ) -> Result<i64, WriteError> {
        let stored = Definition::of(self.store.documents(Some(name), None).await?);
        let wanted = stored.changed(changes);
        // Somebody may have removed it since the caller was let in; what is left of it goes.
        let is_there =
            |definition: &Definition| **name == *DEFAULT_TENANT || definition.has(Kind::Tenant, name);
        if !is_there(&stored) && !is_there(&wanted) {
            return Err(WriteError::NoTenant(name.to_string()));
        }
        let mut made = self.make(name, wanted).await;
        let known = self.made.get(name).map(|made| &made.broken);
        if let Some(new) = new_mistakes(&made.broken, known) {
            return Err(WriteError::Invalid(new));
        }
        let revision = self.store.apply(changes, audit).await?;
        // With the revisions that it has now, so that the next look finds nothing new.
        if let Ok(documents) = self.store.documents(Some(name), None).await {
            made.definition = Definition::of(documents);
        }
        if is_there(&made.definition) {
            self.made.insert(Arc::clone(name), made);
        } else {
            self.made.remove(name);
        }
        self.publish();
        Ok(revision)
    }

    async fn make_all(&mut self, documents: Vec<Document>) {
        let mut by_tenant: BTreeMap<String, Vec<Document>> = BTreeMap::new();
        by_tenant.insert(DEFAULT_TENANT.to_owned(), Vec::new());
        for document in documents {
            by_tenant.entry(document.tenant.clone()).or_default().push(document);
        }
        by_tenant.retain(|name, documents| {
            name == DEFAULT_TENANT || documents.iter().any(|document| document.kind == Kind::Tenant.as_str())
        });
        self.made.retain(|name, _| by_tenant.contains_key(&**name));
        for (name, documents) in by_tenant {
            let (name, definition): (Arc<str>, _) = (name.into(), Definition::of(documents));
            if self.made.get(&name).is_some_and(|made| made.definition == definition) {
                continue;
            }
            let made = self.make(&name, definition).await;
            made.tell_broken(&name);
            self.made.insert(name, made);
        }
        self.publish();
    }

    /// Makes one tenant from what it has defined. What is broken is left out, and said.
    async fn make(&mut self, name: &Arc<str>, definition: Definition) -> Made {
        let tenant = self.tenant(name, &settings(name, &definition), &definition);
        let uploads = self.uploads(name, &definition);
        let (mut rest, mut broken) = (definition.clone(), Mistakes(Vec::new()));
        loop {
            let mistakes = match self.build(&tenant, &rest, &uploads).await {
                Ok(catalog) => return Made { definition, tenant, catalog: Arc::new(catalog), broken },
                Err(mistakes) => mistakes,
            };
            let less = rest.without(&mistakes);
            broken.0.extend(mistakes.0);
            if less == rest {
                // The mistakes are in the operator's files, which were good at the start: a file has changed.
                let catalog = self.made.get(name).map(|made| Arc::clone(&made.catalog)).unwrap_or_default();
                return Made { definition, tenant, catalog, broken };
            }
            rest = less;
        }
    }

    async fn build(
        &self,
        tenant: &Arc<Tenant>,
        definition: &Definition,
        uploads: &Uploads,
    ) -> Result<Catalog, Mistakes> {
        let fixtures = definition.fixtures(self.workshop.files_of(tenant.name()))?;
        let secrets = self.workshop.secrets(tenant.name(), definition);
        let notices = definition.notices();
        let plan = Plan {
            tenant,
            fixtures: &fixtures,
            uploads,
            secrets: &secrets,
            notices,
            components: &self.components,
        };
        self.workshop.build(plan).await
    }

    /// The tenant whose calls are counted together: the same one as long as its limits are, and as nobody else has got
    /// its name. With other limits it is the same but for what is in use at the moment.
    fn tenant(&self, name: &str, settings: &TenantSettings, definition: &Definition) -> Arc<Tenant> {
        let mut limits = settings.quota.limits();
        if name == DEFAULT_TENANT {
            let TenantLimits { instances, large_answers, .. } = TenantLimits::default();
            limits = TenantLimits { instances, large_answers, ..limits };
        }
        let known = self.made.get(name);
        match known.filter(|made| since(name, &made.definition) == since(name, definition)) {
            Some(made) if *made.tenant.limits() == limits => Arc::clone(&made.tenant),
            Some(made) => made.tenant.limited(limits),
            None => Tenant::new(name, limits),
        }
    }

    fn uploads(&mut self, tenant: &Arc<str>, definition: &Definition) -> Uploads {
        let rollouts = definition.rollouts();
        let uploads = rollouts.into_iter().map(|(name, rollout)| {
            let live = self.release(tenant, &name, &rollout, &rollout.live);
            let canary = rollout
                .canary
                .as_ref()
                .map(|trial| (self.release(tenant, &name, &rollout, &trial.version), trial.percent));
            (name, Uploaded { live, canary })
        });
        uploads.collect()
    }

    fn release(&mut self, tenant: &Arc<str>, name: &str, rollout: &Rollout, digest: &str) -> Release {
        let judged = (Arc::clone(tenant), name.to_owned(), digest.to_owned(), rollout.since);
        let health = self.health.entry(judged).or_default();
        Release { digest: digest.into(), health: Arc::clone(health) }
    }

    /// Lets requests see what was made, each tenant with what others share with it.
    fn publish(&mut self) {
        let in_use: Vec<(Arc<str>, String, i64)> =
            self.decisions().map(|(t, n, r)| (t, n, r.since)).collect();
        self.health.retain(|(tenant, name, _, since), _| {
            in_use.iter().any(|(t, n, s)| t == tenant && n == name && s == since)
        });
        let views = self.made.iter().map(|(name, made)| {
            let others = self.made.iter().filter(|(other, _)| *other != name);
            let shared: Vec<_> = others
                .flat_map(|(_, other)| other.catalog.endpoints())
                .filter(|endpoint| endpoint.is_shared_with(name))
                .cloned()
                .collect();
            let catalog = match shared.as_slice() {
                [] => Arc::clone(&made.catalog),
                shared => Arc::new(made.catalog.with_shared(shared)),
            };
            let since = since(name, &made.definition);
            let quota = settings(name, &made.definition).quota;
            (Arc::clone(name), View { tenant: Arc::clone(&made.tenant), catalog, since, quota })
        });
        self.views.store(Arc::new(views.collect()));
    }

    fn decisions(&self) -> impl Iterator<Item = (Arc<str>, String, Rollout)> {
        self.made.iter().flat_map(|(tenant, made)| {
            let rollouts = made.definition.rollouts().into_iter();
            rollouts.map(|(name, rollout)| (Arc::clone(tenant), name, rollout))
        })
    }

    /// Takes back versions whose calls fail by their own fault.
    async fn take_back_failing(&mut self) {
        let now = now();
        let failing: Vec<_> = self
            .decisions()
            .filter(|(tenant, name, rollout)| {
                let judged = (Arc::clone(tenant), name.clone(), rollout.newest().to_owned(), rollout.since);
                self.health.get(&judged).is_some_and(|health| rollout.is_failing(health, now))
            })
            .collect();
        for (tenant, name, rollout) in failing {
            if let Err(error) = self.take_back(&tenant, &name, &rollout, now).await {
                tracing::error!(%tenant, adaptor = name, %error, "a failing version could not be taken back");
            }
        }
    }

    async fn take_back(
        &mut self,
        tenant: &Arc<str>,
        name: &str,
        rollout: &Rollout,
        now: i64,
    ) -> Result<(), WriteError> {
        let Ok(before) = rollout.roll_back(now) else { return Ok(()) };
        let found = self.store.document(tenant, Kind::Adaptor.as_str(), name).await?;
        let Some(found) = found else { return Ok(()) };
        let body = serde_json::to_string(&before).unwrap_or_default();
        let change = Change::Put {
            tenant: tenant.to_string(),
            kind: Kind::Adaptor.as_str().into(),
            name: name.to_owned(),
            body,
            expect: Expect::Revision(found.revision),
        };
        let detail = json!({ "version": rollout.newest(), "why": "its calls failed by its own fault" });
        let audit = NewAudit {
            tenant: tenant.to_string(),
            actor: ACTOR.into(),
            action: "rollback".into(),
            kind: Kind::Adaptor.as_str().into(),
            name: name.to_owned(),
            detail: detail.to_string(),
        };
        tracing::warn!(%tenant, adaptor = name, version = rollout.newest(), "a failing version is taken back");
        self.write(tenant, &[change], &audit).await.map(drop)
    }
}

/// When a tenant was made: another of the same name was made at another time. `default` has always been there.
fn since(name: &str, definition: &Definition) -> i64 {
    if name == DEFAULT_TENANT { 0 } else { definition.made_at(Kind::Tenant, name).unwrap_or_default() }
}

/// What is said of a tenant; the defaults, where nothing is.
fn settings(name: &str, definition: &Definition) -> TenantSettings {
    definition.get(Kind::Tenant, name).unwrap_or_default()
}

/// The mistakes that were not there before; `None` where there is none.
fn new_mistakes(found: &Mistakes, known: Option<&Mistakes>) -> Option<Mistakes> {
    let is_known = |place: &_| known.is_some_and(|known| known.0.iter().any(|old| old.place.file == *place));
    let new: Vec<_> = found.0.iter().filter(|mistake| !is_known(&mistake.place.file)).cloned().collect();
    (!new.is_empty()).then_some(Mistakes(new))
}
