//! What comes of a run.

use std::sync::Arc;

use airlock_sandbox::{
    AdaptorError, Answer, Cluster, Data, Egress, EgressError, Endpoint, EventStream, Fault, Job, Jobs,
    ReplyKind, Step, Task, UpstreamResponse, Witness,
};
use bytes::{Bytes, BytesMut};
use http::header;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The most that is kept of an answer.
const MOST_BYTES: usize = 64 << 20;

/// Where a piece of the answer goes: a body's as it is, an event's payload as an event.
pub type Output<'a> = dyn FnMut(Piece<'_>) + Send + 'a;

/// What comes out of a run.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// Bytes of a body.
    Bytes(&'a [u8]),
    /// The payload of an event.
    Event(&'a [u8]),
    /// The adaptor's events are over.
    Done,
    /// Nothing more comes.
    End,
}

/// What came of a run: a reply, or why there was none, or both where it broke off.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outcome {
    /// The kind of the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyKind>,
    /// The status of a backend's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The headers of a backend's answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Data)>,
    /// The body, or what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Data>,
    /// The adaptor's own events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Data>,
    /// What a cluster runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// In one word.
    pub kind: String,
    /// In which call: `validate` or `task`.
    pub during: String,
    /// What the adaptor itself reported.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reported: Option<AdaptorError>,
    /// In words; of a trap with the guest's functions.
    pub message: String,
}

impl Failure {
    /// A fault in one of a run's calls.
    pub fn of(fault: &Fault, during: &str) -> Self {
        let kind = match fault {
            Fault::Reported(_) => "reported",
            Fault::Overloaded { .. } | Fault::DayUsedUp { .. } => "overloaded",
            Fault::Trap(_) => "trap",
            Fault::CpuLimit => "cpu-limit",
            Fault::MemoryLimit => "memory-limit",
            Fault::Timeout => "timeout",
            Fault::BadOutput(_) => "bad-output",
            Fault::Egress(EgressError::Denied(_)) => "egress-denied",
            Fault::Egress(_) => "egress",
        };
        let reported = match fault {
            Fault::Reported(error) => Some(error.clone()),
            _ => None,
        };
        Self { kind: kind.into(), during: during.into(), reported, message: fault.to_string() }
    }
}

impl Outcome {
    /// Nothing but a failure.
    pub fn failed(failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }

    /// Whether a client would take it for a success.
    pub fn is_success(&self) -> bool {
        self.failure.is_none() && self.status.is_none_or(|status| (200..300).contains(&status))
    }

    /// The same, where the run ended because nothing more came.
    pub(super) fn interrupted(&self) -> Option<Self> {
        let failure = self.failure.as_ref()?;
        (failure.kind == "timeout").then(|| self.clone())
    }

    fn fail(&mut self, fault: &Fault) {
        self.failure = Some(Failure::of(fault, "task"));
    }
}

/// Validates, and runs a task to the end of its answer.
pub(super) async fn of_task(
    endpoint: &Arc<Endpoint>,
    egress: &Egress,
    task: &Arc<Task>,
    witness: &Witness,
    output: &mut Output<'_>,
) -> Outcome {
    witness.saw(&Step::Call { export: "validate".into() });
    if let Err(fault) = endpoint.validate(egress).await {
        return Outcome::failed(Failure::of(&fault, "validate"));
    }
    let export = if task.stream { "submit-streaming-task" } else { "submit-task" };
    witness.saw(&Step::Call { export: export.into() });
    let mut outcome = Outcome::default();
    match endpoint.run(egress, task).await {
        Err(fault) => outcome.fail(&fault),
        Ok(Answer::Body(body)) => {
            output(Piece::Bytes(&body));
            let checked = wanted(task, false).and_then(|()| object("its body", &body));
            outcome.body = Some(body.into());
            checked.unwrap_or_else(|fault| outcome.fail(&fault));
        }
        Ok(Answer::Events(events)) => {
            let done = match wanted(task, true) {
                Ok(()) => all_of(events, &mut outcome, witness, output).await,
                Err(fault) => Err(fault),
            };
            done.unwrap_or_else(|fault| outcome.fail(&fault));
        }
        Ok(Answer::Upstream(response)) => {
            let done = backends(response, task, &mut outcome, output).await;
            done.unwrap_or_else(|fault| outcome.fail(&fault));
        }
    }
    outcome.reply = witness.reply();
    outcome
}

