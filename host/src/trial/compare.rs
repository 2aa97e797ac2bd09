//! Where what came of a replay differs from what was recorded.

use airlock_sandbox::{Data, body_difference};
use serde::Serialize;

use super::{Failure, Outcome};

/// Every difference, in words; none where both are the same, byte for byte.
pub fn differences(recorded: &Outcome, now: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |what: &str, recorded: String, now: String| {
        if recorded != now {
            found.push(format!("{what}: recorded {recorded}, now {now}"));
        }
    };
    note("reply", shown(&recorded.reply), shown(&now.reply));
    note("failure", failure(recorded.failure.as_ref()), failure(now.failure.as_ref()));
    note("status", shown(&recorded.status), shown(&now.status));
    note("headers", shown(&recorded.headers), shown(&now.headers));
    note("events", recorded.events.len().to_string(), now.events.len().to_string());
    note("jobs", shown(&recorded.jobs), shown(&now.jobs));
    found.extend(of_data("the answer", recorded.body.as_ref(), now.body.as_ref()));
    let events = recorded.events.iter().zip(&now.events).enumerate();
    found.extend(events.filter_map(|(at, (recorded, now))| {
        of_data(&format!("event {}", at + 1), Some(recorded), Some(now))
    }));
    found
}

fn of_data(what: &str, recorded: Option<&Data>, now: Option<&Data>) -> Option<String> {
    match (recorded, now) {
        (None, None) => None,
        (Some(recorded), Some(now)) if recorded == now => None,
        (Some(recorded), Some(now)) => Some(format!("{what}: {}", body_difference(&recorded.0, &now.0))),
        (Some(_), None) => Some(format!("{what}: recorded, and now there is none")),
        (None, Some(_)) => Some(format!("{what}: none was recorded, and now there is one")),
    }
}

fn shown(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Where it trapped is another place in another version: what counts is why.
fn failure(failure: Option<&Failure>) -> String {
    let Some(Failure { kind, during, message, .. }) = failure else { return "none".into() };
    let why = message.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    format!("{kind} in {during} ({why})")
}
