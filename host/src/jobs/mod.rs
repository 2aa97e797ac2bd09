//! What clusters are running: asked of their adaptors, kept as long as those allow, cut to what a caller may see.

mod report;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use airlock_sandbox::{Cluster, Egress, Fault};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, WeakShared},
};

use crate::{
    auth::Caller,
    catalog::{Catalog, CatalogEndpoint},
    routing::{RouteError, Warmth, may_use, open_cluster},
};

use report::Warmths;
pub use report::{Block, Report};

/// Longest wait for a cluster that is asked which models run.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time that an answer is kept, whatever an adaptor allows.
const MAX_KEPT: Duration = Duration::from_mins(10);

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// The caller has no such cluster.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Its adaptor failed.
    #[error("{0}")]
    Fault(Arc<Fault>),
}

/// What one cluster's adaptor said.
struct Answer {
    report: Report,
    /// Until when others may be shown it too; `None`: it is for the caller who asked.
    shared_until: Option<Instant>,
}

type Asked = Result<Arc<Answer>, Arc<Fault>>;

/// What is known of one cluster.
#[derive(Default)]
struct Slot {
    /// Which it is: an answer of a cluster that has been defined anew says nothing.
    of: Weak<Cluster>,
    /// The last answer that others may be shown.
    kept: Option<Arc<Answer>>,
    /// Which models run, where that was said last.
    warmth: Option<Arc<Warmths>>,
    /// When that was asked, or is to be asked again.
    warmth_until: Option<Instant>,
    /// A question on its way. Held by those who wait for it: when the last of them is gone, so is the question.
    asking: Option<WeakShared<BoxFuture<'static, Asked>>>,
}

/// The reports of all clusters. An answer that an adaptor lets others see is kept, and asked for once where
/// several want it at the same time.
#[derive(Default)]
pub struct JobBoard(Mutex<Slots>);

/// By tenant and by name.
type Slots = HashMap<(Arc<str>, Arc<str>), Slot>;

impl JobBoard {
    /// What a cluster is running, as far as `caller` may see it.
    pub async fn report(
        &self,
        catalog: &Catalog,
        egress: &Egress,
        request_id: &Arc<str>,
        cluster: &str,
        caller: &Caller,
    ) -> Result<Report, JobsError> {
        let found = open_cluster(catalog, cluster, caller)?;
        if found.maintenance.is_some() {
            return Ok(all_stopped(catalog, cluster, caller));
        }
        let answer =
            self.answer(&found.adaptor, egress, request_id, caller).await.map_err(JobsError::Fault)?;
        let visible = |block: &Block, model: &str| {
            let served = catalog.endpoints_of(model).iter();
            served
                .filter(|e| e.cluster == block.cluster && e.framework == block.framework)
                .any(|e| may_use(e, caller))
        };
        Ok(answer.report.only(visible))
    }

    async fn answer(
        &self,
        cluster: &Arc<Cluster>,
        egress: &Egress,
        request_id: &Arc<str>,
        caller: &Caller,
    ) -> Asked {
        let ask = || ask(Arc::clone(cluster), egress.clone(), Arc::clone(request_id), caller.clone());
        let (asking, is_own) = {
            let mut slots = self.slots();
            let slot = slot_of(&mut slots, cluster);
            if let Some(kept) = slot.kept.as_ref().filter(|kept| kept.is_fresh()) {
                return Ok(Arc::clone(kept));
            }
            match slot.asking.as_ref().and_then(WeakShared::upgrade) {
                Some(asking) => (asking, false),
                None => {
                    let asking = ask().boxed().shared();
                    slot.asking = asking.downgrade();
                    (asking, true)
                }
            }
        };
        let asked = asking.await;
        if let Ok(answer) = &asked
            && answer.is_fresh()
        {
            slot_of(&mut self.slots(), cluster).kept = Some(Arc::clone(answer));
            return asked;
        }
        // An answer for one caller, or a refusal of one, says nothing to another.
        if is_own { asked } else { ask().await }
    }

