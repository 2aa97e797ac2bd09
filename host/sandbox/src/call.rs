//! One call: a slot, a fresh store and instance, budgets, and the reply.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{
    Store, UpdateDeadline,
    component::{Instance, Resource, ResourceAny, ResourceTable},
    ensure,
};
use wasmtime_wasi::{
    WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, cli::WasiCliCtxView, random::WasiRandomCtx,
};
use wasmtime_wasi_http::WasiHttpCtx;

use crate::{
    Adaptor, Budgets, Fault, Meter, Sandbox, Spent, Step,
    ahead::Ready,
    counted::Counted,
    egress::{Egress, Grant, MAX_FIELDS, UpstreamResponse},
    form::OwnBody,
    health::{self, Health},
    host::{self, CoarseClock, Hooks, LogSink, Tags},
    lane::{Pace, Running, Work},
    limits::{CpuClock, Exceeded, MemoryLimiter},
};

/// What belongs to one call, and goes with it.
pub(crate) struct CallState {
    wasi: WasiCtx,
    limiter: MemoryLimiter,
    pub(crate) http: WasiHttpCtx,
    pub(crate) table: ResourceTable,
    pub(crate) hooks: Hooks,
    pub(crate) own_body: OwnBody,
    pub(crate) log: LogSink,
    pub(crate) sandbox: Sandbox,
    /// None while the instance is made ahead of its request.
    counted: Option<Counted>,
    _metered: Option<Counted>,
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl CallState {
    /// For the linker, which takes function pointers.
    pub(crate) fn cli(&mut self) -> WasiCliCtxView<'_> {
        wasmtime_wasi::cli::WasiCliView::cli(self)
    }

    /// The same.
    pub(crate) fn random(&mut self) -> &mut WasiRandomCtx {
        self.wasi.random()
    }

    /// Fails while the instance is made ahead of its request: what it asks for would be of nobody.
    pub(crate) fn check_serves(&self) -> wasmtime::Result<()> {
        ensure!(self.counted.is_some(), "the host was called before there was a request");
        Ok(())
    }
}

/// What a call is for and may use.
pub(crate) struct CallPlan {
    pub(crate) adaptor: Arc<Adaptor>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) egress: Egress,
    /// The endpoint's slug or the cluster's name.
    pub(crate) subject: Arc<str>,
    pub(crate) request_id: Arc<str>,
    pub(crate) own_body: OwnBody,
    pub(crate) pace: Arc<Pace>,
    /// Where somebody wants to know what it uses.
    pub(crate) meter: Option<Meter>,
}

impl CallPlan {
    /// For an instance that is made ahead of the request that it will serve.
    pub(crate) fn for_nobody(&self) -> Self {
        Self {
            adaptor: Arc::clone(&self.adaptor),
            grant: Arc::clone(&self.grant),
            budgets: Arc::clone(&self.budgets),
            egress: self.egress.clone(),
            subject: Arc::clone(&self.subject),
            request_id: "ahead".into(),
            own_body: OwnBody::default(),
            pace: Arc::default(),
            meter: None,
        }
    }
}

/// A place in the sandbox for one call: one of the pool's, one of the tenant's.
pub(crate) struct Slot {
    _pools: OwnedSemaphorePermit,
    _tenants: OwnedSemaphorePermit,
}

/// An instance that no call has yet.
pub(crate) struct Made {
    store: Store<CallState>,
    instance: Instance,
    /// Processor time that it took.
    cpu: Duration,
    /// When it was begun.
    pub(crate) since: Instant,
}

/// An instance with its store and slot. Dropping it at any moment ends the guest.
pub(crate) struct Live {
    // The store goes before the slot: a slot must not look free while its memory is in use.
    store: Store<CallState>,
    instance: Instance,
    pacing: Pacing,
    _slot: Slot,
}

/// How the guest's time is measured and limited.
#[derive(Clone)]
struct Pacing {
    clock: CpuClock,
    pace: Arc<Pace>,
    wall: Duration,
}

impl Pacing {
    /// Runs a guest where it belongs, within its wall time.
    async fn run<T: Send + 'static>(&self, sandbox: &Sandbox, work: Work<T>) -> Result<T, Fault> {
        let running = Running::start(work, &self.clock, &self.pace, &sandbox.0.slow_lane);
        tokio::time::timeout(self.wall, running).await.unwrap_or(Err(Fault::Timeout))
    }
}

