//! One call: a slot, a fresh store and instance, budgets, and the reply.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{
    Store, UpdateDeadline,
    component::{Instance, Resource, ResourceAny, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, cli::WasiCliCtxView};
use wasmtime_wasi_http::WasiHttpCtx;

use crate::{
    Adaptor, Budgets, Fault, Sandbox,
    egress::{Egress, Grant, UpstreamResponse},
    host::{Hooks, LogSink, Tags},
    limits::{CpuClock, MemoryLimiter},
};

/// What belongs to one call, and goes with it.
pub(crate) struct CallState {
    wasi: WasiCtx,
    limiter: MemoryLimiter,
    pub(crate) http: WasiHttpCtx,
    pub(crate) table: ResourceTable,
    pub(crate) hooks: Hooks,
    pub(crate) task_body: Bytes,
    pub(crate) log: LogSink,
    pub(crate) sandbox: Sandbox,
    _counted: Counted,
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
}

/// What a call is for and may use.
pub(crate) struct CallPlan<'a> {
    pub(crate) adaptor: &'a Adaptor,
    pub(crate) grant: &'a Arc<Grant>,
    pub(crate) budgets: &'a Budgets,
    pub(crate) egress: &'a Egress,
    /// The endpoint's slug or the cluster's name.
    pub(crate) subject: &'a Arc<str>,
    pub(crate) request_id: &'a Arc<str>,
    pub(crate) task_body: Bytes,
}

/// An instance with its store and slot. Dropping it at any moment ends the guest.
pub(crate) struct Live {
    // The store goes before the slot: a slot must not look free while its memory is in use.
    store: Store<CallState>,
    instance: Instance,
    clock: CpuClock,
    budgets: Budgets,
    _slot: OwnedSemaphorePermit,
}

impl Live {
    /// Instantiates, under the same budgets as the call itself: a start function is guest code too.
    pub(crate) async fn start(sandbox: &Sandbox, plan: CallPlan<'_>) -> Result<Self, Fault> {
        let slot = sandbox.slot()?;
        let clock = CpuClock::new();
        let budgets = plan.budgets.clone();
        let mut store = new_store(sandbox, &plan, &clock);
        let instance = {
            let run = pin!(plan.adaptor.pre.instantiate_async(&mut store));
            match tokio::time::timeout(budgets.wall, clock.measure(run)).await {
                Ok(done) => done.map_err(|e| sandbox.fault(&e))?,
                Err(_) => return Err(Fault::Timeout),
            }
        };
        Ok(Self { store, instance, clock, budgets, _slot: slot })
    }

    /// Runs one exported function, under the call's budgets.
    pub(crate) async fn call<T>(
        &mut self,
        f: impl AsyncFnOnce(&mut Store<CallState>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let sandbox = self.store.data().sandbox.clone();
        let run = pin!(f(&mut self.store, &self.instance));
        match tokio::time::timeout(self.budgets.wall, self.clock.measure(run)).await {
            Ok(done) => done.map_err(|e| sandbox.fault(&e)),
            Err(_) => Err(Fault::Timeout),
        }
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
        self.store.data().log.finish();
    }
}

fn new_store(sandbox: &Sandbox, plan: &CallPlan<'_>, clock: &CpuClock) -> Store<CallState> {
    let budgets = plan.budgets;
    let mut store = Store::new(&sandbox.0.engine, new_state(sandbox, plan));
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(budgets.hostcall_bytes);
    store.set_max_component_handles(budgets.handles);
    store.set_epoch_deadline(1);
    let (clock, limit) = (clock.clone(), budgets.cpu);
    store.epoch_deadline_callback(move |_| {
        if clock.used() > limit {
            return Err(crate::limits::Exceeded::Cpu.into());
        }
        // Not `Yield`: tokio would run the same task again at once, from its LIFO slot.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store
}

fn new_state(sandbox: &Sandbox, plan: &CallPlan<'_>) -> CallState {
    let budgets = plan.budgets;
    let mut table = ResourceTable::new();
    table.set_max_capacity(budgets.resources);
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(64 << 10);
    let tags = Tags {
        request: Arc::clone(plan.request_id),
        endpoint: Arc::clone(plan.subject),
        tenant: Arc::clone(plan.grant.tenant()),
    };
    let log = LogSink::new(tags, budgets.log_bytes);
    let wasi =
        WasiCtxBuilder::new().stdout(log.clone()).stderr(log.clone()).max_random_size(64 << 10).build();
    CallState {
        wasi,
        limiter: MemoryLimiter::new(budgets),
        http,
        table,
        hooks: Hooks {
            egress: plan.egress.clone(),
            grant: Arc::clone(plan.grant),
            calls_left: budgets.outbound_calls,
            call_limit: budgets.outbound_calls,
        },
        task_body: plan.task_body.clone(),
        log,
        sandbox: sandbox.clone(),
        _counted: Counted::new(&sandbox.0.live),
    }
}

/// Counts the stores that exist.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(live))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Events that a guest makes. The guest lives in here: dropping this ends it.
pub struct EventStream {
    pub(crate) live: Live,
    pub(crate) adaptor: Arc<Adaptor>,
    pub(crate) handle: ResourceAny,
}

impl EventStream {
    /// The payload of the next event: one JSON object, on one line. `None` at the end. After an error the
    /// stream is over.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let (adaptor, handle) = (Arc::clone(&self.adaptor), self.handle);
        let Some(exports) = &adaptor.endpoint else {
            return Err(Fault::BadOutput("the adaptor exports no endpoint".into()));
        };
        let next = self
            .live
            .call(async move |store, instance| {
                let replies = exports.replies.load(&mut *store, instance)?;
                replies.event_stream().call_next(&mut *store, handle).await
            })
            .await?;
        match next {
            Ok(Some(payload)) if has_line_break(&payload) => {
                Err(Fault::BadOutput("an event's payload holds a line break".into()))
            }
            Ok(payload) => Ok(payload.map(Bytes::from)),
            Err(error) => Err(Fault::Reported(error.into())),
        }
    }
}

/// A line break would let a guest forge further events.
fn has_line_break(payload: &[u8]) -> bool {
    payload.iter().any(|b| matches!(b, b'\n' | b'\r'))
}
