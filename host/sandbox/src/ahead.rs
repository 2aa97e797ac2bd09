//! Instances that are made before the requests that they will serve. A fresh instance of a Python component takes
//! 0.7 ms, most of it to fill tables; made meanwhile, on a thread of the slow lane, it costs the request that takes it
//! nothing but its processor time on the bill. It has served nobody before, and serves one call, as every other.
//!
//! What a component does while it is made would be of no request: one that calls the host then is not made ahead.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::Component;

use crate::{
    Adaptor, Fault, Sandbox,
    call::{self, CallPlan, Made},
    counted::Counted,
    engine::Shared,
};

/// Of one component, at most.
const EACH: usize = 4;

/// How long one waits for a request.
const KEPT: Duration = Duration::from_secs(30);

/// A component with a table this large may have one that is filled element by element. What is built for one
/// language's runtime alone has less than 1,000.
const LARGE_TABLE: u64 = 2_000;

/// What making an instance has to take to be worth another thread's while.
const WORTH: Duration = Duration::from_micros(150);

/// An instance that waits for its request.
pub(crate) struct Ready {
    adaptor: Arc<Adaptor>,
    // The instance goes before the slot: a slot must not look free while its memory is in use.
    pub(crate) made: Made,
    pub(crate) slot: OwnedSemaphorePermit,
}

/// Those of a sandbox.
pub(crate) struct Ahead {
    ready: Mutex<VecDeque<Ready>>,
    making: Arc<AtomicUsize>,
    taken: AtomicU64,
    limit: usize,
    is_swept: AtomicBool,
}

/// What is known of a component.
#[derive(Debug)]
pub(crate) struct Making {
    may_be_slow: bool,
    calls_host: AtomicBool,
    /// The quickest so far.
    nanoseconds: AtomicU64,
    now: Arc<AtomicUsize>,
}

impl Making {
    pub(crate) fn of(component: &Component) -> Self {
        let largest = component.resources_required().and_then(|needs| needs.max_initial_table_size);
        Self {
            may_be_slow: largest.is_some_and(|elements| elements >= LARGE_TABLE),
            calls_host: AtomicBool::new(false),
            nanoseconds: AtomicU64::new(u64::MAX),
            now: Arc::default(),
        }
    }

    /// What one instance took.
    pub(crate) fn note(&self, time: Duration) {
        if self.may_be_slow {
            let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            self.nanoseconds.fetch_min(time, Ordering::Relaxed);
        }
    }

    fn is_worth_it(&self) -> bool {
        let quickest = self.nanoseconds.load(Ordering::Relaxed);
        self.may_be_slow
            && quickest != u64::MAX
            && Duration::from_nanos(quickest) >= WORTH
            && !self.calls_host.load(Ordering::Relaxed)
    }
}

impl Ahead {
    /// At most so many at one moment.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            ready: Mutex::default(),
            making: Arc::default(),
            taken: AtomicU64::new(0),
            limit,
            is_swept: AtomicBool::new(false),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut VecDeque<Ready>) -> T) -> T {
        f(&mut self.ready.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn count(&self) -> usize {
        self.with(|ready| ready.len())
    }

    /// One of this component, the youngest.
    fn take(&self, adaptor: &Arc<Adaptor>) -> Option<Ready> {
        let taken = self.with(|ready| {
            let at = ready.iter().rposition(|r| Arc::ptr_eq(&r.adaptor, adaptor))?;
            ready.remove(at)
        })?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some(taken)
    }

    /// Frees the slot of the one that has waited longest.
    pub(crate) fn give_up_one(&self) -> bool {
        self.with(VecDeque::pop_front).is_some()
    }

    fn has_room_for(&self, adaptor: &Arc<Adaptor>) -> bool {
        let own = adaptor.making.now.load(Ordering::Relaxed);
        let all = self.making.load(Ordering::Relaxed);
        self.with(|ready| {
            let waiting = ready.iter().filter(|r| Arc::ptr_eq(&r.adaptor, adaptor)).count();
            waiting + own < EACH && ready.len() + all < self.limit
        })
    }

    /// Those that nobody came for. Their stores are dropped by who asks, not under the lock.
    fn take_stale(&self) -> VecDeque<Ready> {
        self.with(|ready| {
            let fresh = ready.iter().position(|r| r.made.since.elapsed() < KEPT).unwrap_or(ready.len());
            let kept = ready.split_off(fresh);
            std::mem::replace(ready, kept)
        })
    }
}

impl Sandbox {
    /// Instances that wait for requests.
    pub fn instances_ahead(&self) -> usize {
        self.0.ahead.count()
    }

    /// Calls that were given one, so far.
    pub fn calls_ahead(&self) -> u64 {
        self.0.ahead.taken.load(Ordering::Relaxed)
    }

    /// An instance for this call, where one is there; and others for those to come are begun.
    pub(crate) fn take_ahead(&self, plan: &CallPlan) -> Option<Ready> {
        let is_watched = plan.meter.is_some() || plan.egress.witness().is_some();
        if is_watched || !plan.adaptor.making.is_worth_it() {
            return None; // what somebody measures is made as it is called
        }
        let taken = self.0.ahead.take(&plan.adaptor);
        // Where there was none, one more is wanted at a time than was made.
        for _ in 0..if taken.is_some() { 1 } else { 2 } {
            self.make_ahead(plan);
        }
        taken
    }

    fn make_ahead(&self, plan: &CallPlan) {
        if !self.0.ahead.has_room_for(&plan.adaptor) {
            return;
        }
        let Some(slot) = self.spare_slot() else { return };
        let counted = (Counted::new(&self.0.ahead.making), Counted::new(&plan.adaptor.making.now));
        let (sandbox, plan) = (self.clone(), plan.for_nobody());
        self.0.slow_lane.aside(async move {
            match call::make(&sandbox, &plan).await {
                Ok(made) => {
                    let ready = Ready { adaptor: plan.adaptor, made, slot };
                    sandbox.0.ahead.with(|all| all.push_back(ready));
                    drop(counted);
                    sandbox.sweep();
                }
                // A request will meet the same, and tell; or it was the host that was called.
                Err(Fault::Overloaded { .. }) => {}
                Err(_) => plan.adaptor.making.calls_host.store(true, Ordering::Relaxed),
            }
        });
    }

    /// One watch, as long as there is something to watch over.
    fn sweep(&self) {
        if self.0.ahead.is_swept.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared: Weak<Shared> = Arc::downgrade(&self.0);
        self.0.slow_lane.aside(async move {
            loop {
                tokio::time::sleep(KEPT / 6).await;
                let Some(shared) = shared.upgrade() else { return };
                drop(shared.ahead.take_stale());
                if shared.ahead.count() == 0 {
                    shared.ahead.is_swept.store(false, Ordering::Release);
                    // One may have come meanwhile, and counted on this watch.
                    if shared.ahead.count() == 0 || shared.ahead.is_swept.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
            }
        });
    }
}