impl Sandbox {
    /// Takes a slot, makes an instance and lets `f` call it, all within the call's budgets: a start function
    /// is guest code too.
    pub(crate) async fn call<T, F, Fut>(&self, plan: CallPlan, f: F) -> Result<(Live, T), Fault>
    where
        T: Send + 'static,
        F: FnOnce(Live) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(Live, T), Fault>> + Send,
    {
        if plan.pace.is_slow() {
            self.check_slow_calls()?;
        }
        let tenants = plan.grant.tenant().instance()?;
        let ready = self.take_ahead(&plan);
        let (made, pools) = match ready {
            Some(Ready { made, slot, .. }) => (Some(made), slot),
            None => (None, self.slot()?),
        };
        let slot = Slot { _pools: pools, _tenants: tenants };
        let usage = plan.grant.tenant().usage();
        let own = || CpuClock::new(usage, plan.egress.spent().clone());
        let clock = plan.meter.as_ref().map_or_else(own, Meter::clock);
        let pacing = Pacing { clock, pace: Arc::clone(&plan.pace), wall: plan.budgets.wall };
        let (sandbox, own) = (self.clone(), pacing.clone());
        let work = async move {
            let live = match made {
                Some(made) => Live::adopt(&sandbox, &plan, own, slot, made),
                None => Live::start(&sandbox, &plan, own, slot).await?,
            };
            f(live).await
        };
        pacing.run(self, Box::pin(work)).await
    }
}

impl Live {
    async fn start(sandbox: &Sandbox, plan: &CallPlan, pacing: Pacing, slot: Slot) -> Result<Self, Fault> {
        let began = Instant::now();
        let mut store = new_store(sandbox, plan, new_state(sandbox, plan, began));
        arm(&mut store, &pacing.clock, plan.budgets.cpu);
        let instance = plan.adaptor.pre.instantiate_async(&mut store).await.map_err(|e| sandbox.fault(&e))?;
        let took = began.elapsed();
        plan.adaptor.making.note(took);
        if let Some(witness) = plan.egress.witness() {
            witness.saw(&Step::Instance { us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX) });
        }
        Ok(Self { store, instance, pacing, _slot: slot })
    }

    /// Gives an instance that was made ahead to its call, and the call the bill for it.
    fn adopt(sandbox: &Sandbox, plan: &CallPlan, pacing: Pacing, slot: Slot, made: Made) -> Self {
        let Made { mut store, instance, cpu, since } = made;
        let mut state = new_state(sandbox, plan, since);
        state.limiter.carry_over(&store.data().limiter);
        *store.data_mut() = state;
        arm(&mut store, &pacing.clock, plan.budgets.cpu);
        pacing.clock.charge(cpu);
        Self { store, instance, pacing, _slot: slot }
    }

    /// Runs one exported function.
    pub(crate) async fn export<T>(
        &mut self,
        f: impl AsyncFnOnce(&mut Store<CallState>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        f(&mut self.store, &self.instance).await.map_err(|e| self.store.data().sandbox.fault(&e))
    }

    /// What a body of `none` stands for: the task's, or the one that a middleware put in its place.
    pub(crate) fn own_body(&self) -> OwnBody {
        self.store.data().own_body.clone()
    }

    /// Takes a response out of the store, so that it outlives the instance.
    pub(crate) fn take_response(
        &mut self,
        handle: Resource<UpstreamResponse>,
    ) -> Result<UpstreamResponse, Fault> {
        self.store
            .data_mut()
            .table
            .delete(handle)
            .map_err(|e| Fault::BadOutput(format!("the relayed response is gone: {e}")))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let state = self.store.data_mut();
        state.log.finish();
        if let Some(witness) = state.witness() {
            witness.saw(&Step::Gone);
        }
        host::abort_unfinished(&mut state.table);
    }
}

/// An instance for nobody yet. It can hold nothing of the host's.
pub(crate) async fn make(sandbox: &Sandbox, plan: &CallPlan) -> Result<Made, Fault> {
    let since = Instant::now();
    let mut state = new_state(sandbox, plan, since);
    state.counted = None;
    state.table.set_max_capacity(0);
    let mut store = new_store(sandbox, plan, state);
    let clock = CpuClock::new(&Arc::default(), Spent::default());
    arm(&mut store, &clock, plan.budgets.cpu);
    clock.set_slow_lane(true);
    let instance = {
        let mut making = Box::pin(plan.adaptor.pre.instantiate_async(&mut store));
        poll_fn(|cx| clock.poll(&mut making, cx)).await.map_err(|e| sandbox.fault(&e))?
    };
    Ok(Made { store, instance, cpu: clock.used(), since })
}

