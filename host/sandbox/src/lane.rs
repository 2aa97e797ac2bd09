//! Where guests run. A guest begins on the thread of the worker that serves its request, which costs the
//! least. One that computes for longer than [`BURST`] is moved to the slow lane: threads of lower priority,
//! where the system's scheduler lets it have what nobody else wants. So a guest that never ends costs its
//! neighbours one burst, and a slow one is as fast as the machine is free.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

use crate::{Fault, counted::Counted, limits::CpuClock};

/// How long a guest may compute at a stretch before it is moved. It is noticed at the next tick of the epoch.
pub(crate) const BURST: Duration = Duration::from_millis(2);

/// Niceness of the slow lane: under contention it gets a tenth of what a worker does, and a worker that wakes
/// goes first. Not less, because honest guests of slow languages run here too.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// What a guest has to do, to its end.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

/// The threads of slow guests.
pub(crate) struct SlowLane {
    runtime: Option<Runtime>,
    calls: Arc<AtomicUsize>,
}

impl SlowLane {
    /// Half as many threads as there are cores: those that share a core with a worker slow it down even
    /// where they only take what it leaves.
    pub(crate) fn new() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads((cores / 2).max(1))
            .thread_name("airlock-slow")
            .on_thread_start(lower_priority)
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime), calls: Arc::default() })
    }

    /// Calls that are in it at this moment.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Runs what no call waits for.
    pub(crate) fn aside(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(work);
        }
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: Work<T>,
        clock: &CpuClock,
    ) -> Option<AbortOnDropHandle<Result<T, Fault>>> {
        clock.set_slow_lane(true);
        let work = Measured { work, clock: clock.clone(), _counted: Counted::new(&self.calls) };
        self.runtime.as_ref().map(|runtime| AbortOnDropHandle::new(runtime.spawn(work)))
    }
}

impl Drop for SlowLane {
    /// May happen within a runtime, which a blocking wait would panic in.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// On Linux niceness is a thread's own. Elsewhere it is the whole process's, and left alone.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "slow guests run at the priority of all others");
    }
}

/// Whether an endpoint's guests were slow lately. Those of one that was begin in the slow lane, so that many
/// at once do not cost the workers one burst each.
#[derive(Debug, Default)]
pub struct Pace(AtomicBool);

impl Pace {
    pub(crate) fn is_slow(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set_slow(&self, slow: bool) {
        if self.is_slow() != slow {
            self.0.store(slow, Ordering::Relaxed);
        }
    }
}

/// A guest at work, wherever that is. Dropping it ends the guest.
pub(crate) struct Running<T> {
    place: Place<T>,
    clock: CpuClock,
    pace: Arc<Pace>,
    lane: Arc<SlowLane>,
    used_before: Duration,
}

enum Place<T> {
    Worker(Work<T>),
    SlowLane(AbortOnDropHandle<Result<T, Fault>>),
    Nowhere,
}

impl<T: Send + 'static> Running<T> {
    pub(crate) fn start(work: Work<T>, clock: &CpuClock, pace: &Arc<Pace>, lane: &Arc<SlowLane>) -> Self {
        clock.set_slow_lane(false);
        let mut running = Self {
            place: Place::Worker(work),
            clock: clock.clone(),
            pace: Arc::clone(pace),
            lane: Arc::clone(lane),
            used_before: clock.used(),
        };
        if pace.is_slow() {
            running.move_over();
        }
        running
    }

    fn move_over(&mut self) {
        self.place = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Worker(work) => match self.lane.spawn(work, &self.clock) {
                Some(away) => Place::SlowLane(away),
                None => Place::Nowhere,
            },
            other => other,
        };
    }

    /// A call that ran in the slow lane and was quick after all lets the next one begin on a worker again.
    fn note_pace(&self) {
        if matches!(self.place, Place::SlowLane(_)) {
            self.pace.set_slow(self.clock.used().saturating_sub(self.used_before) > BURST);
        }
    }
}

impl<T: Send + 'static> Future for Running<T> {
    type Output = Result<T, Fault>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Place::Worker(work) = &mut this.place {
            let done = this.clock.poll(work, cx);
            if done.is_ready() || !this.clock.take_overran() {
                return done;
            }
            this.pace.set_slow(true);
            this.move_over();
        }
        let Place::SlowLane(away) = &mut this.place else {
            return Poll::Ready(Err(Fault::Trap("the sandbox is closed".into())));
        };
        let done = ready!(Pin::new(away).poll(cx));
        this.note_pace();
        Poll::Ready(match done {
            Ok(done) => done,
            // A panic of the host, on its way to where panics of requests end.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(Fault::Trap(error.to_string())),
        })
    }
}

/// Work whose polls are timed, as a task of the slow lane.
struct Measured<T> {
    work: Work<T>,
    clock: CpuClock,
    _counted: Counted,
}

impl<T> Future for Measured<T> {
    type Output = Result<T, Fault>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.clock.poll(&mut this.work, cx)
    }
}
