//! What is checked of an adaptor that runs tasks.

use airlock_sandbox::{Answer, Fault};
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::{
    LITTLE_PATIENCE, PATIENCE, Subject,
    backend::{Backend, Script},
    call::{gone, task},
    cost::Costs,
    step,
    verdict::{Stop, judge, words},
};
use crate::gate::{
    Busy,
    report::{Finding, Report},
};

/// What a backend that fails does.
const FAILURES: [Script; 6] = [
    Script::Status(400),
    Script::Status(429),
    Script::Status(500),
    Script::Garbage,
    Script::Empty,
    Script::BreaksOff,
];

pub(super) async fn run(subject: &Subject, report: &mut Report) -> Result<(), Busy> {
    let goes_on =
        step(report, ("configuration", "`validate` accepts its configuration"), configuration(subject));
    let is_whole = goes_on.await?
        && step(report, ("answers", "a chat is answered"), answers(subject, false)).await?
        && step(report, ("streams", "a streamed chat is answered"), answers(subject, true)).await?
        && step(report, ("errors", "a backend that fails is told as an error"), errors(subject)).await?
        && step(report, ("cancellation", "a client that leaves ends it"), Box::pin(cancellation(subject)))
            .await?
        && step(report, ("hanging", "a backend that hangs ends it"), hanging(subject)).await?;
    if is_whole {
        let mut costs = Costs::new();
        while costs.want_more() {
            costs.add(&subject.chat(Script::Well, false, PATIENCE).await.meter);
        }
        report.cost = Some(costs.of_one(report.took_ms("compilation")));
    }
    Ok(())
}

/// `validate` takes the configuration, or says what is missing: then nothing more can be run, which is nobody's fault.
async fn configuration(subject: &Subject) -> Result<Vec<String>, Stop> {
    let (backend, meter) = (Backend::new(Script::Well), subject.meter());
    let egress = subject.egress(&backend, PATIENCE);
    let validated = subject.endpoint(PATIENCE, &meter).validate(&egress).await;
    gone(&meter, "validate").await?;
    let Err(fault) = validated else { return Ok(Vec::new()) };
    judge(&fault, "validate")?;
    let given = Value::Object(subject.config());
    let why = match &fault {
        Fault::Reported(error) => error.message.clone(),
        other => words(other),
    };
    Err(Stop::Found(Finding::Skipped {
        message: format!("it was not run: `validate` refuses the configuration {given}: {why}"),
        remedy: "upload it with what it needs: `airlock adaptor push --config FILE`, or `?config=` and a JSON object, \
                     URL-encoded"
                .to_owned(),
    }))
}

/// A backend that answers well.
async fn answers(subject: &Subject, stream: bool) -> Result<Vec<String>, Stop> {
    let ended = subject.chat(Script::Well, stream, PATIENCE).await;
    let when = ended.when();
    let note = "the scripted backend speaks OpenAI's API; where yours speaks another, this says nothing";
    Ok(match ended.judged().await? {
        Ok(said) if said.is_success() => Vec::new(),
        Ok(said) => vec![format!("{when}: the answer is {said:?}; {note}")],
        Err(words) => vec![format!("{when}: {words}; {note}")],
    })
}

/// A backend that fails, in every way, whole and streamed.
async fn errors(subject: &Subject) -> Result<Vec<String>, Stop> {
    let mut warnings = Vec::new();
    let whole = FAILURES.iter().map(|script| (*script, false));
    let streamed = FAILURES.iter().chain([&Script::ErrorEvent]).map(|script| (*script, true));
    for (script, stream) in whole.chain(streamed) {
        let ended = subject.chat(script, stream, PATIENCE).await;
        let when = ended.when();
        let hides = matches!(script, Script::Status(_)) && ended.asked > 0;
        if ended.judged().await?.is_ok_and(|said| hides && said.is_success()) {
            warnings.push(format!("{when}: the answer is a success, and nobody will notice the error"));
        }
    }
    Ok(warnings)
}

/// A client that leaves while the backend has not answered yet, and in the middle of a stream.
async fn cancellation(subject: &Subject) -> Result<Vec<String>, Stop> {
    let (backend, meter) = (Backend::new(Script::Hangs), subject.meter());
    let (endpoint, egress) = (subject.endpoint(PATIENCE, &meter), subject.egress(&backend, PATIENCE));
    let (when, task_of_it) = ("a client that leaves before the answer", task(false));
    tokio::select! {
        () = backend.wait_for_request() => {}
        answer = endpoint.run(&egress, &task_of_it) => if let Err(fault) = answer { // one that asks nobody
            judge(&fault, when)?;
        }
    }
    gone(&meter, when).await?;

    let (backend, meter) = (Backend::new(Script::FallsSilent), subject.meter());
    let (endpoint, egress) = (subject.endpoint(PATIENCE, &meter), subject.egress(&backend, PATIENCE));
    let begun = async {
        match endpoint.run(&egress, &task(true)).await {
            Ok(Answer::Events(mut events)) => events.next().await.map(drop),
            Ok(Answer::Upstream(mut response)) => {
                response.body.frame().await.transpose().map(drop).map_err(Fault::from)
            }
            other => other.map(drop),
        }
    };
    let when = "a client that leaves in the middle of a stream";
    if let Ok(Err(fault)) = tokio::time::timeout(LITTLE_PATIENCE, begun).await {
        judge(&fault, when)?;
    }
    gone(&meter, when).await?;
    Ok(Vec::new())
}

/// A backend that never answers, and one that falls silent: the limits end the call. Both at once, as it is only waited
/// for.
async fn hanging(subject: &Subject) -> Result<Vec<String>, Stop> {
    let scripts = [(Script::Hangs, false), (Script::FallsSilent, true)];
    let calls = scripts.map(|(script, stream)| Box::pin(subject.chat(script, stream, LITTLE_PATIENCE)));
    for ended in join_all(calls).await {
        match &ended.said {
            // As it should be.
            Err(Fault::Timeout) => gone(&ended.meter, &ended.when()).await?,
            _ => drop(ended.judged().await?),
        }
    }
    Ok(Vec::new())
}