/// Whether events were wanted where they came, and a body where that came.
fn wanted(task: &Task, events: bool) -> Result<(), Fault> {
    match (task.stream, events) {
        (true, false) => Err(bad("a task that wants events was answered with a body")),
        (false, true) => Err(bad("a task that wants one answer was answered with events")),
        _ => Ok(()),
    }
}

fn bad(what: impl Into<String>) -> Fault {
    Fault::BadOutput(what.into())
}

async fn all_of(
    mut events: Box<EventStream>,
    outcome: &mut Outcome,
    witness: &Witness,
    output: &mut Output<'_>,
) -> Result<(), Fault> {
    let mut bytes = 0;
    while let Some(event) = events.next().await? {
        bytes += event.len();
        if bytes > MOST_BYTES {
            return Err(bad(format!("its events are more than the {MOST_BYTES} bytes that a run keeps")));
        }
        witness.saw(&Step::Event { number: outcome.events.len() + 1, bytes: event.len() });
        output(Piece::Event(&event));
        let checked = object("an event", &event);
        outcome.events.push(event.into());
        checked?;
    }
    output(Piece::Done);
    Ok(())
}

async fn backends(
    mut response: UpstreamResponse,
    task: &Task,
    outcome: &mut Outcome,
    output: &mut Output<'_>,
) -> Result<(), Fault> {
    outcome.status = Some(response.status.as_u16());
    let value = |value: &http::HeaderValue| Data(Bytes::copy_from_slice(value.as_bytes()));
    outcome.headers = response.headers.iter().map(|(n, v)| (n.to_string(), value(v))).collect();
    let mut body = BytesMut::new();
    let mut read = Ok(());
    while let Some(frame) = response.body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) if body.len() + data.len() > MOST_BYTES => {
                read = Err(Fault::Egress(EgressError::TooLarge(MOST_BYTES as u64)));
                break;
            }
            Ok(Ok(data)) => {
                output(Piece::Bytes(&data));
                body.extend_from_slice(&data);
            }
            Ok(Err(_)) => {}
            Err(error) => {
                read = Err(Fault::Egress(error));
                break;
            }
        }
    }
    outcome.body = Some(body.freeze().into());
    read?;
    let kind = response.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    let has_events = kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"));
    if response.status.is_success() { wanted(task, has_events) } else { Ok(()) }
}

/// Asks for the jobs of a cluster.
pub(super) async fn of_jobs(
    cluster: &Arc<Cluster>,
    egress: &Egress,
    witness: &Witness,
    output: &mut Output<'_>,
) -> Outcome {
    witness.saw(&Step::Call { export: "get-jobs".into() });
    let mut outcome = Outcome::default();
    match cluster.get_jobs(egress, &"trial".into(), None).await {
        Err(fault) => outcome.fail(&fault),
        Ok(jobs) => match written(&jobs) {
            Ok(jobs) => {
                output(Piece::Bytes(format!("{jobs:#}").as_bytes()));
                outcome.jobs = Some(jobs);
            }
            Err(fault) => outcome.fail(&fault),
        },
    }
    outcome.reply = witness.reply();
    outcome
}

/// A report as JSON, in the contract's words.
fn written(jobs: &Jobs) -> Result<Value, Fault> {
    let list = |jobs: &[Job]| jobs.iter().map(job).collect::<Result<Vec<_>, Fault>>();
    Ok(json!({
        "running": list(&jobs.running)?,
        "queued": list(&jobs.queued)?,
        "stopped": list(&jobs.stopped)?,
        "others": list(&jobs.others)?,
        "private-batch-running": list(&jobs.private_batch_running)?,
        "private-batch-queued": list(&jobs.private_batch_queued)?,
        "cluster-status": text_of_object("cluster-status", &jobs.cluster_status)?,
        "cache-ms": jobs.cache_ms,
    }))
}

fn job(job: &Job) -> Result<Value, Fault> {
    let extra = text_of_object("a job's `extra`", &job.extra)?;
    Ok(json!({ "models": job.models, "framework": job.framework, "cluster": job.cluster, "extra": extra }))
}

fn text_of_object(what: &str, text: &str) -> Result<Value, Fault> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    object(what, text.as_bytes())?;
    serde_json::from_str(text).map_err(|error| bad(format!("{what}: {error}")))
}

/// Whether this is one JSON object.
fn object(what: &str, bytes: &[u8]) -> Result<(), Fault> {
    let read = serde_json::from_slice::<Map<String, Value>>(bytes);
    read.map(drop).map_err(|error| bad(format!("{what} is not one JSON object ({error})")))
}
