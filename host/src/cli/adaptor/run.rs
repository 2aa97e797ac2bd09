//! `airlock adaptor run`: one task in the sandbox, with all that the adaptor does.

use std::{
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    named,
    stage::{self, Component, Config, Target},
    workbench::Workbench,
};
use crate::{
    cli::{
        Failure,
        remote::{self, Output, OutputArgs},
        say, wait,
    },
    config::Env,
    fixtures::endpoint_slug,
    trial::{
        self, Failure as Fault, Journal, Limits, Outcome, Piece, Plan, Shown, Stage, Subject, TaskText,
        Timed, Used,
    },
};

/// What the endpoint and the cluster are called, as far as adaptors are told.
const CLUSTER: &str = "local";
const FRAMEWORK: &str = "api";
/// The task where none is given.
const MESSAGE: &str = "Say hello.";

#[derive(Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) trial: TrialArgs,
    #[command(flatten)]
    pub(super) form: OutputArgs,
}

/// What is run, and how.
#[derive(Args)]
pub(super) struct TrialArgs {
    /// The project's folder, which is built first, or a .wasm file
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    target: PathBuf,
    /// A file with the JSON object that it is configured with: an endpoint's `config` [default: `[config]` of the project]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with the task: the JSON object that a client sends
    #[arg(long, value_name = "FILE", conflicts_with = "message")]
    task: Option<PathBuf>,
    /// A task of one message [default: Say hello.]
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// The API that is called: its path below /v1/
    #[arg(long, value_name = "PATH", default_value = "chat/completions")]
    operation: String,
    /// Ask for events
    #[arg(long)]
    stream: bool,
    /// The model [default: the task's, else `model`]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What a middleware stands in front of: a bundled adaptor or a .wasm file; may be given again for a longer chain
    /// [default: direct-api]
    #[arg(long, value_name = "NAME|FILE")]
    behind: Vec<String>,
    /// Another place that it may reach, as http://host:port; may be given again
    #[arg(long, value_name = "ORIGIN")]
    allow: Vec<String>,
    /// Ask it for the jobs of a cluster, where it can do both
    #[arg(long)]
    cluster: bool,
    /// Folder of the bundled adaptors [default: ../adaptors, from the binary]
    #[arg(long, value_name = "DIR")]
    adaptors: Option<PathBuf>,
}

/// A run that is over.
pub(super) struct Done {
    pub(super) plan: Plan,
    pub(super) outcome: Outcome,
    pub(super) used: Used,
    /// All that happened; nothing where that is more than is kept.
    pub(super) steps: Option<Vec<Timed>>,
    pub(super) parts: Vec<Component>,
}

pub(super) fn run(args: &RunArgs, env: &Env) -> Result<(), Failure> {
    let done = args.trial.run(args.form.output, env)?;
    if args.form.output == Output::Json {
        remote::json(&report(&done))?;
    }
    verdict(&done.outcome)
}

impl TrialArgs {
    /// Runs it. With output for people, shows everything as it happens.
    pub(super) fn run(&self, output: Output, env: &Env) -> Result<Done, Failure> {
        let Target { component, config: own } = Target::open(&self.target)?;
        let config = Config::read(self.config.as_deref(), own.as_ref())?;
        let bench = Workbench::open(self.adaptors.clone(), env)?;
        let is_cluster = self.cluster || !component.found.kind.endpoint;
        let parts = stage::chain(component, &self.behind, &bench.settings.adaptors_dir())?;
        let plan = Plan {
            parts: parts.iter().map(|component| component.part.clone()).collect(),
            subject: self.subject(&config, is_cluster)?,
            limits: Limits::of(&bench.settings.budgets()),
        };
        let grant = config.grant(&self.allow, plan.subject.name(), &bench, env)?;
        wait(async {
            let stage = stage::stage(bench, &parts, grant).await?;
            let (outcome, used, steps) = play(&plan, &stage, output).await;
            Ok(Done { plan, outcome, used, steps, parts })
        })
    }