    /// Whether a model runs, as its cluster said last; it is asked again in the background where that was `period` ago.
    /// Nobody is shown what it says.
    pub fn warmth(
        self: &Arc<Self>,
        catalog: &Catalog,
        egress: &Egress,
        endpoint: &CatalogEndpoint,
        period: Option<Duration>,
    ) -> Warmth {
        // What others share stands in no cluster of this catalog.
        let own = catalog.endpoint(&endpoint.slug).filter(|own| std::ptr::eq(&***own, endpoint));
        let cluster = own.and_then(|_| catalog.cluster(&endpoint.cluster));
        let (Some(cluster), Some(period)) = (cluster, period) else { return Warmth::Running };
        let now = Instant::now();
        let (known, is_old) = {
            let mut slots = self.slots();
            let slot = slot_of(&mut slots, &cluster.adaptor);
            let is_old = slot.warmth_until.is_none_or(|until| until <= now);
            if is_old {
                slot.warmth_until = Some(now + period.max(PATIENCE));
            }
            (slot.warmth.clone(), is_old)
        };
        if is_old {
            tokio::spawn(Arc::clone(self).look(Arc::clone(&cluster.adaptor), egress.clone(), period));
        }
        let Some(known) = known else { return Warmth::Running };
        let models = known.get(&endpoint.framework);
        models.and_then(|models| models.get(&endpoint.model)).copied().unwrap_or(Warmth::Stopped)
    }

    /// Asks a cluster which models run. One that does not say counts as running all.
    async fn look(self: Arc<Self>, cluster: Arc<Cluster>, egress: Egress, period: Duration) {
        let request_id: Arc<str> = "routing".into();
        let asked = tokio::time::timeout(PATIENCE, cluster.get_jobs(&egress, &request_id, None)).await;
        let jobs = asked.ok().and_then(Result::ok);
        let kept = jobs
            .as_ref()
            .and_then(|jobs| jobs.cache_ms)
            .map(|ms| Duration::from_millis(ms.into()).min(MAX_KEPT));
        let report = jobs.and_then(|jobs| Report::read(jobs).ok());
        let mut slots = self.slots();
        let slot = slot_of(&mut slots, &cluster);
        slot.warmth = report.map(|report| Arc::new(report.warmths()));
        slot.warmth_until = Some(Instant::now() + kept.unwrap_or_default().max(period));
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Nothing panics while it is held; entries are whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot_of<'a>(slots: &'a mut Slots, cluster: &Arc<Cluster>) -> &'a mut Slot {
    let of = Arc::downgrade(cluster);
    let key = (Arc::clone(cluster.grant.tenant().name()), Arc::clone(&cluster.name));
    if slots.get(&key).is_none_or(|slot| !slot.of.ptr_eq(&of)) {
        slots.retain(|_, slot| slot.of.strong_count() > 0);
        slots.insert(key.clone(), Slot { of, ..Slot::default() });
    }
    slots.entry(key).or_default()
}

impl Answer {
    fn is_fresh(&self) -> bool {
        self.shared_until.is_some_and(|until| Instant::now() < until)
    }
}

async fn ask(cluster: Arc<Cluster>, egress: Egress, request_id: Arc<str>, caller: Caller) -> Asked {
    let jobs = cluster.get_jobs(&egress, &request_id, Some(&caller.for_adaptors())).await?;
    let kept = jobs.cache_ms.map(|ms| Duration::from_millis(ms.into()).min(MAX_KEPT));
    let report = Report::read(jobs)?;
    Ok(Arc::new(Answer { report, shared_until: kept.map(|kept| Instant::now() + kept) }))
}

/// A cluster under maintenance runs nothing, and nobody is asked.
fn all_stopped(catalog: &Catalog, cluster: &str, caller: &Caller) -> Report {
    let mut stopped: Vec<Block> = catalog
        .endpoints()
        .filter(|e| e.cluster == cluster && may_use(e, caller))
        .map(|e| Block {
            models: e.model.clone(),
            framework: e.framework.clone(),
            cluster: e.cluster.clone(),
            extra: serde_json::Map::new(),
        })
        .collect();
    stopped.sort_by(|a, b| (&a.framework, &a.models).cmp(&(&b.framework, &b.models)));
    Report { stopped, ..Report::default() }
}