fn new_store(sandbox: &Sandbox, plan: &CallPlan, state: CallState) -> Store<CallState> {
    let mut store = Store::new(&sandbox.0.engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(plan.budgets.hostcall_bytes);
    store.set_max_component_handles(plan.budgets.handles);
    store
}

/// Has the guest interrupted at each tick, to see what it has used of its time.
fn arm(store: &mut Store<CallState>, clock: &CpuClock, limit: Duration) {
    store.set_epoch_deadline(1);
    let clock = clock.clone();
    store.epoch_deadline_callback(move |_| {
        let (burst, is_slow) = (clock.burst(), clock.in_slow_lane());
        // On a worker a burst may hold time that the thread was set aside for; it is not charged before it is over.
        let charged = if is_slow { burst } else { Duration::ZERO };
        if clock.used().saturating_add(charged) > limit {
            return Err(Exceeded::Cpu.into());
        }
        if !is_slow {
            if !clock.overruns() {
                return Ok(UpdateDeadline::Continue(1));
            }
            clock.set_overran();
        }
        // Not `Yield`: tokio would run the same task again at once, from its LIFO slot.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
}

fn new_state(sandbox: &Sandbox, plan: &CallPlan, since: Instant) -> CallState {
    let budgets = &plan.budgets;
    let mut table = ResourceTable::new();
    table.set_max_capacity(budgets.resources);
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(MAX_FIELDS);
    let tags = Tags {
        request: Arc::clone(&plan.request_id),
        endpoint: Arc::clone(&plan.subject),
        tenant: Arc::clone(plan.grant.tenant().name()),
    };
    let log = LogSink::new(tags, budgets.log_bytes, plan.egress.witness().cloned());
    let wasi = WasiCtxBuilder::new()
        .stdout(log.clone())
        .stderr(log.clone())
        .max_random_size(64 << 10)
        .monotonic_clock(CoarseClock::since(since))
        .wall_clock(CoarseClock::since(since))
        .build();
    CallState {
        wasi,
        limiter: MemoryLimiter::new(budgets, plan.meter.clone(), plan.egress.spent().clone()),
        http,
        table,
        hooks: Hooks {
            egress: plan.egress.clone(),
            grant: Arc::clone(&plan.grant),
            calls_left: budgets.outbound_calls,
            call_limit: budgets.outbound_calls,
            regained: None,
        },
        own_body: plan.own_body.clone(),
        log,
        sandbox: sandbox.clone(),
        counted: Some(Counted::new(&sandbox.0.live)),
        _metered: plan.meter.as_ref().map(Meter::instance),
    }
}

/// Events that a guest makes. The guest lives in here: dropping this ends it.
pub struct EventStream {
    /// Away while it computes; gone after a fault.
    pub(crate) live: Option<Live>,
    pub(crate) adaptor: Arc<Adaptor>,
    pub(crate) handle: ResourceAny,
    pub(crate) health: Vec<Arc<Health>>,
}

impl EventStream {
    /// The payload of the next event: one JSON object, on one line. `None` at the end. After an error, or where
    /// this was dropped before it was done, the stream is over.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let next = self.pull().await;
        health::note_fault(&self.health, next.as_ref().err());
        next
    }

    async fn pull(&mut self) -> Result<Option<Bytes>, Fault> {
        let Some(mut live) = self.live.take() else { return Ok(None) };
        let (adaptor, handle) = (Arc::clone(&self.adaptor), self.handle);
        let (sandbox, pacing) = (live.store.data().sandbox.clone(), live.pacing.clone());
        let work = async move {
            let exports = adaptor.endpoint()?;
            let next = live.export(async |store, instance| {
                let replies = exports.replies.load(&mut *store, instance)?;
                replies.event_stream().call_next(&mut *store, handle).await
            });
            let next = next.await?;
            Ok((live, next))
        };
        let (live, next) = pacing.run(&sandbox, Box::pin(work)).await?;
        match next {
            Ok(Some(payload)) if has_line_break(&payload) => {
                Err(Fault::BadOutput("an event's payload holds a line break".into()))
            }
            Ok(payload) => {
                self.live = Some(live);
                Ok(payload.map(Bytes::from))
            }
            Err(error) => Err(Fault::Reported(error.into())),
        }
    }
}

/// A line break would let a guest forge further events.
fn has_line_break(payload: &[u8]) -> bool {
    payload.iter().any(|b| matches!(b, b'\n' | b'\r'))
}