    fn subject(&self, config: &Config, is_cluster: bool) -> Result<Subject, Failure> {
        let config = config.values.clone();
        if is_cluster {
            let model = self.model.clone().unwrap_or_else(|| "model".into());
            return Ok(Subject::Cluster { name: CLUSTER.into(), config, model });
        }
        let body = match &self.task {
            Some(file) => std::fs::read(file).map_err(|e| named(file, e))?,
            None => TaskText::message(self.message.as_deref().unwrap_or(MESSAGE)),
        };
        let task = TaskText::read(body, &self.operation, self.model.as_deref(), self.stream);
        let task = task.map_err(|error| match &self.task {
            Some(file) => named(file, error),
            None => Failure::new(error),
        })?;
        let model = task.model.clone();
        let (cluster, framework) = (CLUSTER.to_owned(), FRAMEWORK.to_owned());
        let slug = endpoint_slug(&cluster, &framework, &model);
        Ok(Subject::Endpoint { slug, cluster, framework, model, config, task })
    }
}

async fn play(plan: &Plan, stage: &Stage, output: Output) -> (Outcome, Used, Option<Vec<Timed>>) {
    let stdout = &mut to_stdout(output);
    if output == Output::Json {
        let journal = Arc::new(Journal::new(None));
        let (outcome, used) = trial::run(plan, stage, Arc::<Journal>::clone(&journal), stdout).await;
        return (outcome, used, journal.steps());
    }
    let shown = Arc::new(Mutex::new(Shown::default()));
    head(plan);
    let journal = Arc::new(watched(&shown));
    let (outcome, used) = trial::run(plan, stage, Arc::<Journal>::clone(&journal), stdout).await;
    let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
    shown.summary(&used, &plan.limits).iter().for_each(say);
    (outcome, used, journal.steps())
}

/// A journal whose steps are shown as they happen.
pub(super) fn watched(shown: &Arc<Mutex<Shown>>) -> Journal {
    let shown = Arc::clone(shown);
    Journal::new(Some(Box::new(move |at, step| {
        shown.lock().unwrap_or_else(PoisonError::into_inner).lines(at, step).iter().for_each(say);
    })))
}

/// What is about to run.
pub(super) fn head(plan: &Plan) {
    for part in &plan.parts {
        let digest: String = part.digest.chars().take(12).collect();
        say(format_args!("adaptor {} (sha256:{digest}…, {} bytes)", part.name, part.size));
    }
    say(format_args!("as {}", plan.subject.name()));
}

/// The answer as a client gets it, where people look. A reader that is gone is nobody's loss.
pub(super) fn to_stdout(output: Output) -> impl FnMut(Piece<'_>) + Send {
    move |piece| {
        if output == Output::Json {
            return;
        }
        let mut out = std::io::stdout().lock();
        let _ = match piece {
            Piece::Bytes(bytes) => out.write_all(bytes),
            Piece::Event(event) => out
                .write_all(b"data: ")
                .and_then(|()| out.write_all(event))
                .and_then(|()| out.write_all(b"\n\n")),
            Piece::Done => out.write_all(b"data: [DONE]\n\n"),
            Piece::End => out.write_all(b"\n"),
        };
        let _ = out.flush();
    }
}

/// The whole run, for programs.
fn report(done: &Done) -> Value {
    let Done { plan, outcome, used, steps, .. } = done;
    json!({
        "success": outcome.is_success(),
        "plan": plan,
        "steps": steps,
        "outcome": outcome,
        "used": {
            "cpu_us": u64::try_from(used.costs.cpu.as_micros()).unwrap_or(u64::MAX),
            "peak_memory_bytes": used.costs.peak_memory,
            "wall_us": u64::try_from(used.wall.as_micros()).unwrap_or(u64::MAX),
        },
    })
}

/// How it went, for the exit code.
pub(super) fn verdict(outcome: &Outcome) -> Result<(), Failure> {
    match (&outcome.failure, outcome.status) {
        (Some(failure), _) => Err(in_words(failure)),
        (None, Some(status)) if !outcome.is_success() => {
            Err(Failure::new(format_args!("the backend answered {status}, which a client gets as an error")))
        }
        _ => Ok(()),
    }
}

fn in_words(failure: &Fault) -> Failure {
    let Fault { kind, during, message, .. } = failure;
    Failure::new(format_args!("{during}: {message}\n  ({kind}) {}", trial::fault_remedy(failure)))
}
