//! One run of an adaptor without a gateway: in the real sandbox, with all that it does seen; kept as a recording, and
//! played again from one.

mod compare;
mod journal;
mod outcome;
mod plan;
mod recording;
mod show;
mod task;

pub use self::{
    compare::differences,
    journal::{Journal, Timed},
    outcome::{Failure, Outcome, Output, Piece},
    plan::{Limits, Part, Plan, Stage, Subject},
    recording::{Recording, RecordingError},
    show::{Shown, fault_remedy},
    task::{TaskError, TaskText},
};

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use airlock_sandbox::{Costs, Fault, Observer, Witness};

/// How long a guest may go on in a replay when something has begun to wait for what never came: to wait may be all that
/// it does, or one thing of several.
const AFTER_STALL: Duration = Duration::from_secs(2);

/// What a run has used, of what it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// CPU time and memory of its instances.
    pub costs: Costs,
    /// From the first call to the last byte.
    pub wall: Duration,
}

/// Runs a plan. What comes out of it goes to `output` as it comes, and what happens on the way to `observer`.
pub async fn run(
    plan: &Plan,
    stage: &Stage,
    observer: Arc<dyn Observer>,
    output: &mut Output<'_>,
) -> (Outcome, Used) {
    played(plan, stage, &Witness::new(observer), output).await
}

/// Plays a recording on its own plan, or on that of another version. Also says where the adaptor first asked for something
/// else than it did when it was recorded.
pub async fn replay(
    recording: &Recording,
    plan: &Plan,
    stage: &Stage,
    observer: Arc<dyn Observer>,
    output: &mut Output<'_>,
) -> (Outcome, Option<String>) {
    let steps = recording.steps.iter().map(|timed| timed.step.clone()).collect();
    let witness = Witness::replaying(observer, steps);
    let (outcome, _) = tokio::select! {
        played = played(plan, stage, &witness, output) => played,
        () = stuck(&witness) => {
            let failure = Failure::of(&Fault::Timeout, "task");
            // What ended the recorded run ends this one: nothing more came.
            let ended = recording.outcome.interrupted().unwrap_or_else(|| Outcome::failed(failure));
            (ended, Used { costs: Costs::default(), wall: Duration::ZERO })
        }
    };
    (outcome, witness.divergence())
}

async fn stuck(witness: &Witness) {
    witness.stalled().await;
    tokio::time::sleep(AFTER_STALL).await;
}

async fn played(plan: &Plan, stage: &Stage, witness: &Witness, output: &mut Output<'_>) -> (Outcome, Used) {
    let egress = stage.egress.witnessed(witness.clone());
    let started = Instant::now();
    let outcome = match &plan.subject {
        Subject::Endpoint { task, .. } => {
            let endpoint = plan.endpoint(stage);
            outcome::of_task(&endpoint, &egress, &task.task(), witness, output).await
        }
        Subject::Cluster { .. } => outcome::of_jobs(&plan.cluster(stage), &egress, witness, output).await,
    };
    output(Piece::End);
    (outcome, Used { costs: egress.spent().total(), wall: started.elapsed() })
}
