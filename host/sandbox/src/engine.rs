//! The engine, its pool of slots, and the clock that interrupts guests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails, component::Linker,
};

use crate::{
    CallbackSettings, Callbacks, CompilerSettings, Fault, ahead::Ahead, call::CallState, compile::Compiler,
    host, lane::SlowLane, loader::MAX_CHAIN,
};

/// How often a running guest is interrupted, to let others run and to check its CPU budget.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// Linear memories that one component may have: one for each part of a chain (two where QuickJS made it).
const MEMORIES_PER_COMPONENT: u32 = MAX_CHAIN as u32;

/// Tables and core instances of one component. The pool holds as many for each slot, so that a slot is all that
/// an instance needs. Each part of a chain has two tables; it has 3 core instances where it was written in Rust,
/// up to 14 elsewhere, and one for the passage to the next.
const TABLES_PER_COMPONENT: u32 = 2 * MEMORIES_PER_COMPONENT;
const CORE_INSTANCES_PER_COMPONENT: u32 = 128;

/// One slot of so many may hold an instance that waits for its request.
const PART_AHEAD: usize = 8;

/// How the sandbox is built.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Instances that may live at the same time. Each reserves about 4 GiB of address space a memory.
    pub slots: u32,
    /// Upper bound of any one linear memory, in bytes, whatever a call's budget says.
    pub max_memory_bytes: usize,
    /// Who compiles components.
    pub compiler: CompilerSettings,
    /// How backends call back, where the operator allows it.
    pub callbacks: Option<CallbackSettings>,
}

/// Loads and runs adaptors. Cheap to clone; the last clone to go stops the interrupting clock.
#[derive(Clone)]
pub struct Sandbox(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<CallState>,
    pub(crate) compiler: Compiler,
    pub(crate) callbacks: Callbacks,
    pub(crate) live: Arc<AtomicUsize>,
    pub(crate) slow_lane: Arc<SlowLane>,
    pub(crate) ahead: Ahead,
    slots: Arc<Semaphore>,
    slot_count: usize,
}

impl Sandbox {
    /// Reserves the pool. Fails where the address space cannot be had, rather than fall back to an
    /// allocator with other limits.
    pub fn new(settings: &SandboxSettings) -> Result<Self, String> {
        let pool = InstanceAllocationStrategy::Pooling(pool_config(settings));
        let engine = Engine::new(&code_config(pool)).map_err(|e| {
            format!(
                "the sandbox cannot be set up with {} slots: {e:#}. Each slot reserves address \
                 space: raise the process's limit (ulimit -v) or lower the number of slots",
                settings.slots
            )
        })?;
        let linker = host::linker(&engine).map_err(|e| format!("{e:#}"))?;
        start_clock(&engine)?;
        let slow_lane = SlowLane::new().map_err(|e| format!("the slow lane's threads did not start: {e}"))?;
        let slot_count = settings.slots as usize;
        Ok(Self(Arc::new(Shared {
            compiler: Compiler::new(settings.compiler.clone(), &engine),
            engine,
            linker,
            callbacks: Callbacks::new(settings.callbacks.as_ref()),
            live: Arc::default(),
            slow_lane: Arc::new(slow_lane),
            ahead: Ahead::new(slot_count / PART_AHEAD),
            slots: Arc::new(Semaphore::new(slot_count)),
            slot_count,
        })))
    }

    /// Where what backends post is handed to who waits for it.
    pub fn callbacks(&self) -> &Callbacks {
        &self.0.callbacks
    }

    /// Number of instances that exist at this moment.
    pub fn live_instances(&self) -> usize {
        self.0.live.load(Ordering::Acquire)
    }

    /// Number of calls whose guests compute for so long that they were moved off their worker's thread.
    pub fn slow_calls(&self) -> usize {
        self.0.slow_lane.calls()
    }

    /// Instances that may exist at one moment.
    pub fn slots(&self) -> usize {
        self.0.slot_count
    }

    /// Compilations that wait for their turn.
    pub fn waiting_compilations(&self) -> usize {
        self.0.compiler.waiting()
    }

    /// Slow calls leave a quarter of the slots to others: on a busy machine each holds its own for long.
    pub(crate) fn check_slow_calls(&self) -> Result<(), Fault> {
        let limit = self.0.slot_count - self.0.slot_count / 4;
        if self.slow_calls() < limit {
            return Ok(());
        }
        Err(Fault::Overloaded { what: "sandboxes for slow calls", limit })
    }

    /// Takes a slot, or says at once that there is none. Instances that wait for requests give theirs up.
    pub(crate) fn slot(&self) -> Result<OwnedSemaphorePermit, Fault> {
        loop {
            if let Ok(slot) = Arc::clone(&self.0.slots).try_acquire_owned() {
                return Ok(slot);
            }
            if !self.0.ahead.give_up_one() {
                return Err(Fault::Overloaded { what: "sandboxes", limit: self.0.slot_count });
            }
        }
    }

    /// A slot for an instance that no request waits for, as long as half of them are free.
    pub(crate) fn spare_slot(&self) -> Option<OwnedSemaphorePermit> {
        let slots = &self.0.slots;
        (slots.available_permits() > self.0.slot_count / 2)
            .then(|| Arc::clone(slots).try_acquire_owned().ok())?
    }

    pub(crate) fn fault(&self, error: &wasmtime::Error) -> Fault {
        Fault::from_wasmtime(error, self.0.slot_count)
    }
}

/// WASI 0.2 on Cranelift, with everything off that adaptors do not need, because it only adds surface. The
/// async component model, still called experimental in wasmtime 48, is not even compiled in (Cargo.toml).
/// The child that compiles uses it too: code fits engines of the same settings only.
pub(crate) fn code_config(allocation: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model(true)
        .concurrency_support(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .gc_support(false)
        .wasm_threads(false)
        .shared_memory(false)
        .wasm_memory64(false)
        .epoch_interruption(true)
        .consume_fuel(false)
        .max_wasm_stack(512 << 10)
        .async_stack_size(2 << 20)
        .async_stack_zeroing(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .memory_init_cow(true)
        .allocation_strategy(allocation);
    config
}

/// The values were measured (`docs/decisions/0003-pool.md`): clearing used pages through
/// PAGEMAP_SCAN and keeping them resident halves the cost of a fresh instance.
fn pool_config(settings: &SandboxSettings) -> PoolingAllocationConfig {
    let slots = settings.slots;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(slots)
        .total_memories(slots.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(slots.saturating_mul(TABLES_PER_COMPONENT))
        .total_stacks(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_memories_per_module(1)
        .max_tables_per_module(2)
        .table_elements(100_000)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .max_memory_size(settings.max_memory_bytes)
        .async_stack_keep_resident(16 << 10)
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(512 << 10)
        .max_unused_warm_slots(slots.min(64))
        // Slots are cleared in batches, always before they are used again.
        .decommit_batch_size(if slots >= 64 { 16 } else { 1 });
    // Needs Linux 6.7; `Enabled::Auto` never turns it on in wasmtime 48.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes);
    }
    pool
}

/// One thread for the engine, which ends when the engine does.
fn start_clock(engine: &Engine) -> Result<(), String> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("airlock-epoch".into())
        .spawn(move || {
            loop {
                thread::sleep(TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })
        .map(drop)
        .map_err(|e| format!("the thread that interrupts guests could not be started: {e}"))
}
