//! One call of a conformance run, from a fresh instance to its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use airlock_sandbox::{
    Answer, Egress, EgressLimits, Endpoint, EndpointInfo, EventStream, Fault, Meter, Operation, Task,
    UpstreamResponse, User,
};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};

use super::{
    MODEL, SLUG, Subject,
    backend::{Backend, Script},
    verdict::{Stop, judge},
};

/// The most events of one stream: the backend sends four.
const MAX_EVENTS: usize = 1_000;
/// How long an instance may take to be gone. One that computes is ended at the sandbox's next tick.
const LINGERS: Duration = Duration::from_secs(2);

/// What the adaptor said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// What the backend did, with its status.
    Backends(StatusCode),
    /// An answer of its own making.
    Own,
}

impl Said {
    /// Whether a client would take it for a success.
    pub(super) fn is_success(self) -> bool {
        match self {
            Self::Backends(status) => status.is_success(),
            Self::Own => true,
        }
    }
}

/// A call that is over.
pub(super) struct Ended {
    pub(super) script: Script,
    pub(super) stream: bool,
    pub(super) said: Result<Said, Fault>,
    /// Requests that the backend got.
    pub(super) asked: usize,
    pub(super) meter: Meter,
}

impl Ended {
    /// For people: what the call was.
    pub(super) fn when(&self) -> String {
        let kind = if self.stream { "a streamed chat" } else { "a chat" };
        format!("{kind} with a backend that {}", self.script.does())
    }

    /// What it said; words where it reported an error, as it may.
    pub(super) async fn judged(&self) -> Result<Result<Said, String>, Stop> {
        let said = match &self.said {
            Ok(said) => Ok(*said),
            Err(fault) => Err(judge(fault, &self.when())?),
        };
        gone(&self.meter, &self.when()).await?;
        Ok(said)
    }
}

/// Waits for the instances of ended calls to be gone.
pub(super) async fn gone(meter: &Meter, when: &str) -> Result<(), Stop> {
    let started = Instant::now();
    while meter.live_instances() > 0 {
        if started.elapsed() > LINGERS {
            let remedy = "report this: the gateway did not end an instance";
            return Err(Stop::fails(format!("{when}: an instance is left"), remedy));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

impl Subject {
    /// A way out that leads to this backend, with so much patience.
    pub(super) fn egress(&self, backend: &Arc<Backend>, patience: Duration) -> Egress {
        let connector = self.connector.with_stand_in(Arc::<Backend>::clone(backend));
        let limits =
            EgressLimits { head_timeout: patience, idle_timeout: patience, ..EgressLimits::default() };
        Egress::new(connector, limits)
    }

    /// An endpoint whose calls are measured.
    /// A meter of calls that are this upload's.
    pub(super) fn meter(&self) -> Meter {
        Meter::of(&self.tenant)
    }

    pub(super) fn endpoint(&self, patience: Duration, meter: &Meter) -> Arc<Endpoint> {
        Arc::new(Endpoint {
            sandbox: self.sandbox.clone(),
            adaptor: Arc::clone(&self.adaptor),
            info: EndpointInfo {
                slug: SLUG.into(),
                cluster: "conformance".into(),
                framework: "api".into(),
                model: MODEL.into(),
                config: Value::Object(self.config()).to_string(),
            },
            grant: self.grant(),
            budgets: self.budgets(patience),
            pace: Arc::default(),
            health: Vec::new(),
            meter: Some(meter.clone()),
        })
    }

    /// A chat, to its end.
    pub(super) async fn chat(&self, script: Script, stream: bool, patience: Duration) -> Ended {
        let (backend, meter) = (Backend::new(script), self.meter());
        let egress = self.egress(&backend, patience);
        let endpoint = self.endpoint(patience, &meter);
        let whole = async { drain(endpoint.run(&egress, &task(stream)).await?).await };
        // Each step has its limit; this one is for many steps.
        let said = tokio::time::timeout(4 * patience, whole).await.unwrap_or(Err(Fault::Timeout));
        Ended { script, stream, said, asked: backend.asked(), meter }
    }
}

/// The task of each call.
pub(super) fn task(stream: bool) -> Arc<Task> {
    let messages = json!([{ "role": "user", "content": "Say: conformance" }]);
    let body = if stream {
        let options = json!({ "include_usage": true });
        json!({ "model": MODEL, "messages": messages, "stream": true, "stream_options": options })
    } else {
        json!({ "model": MODEL, "messages": messages })
    };
    Arc::new(Task {
        id: SLUG.into(),
        operation: Operation::ChatCompletions,
        model: MODEL.into(),
        stream,
        user: Some(User { id: "conformance".into(), name: None, groups: Vec::new(), domain: None }),
        body: body.to_string().into(),
        form: None,
        headers: http::HeaderMap::new(),
    })
}

async fn drain(answer: Answer) -> Result<Said, Fault> {
    match answer {
        Answer::Upstream(response) => forwarded(response).await,
        Answer::Body(body) => object("its body", &body).map(|()| Said::Own),
        Answer::Events(events) => all_of(events).await.map(|()| Said::Own),
    }
}

async fn forwarded(mut response: UpstreamResponse) -> Result<Said, Fault> {
    while let Some(frame) = response.body.frame().await {
        frame?;
    }
    Ok(Said::Backends(response.status))
}

async fn all_of(mut events: Box<EventStream>) -> Result<(), Fault> {
    for _ in 0..MAX_EVENTS {
        match events.next().await? {
            Some(event) => object("an event", &event)?,
            None => return Ok(()),
        }
    }
    Err(Fault::BadOutput(format!("its stream has more than {MAX_EVENTS} events and does not end")))
}

/// Whether this is one JSON object.
fn object(what: &str, bytes: &Bytes) -> Result<(), Fault> {
    let read = serde_json::from_slice::<Map<String, Value>>(bytes);
    read.map(drop).map_err(|error| Fault::BadOutput(format!("{what} is not a JSON object ({error})")))
}
