//! `airlock adaptor replay`: a recording, played again.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use clap::Args;
use serde_json::json;

use super::{
    named, record,
    run::{head, to_stdout, watched},
    stage::{self, Component, Target},
    workbench::Workbench,
};
use crate::{
    cli::{
        Failure,
        remote::{self, Output, OutputArgs},
        say, wait,
    },
    config::Env,
    fixtures::bundled_adaptors,
    trial::{self, Journal, Outcome, Part, Plan, Recording, Shown},
};

#[derive(Args)]
pub(super) struct ReplayArgs {
    /// The recording
    recording: PathBuf,
    /// A project's folder, which is built first: its component is played in the place of the recorded one
    #[arg(value_name = "DIR", conflicts_with = "component")]
    project: Option<PathBuf>,
    /// A component that is played in the place of the recorded one
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Write the recording again, with what came of it now. Only where it asks for what it asked for then
    #[arg(long)]
    update: bool,
    /// Folder of the bundled adaptors [default: ../adaptors, from the binary]
    #[arg(long, value_name = "DIR")]
    adaptors: Option<PathBuf>,
    #[command(flatten)]
    form: OutputArgs,
}

/// What came of a replay.
struct Played {
    outcome: Outcome,
    divergence: Option<String>,
    differences: Vec<String>,
    journal: Arc<Journal>,
}

pub(super) fn run(args: &ReplayArgs, env: &Env) -> Result<(), Failure> {
    let recording = Recording::open(&args.recording).map_err(|e| named(&args.recording, e))?;
    let bench = Workbench::open(args.adaptors.clone(), env)?;
    let parts = parts(args, &recording.plan, &bench.settings.adaptors_dir())?;
    let plan = Plan {
        parts: parts.iter().map(|component| component.part.clone()).collect(),
        ..recording.plan.clone()
    };
    let output = args.form.output;
    let played = wait(async {
        let stage = stage::sealed(bench, &parts).await?;
        let shown = Arc::new(Mutex::new(Shown::default()));
        let journal = if output == Output::Json { Journal::new(None) } else { watched(&shown) };
        if output != Output::Json {
            head(&plan);
        }
        let journal = Arc::new(journal);
        let (outcome, divergence) =
            trial::replay(&recording, &plan, &stage, Arc::<Journal>::clone(&journal), &mut to_stdout(output))
                .await;
        let differences = trial::differences(&recording.outcome, &outcome);
        Ok(Played { outcome, divergence, differences, journal })
    })?;
    if output == Output::Json {
        remote::json(&json!({
            "same": played.is_same(),
            "divergence": played.divergence,
            "differences": played.differences,
            "outcome": played.outcome,
        }))?;
    }
    match (args.update, &played.divergence) {
        (true, None) => update(args, plan, &recording, played),
        _ => verdict(&played),
    }
}

impl Played {
    fn is_same(&self) -> bool {
        self.divergence.is_none() && self.differences.is_empty()
    }
}

fn verdict(played: &Played) -> Result<(), Failure> {
    if played.is_same() {
        say("the same as it was recorded");
        return Ok(());
    }
    // Where it asks for something else, what comes of it is a consequence.
    let divergence = played.divergence.iter().map(|how| format!("it asks for something else: {how}"));
    let all: Vec<String> = divergence.chain(played.differences.iter().cloned()).collect();
    Err(Failure::new(format_args!("not the same as it was recorded:\n  {}", all.join("\n  "))))
}

fn update(args: &ReplayArgs, plan: Plan, recorded: &Recording, played: Played) -> Result<(), Failure> {
    let steps =
        played.journal.steps().ok_or_else(|| Failure::new("the replay is too large to be recorded"))?;
    let mut plan = plan;
    if recorded.plan.parts.iter().all(|part| part.component.is_some()) {
        plan.parts.iter_mut().zip(&recorded.plan.parts).for_each(|(part, recorded)| {
            part.component = recorded.component.clone().filter(|_| part.digest == recorded.digest);
        });
    }
    record::write(&Recording::new(plan, steps, played.outcome), &args.recording)?;
    for difference in &played.differences {
        say(difference);
    }
    say(format_args!("{} written again", args.recording.display()));
    Ok(())
}

/// The components to play: the recorded ones, the first of them in the version that is named.
fn parts(args: &ReplayArgs, plan: &Plan, adaptors: &Path) -> Result<Vec<Component>, Failure> {
    let first = match (&args.component, &args.project) {
        (Some(file), _) => Some(Component::read(file)?),
        (None, Some(project)) => Some(Target::open(project)?.component),
        (None, None) => None,
    };
    let named = usize::from(first.is_some());
    let others = plan.parts.iter().skip(named).map(|part| recorded(part, adaptors));
    first.map(Ok).into_iter().chain(others).collect()
}

/// A component as it was recorded: out of the recording, or a bundled one that is still the same.
fn recorded(part: &Part, adaptors: &Path) -> Result<Component, Failure> {
    let Part { name, digest, component, .. } = part;
    if let Some(component) = component {
        let read = Component::of(name, component.0.to_vec());
        return read.map_err(|e| Failure::new(format_args!("the component {name} in the recording: {e}")));
    }
    if bundled_adaptors().any(|bundled| bundled == name) {
        let bundled = Component::read(&adaptors.join(format!("{name}.wasm")))?;
        if bundled.part.digest == *digest {
            return Ok(bundled);
        }
        return Err(Failure::new(format_args!(
            "the recording is of another version of the bundled adaptor {name} (sha256:{digest}): play it with the airlock \
             that recorded it, or record with --with-component"
        )));
    }
    Err(Failure::new(format_args!(
        "the recording does not hold the component {name} (sha256:{digest}): name it with --component, or a project's \
         folder; `record --with-component` keeps it in the recording"
    )))
}
