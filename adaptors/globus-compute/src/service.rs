//! Calls to the Globus Compute service. All requests of one client have a budget together (20 in 10 seconds, by the
//! service's documentation of its limits), so submits and questions are made for many tasks at a time.

use std::time::Duration;

use airlock_adaptor::coalescing::{Budget, Pace, Ticket};
use airlock_adaptor::serde_json::{self, Value, json};
use airlock_adaptor::shared::{self, Settled, Shared};
use airlock_adaptor::{AdaptorError, UpstreamRequest, key_value, serde::Deserialize, upstream, warn};

use crate::field;
use crate::outcome::excerpt;
use crate::pack::JSON_KIND;
use crate::settings::Service;

/// Below the service's 20 in 10 seconds: others may use the same client.
const CALLS: u32 = 18;
const PER_MS: u32 = 10_000;
/// How long a submit waits for others, and how often tasks are asked about.
const GATHER_MS: u32 = 30;
const POLL_MS: u32 = 1_000;
/// What the service takes of tasks in a question, and of bytes in a submit (10 MB, with room for what is around).
const MAX_TASKS: u32 = 128;
const MAX_BYTES: usize = 9_500_000;
/// How long the state of an endpoint counts; FIRST's times.
const ONLINE_MS: u32 = 60_000;
const ERROR_MS: u32 = 10_000;
/// Longest wait that the service may ask for, and how often a call is tried.
const MAX_WAIT: u64 = 10;
const TRIES: u32 = 4;
const ANSWER_LIMIT: usize = 64 << 20;
const SUBMIT_TIMEOUT_MS: u32 = 60_000;

/// The state of a Globus Compute endpoint. `details` and what is in it may be absent.
#[derive(Debug, Clone, Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
pub(crate) struct EndpointState {
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Value,
}

impl EndpointState {
    pub(crate) fn is_online(&self) -> bool {
        self.status.eq_ignore_ascii_case("online")
    }

    /// Workers' managers, where the service says how many there are.
    pub(crate) fn managers(&self) -> Option<u64> {
        let managers = field(&self.details, "managers");
        managers.as_u64().or_else(|| managers.as_str()?.parse().ok())
    }
}

impl Service {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api_url.trim_end_matches('/'))
    }

    fn group(&self, what: &str) -> String {
        format!("globus/{what}/{}/{}", self.client_id_env_name, self.api_url)
    }

    fn pace(&self, gather_ms: u32, interval_ms: u32) -> Pace {
        let name = self.group("calls");
        Pace {
            gather_ms,
            interval_ms,
            max_items: MAX_TASKS,
            budget: Some(Budget { name, calls: CALLS, per_ms: PER_MS }),
        }
    }

    /// The state of an endpoint, as it was within the last minute.
    pub(crate) fn endpoint(&self, uuid: &str) -> Result<EndpointState, AdaptorError> {
        let key = self.group(&format!("state/{uuid}"));
        let state = match key_value::get(&key) {
            Some(state) => state,
            None => self.ask_endpoint(uuid, &key)?,
        };
        serde_json::from_slice(&state)
            .map_err(|_| unusable("the state of the compute endpoint could not be read"))
    }

    fn ask_endpoint(&self, uuid: &str, key: &str) -> Result<Vec<u8>, AdaptorError> {
        let url = self.url(&format!("/v2/endpoints/{uuid}/status"));
        let ask = |tickets: &[Ticket]| {
            let answer = fetch("GET", &url, None);
            // A state that cannot be read is remembered for a while too, so that nobody insists.
            let (kept, ttl) = match &answer {
                Ok(state) => (state.as_slice(), ONLINE_MS),
                Err(_) => (b"{\"status\":\"unknown\"}".as_slice(), ERROR_MS),
            };
            let _ = key_value::set(key, kept, Some(ttl));
            tickets.iter().map(|_| Some(answer.clone())).collect()
        };
        let asked = shared::call(
            &self.group(&format!("state/{uuid}")),
            b"",
            &self.pace(0, 0),
            SUBMIT_TIMEOUT_MS,
            ask,
        )?;
        asked.ok_or_else(|| unusable("the state of the compute endpoint could not be read in time"))
    }

    /// Submits one task, together with those of others for the same endpoint: its id.
    pub(crate) fn submit(
        &self,
        endpoint: &str,
        function: &str,
        payload: &str,
    ) -> Result<String, AdaptorError> {
        let item = json!([function, payload]).to_string();
        if item.len() > MAX_BYTES {
            let message = "the request is larger than Globus Compute carries (10 MB)";
            return Err(AdaptorError::new(413, "request_too_large", message));
        }
        let url = self.url(&format!("/v3/endpoints/{endpoint}/submit"));
        let group = self.group(&format!("submit/{endpoint}"));
        let send = |tickets: &[Ticket]| submit_all(&url, tickets);
        let task = shared::call(&group, item.as_bytes(), &self.pace(GATHER_MS, 0), SUBMIT_TIMEOUT_MS, send)?;
        let task = task.ok_or_else(|| {
            AdaptorError::unavailable("overloaded", "the task could not be submitted in time")
        })?;
        Ok(String::from_utf8_lossy(&task).into_owned())
    }

    /// Waits for a task, asking about those of all requests at once: its status; `None` where it takes too long.
    pub(crate) fn wait(&self, task: &str, timeout_ms: u32) -> Result<Option<Vec<u8>>, AdaptorError> {
        self.watch(task)?.wait(timeout_ms)
    }

    /// Has a task asked about along with those of all other requests.
    pub(crate) fn watch(&self, task: &str) -> Result<Watch, AdaptorError> {
        let pace = self.pace(POLL_MS / 2, POLL_MS);
        let shared = Shared::join(&self.group("poll"), task.as_bytes(), &pace)?;
        Ok(Watch { url: self.url("/v2/batch_status"), shared })
    }

    /// Asks where a task stands at this moment. A result that is there is handed over, once.
    pub(crate) fn look(&self, task: &str) -> Result<Vec<u8>, AdaptorError> {
        let url = self.url("/v2/batch_status");
        let ask = |tickets: &[Ticket]| statuses(&url, tickets, true);
        let status =
            shared::call(&self.group("look"), task.as_bytes(), &self.pace(200, 0), SUBMIT_TIMEOUT_MS, ask)?;
        status.ok_or_else(|| unusable("the task's status could not be read in time"))
    }
}

/// A task that is asked about.
pub(crate) struct Watch {
    url: String,
    shared: Shared,
}

impl Watch {
    /// The task's status once it is done; `None` where that takes longer. With 0, only what is known or due now.
    pub(crate) fn wait(&self, timeout_ms: u32) -> Result<Option<Vec<u8>>, AdaptorError> {
        self.shared.wait(timeout_ms, |tickets| statuses(&self.url, tickets, false))
    }
}

fn text(ticket: &Ticket) -> String {
    String::from_utf8_lossy(&ticket.item).into_owned()
}

/// Submits as many as fit into one request; the others wait for the next.
fn submit_all(url: &str, tickets: &[Ticket]) -> Vec<Settled> {
    let mut size = 0;
    let fitting = tickets.iter().take_while(|ticket| {
        size += ticket.item.len();
        size <= MAX_BYTES
    });
    let tasks: Vec<(String, String)> =
        fitting.map(|ticket| serde_json::from_slice(&ticket.item).unwrap_or_default()).collect();
    let mut by_function = serde_json::Map::new();
    for (function, payload) in &tasks {
        let payloads = by_function.entry(function.clone()).or_insert_with(|| json!([]));
        if let Some(payloads) = payloads.as_array_mut() {
            payloads.push(json!(payload));
        }
    }
    let body = json!({ "tasks": by_function, "result_serializers": [JSON_KIND] });
    let answer = fetch("POST", url, Some(&body)).and_then(|answer| {
        serde_json::from_slice::<Value>(&answer).map_err(|_| unusable("the answer to a submit is not JSON"))
    });
    let mut given = std::collections::HashMap::<&str, usize>::new();
    let settled = tasks.iter().map(|(function, _)| {
        // Ids come in the order of the payloads, function by function.
        let at = given.entry(function).or_default();
        let id = answer.as_ref().map(|answer| {
            field(field(answer, "tasks"), function).get(*at).and_then(Value::as_str).map(str::to_owned)
        });
        *at += 1;
        Some(match id {
            Ok(Some(id)) => Ok(id.into_bytes()),
            Ok(None) => Err(unusable("the answer to a submit has no id for the task")),
            Err(error) => Err(error.clone()),
        })
    });
    settled.collect()
}

/// Asks about many tasks. Those that are on their way are settled only where `is_look`.
fn statuses(url: &str, tickets: &[Ticket], is_look: bool) -> Vec<Settled> {
    let ids: Vec<String> = tickets.iter().map(text).collect();
    let answer = fetch("POST", url, Some(&json!({ "task_ids": ids })));
    let answer = answer.and_then(|answer| {
        serde_json::from_slice::<Value>(&answer).map_err(|_| unusable("the tasks' statuses are not JSON"))
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if is_look => return ids.iter().map(|_| Some(Err(error.clone()))).collect(),
        Err(error) => {
            // They are asked about again: a task runs on, whatever becomes of a question.
            warn!("tasks could not be asked about: {}", error.message);
            return Vec::new();
        }
    };
    let settled = ids.iter().map(|id| {
        let status = field(field(&answer, "results"), id);
        let word = field(status, "status").as_str().unwrap_or_default();
        let is_done = ["success", "failed"].iter().any(|done| word.eq_ignore_ascii_case(done));
        (is_done || is_look).then(|| Ok(status.to_string().into_bytes()))
    });
    settled.collect()
}

/// One call to the service, tried again where it says that it is busy.
fn fetch(method: &str, url: &str, body: Option<&Value>) -> Result<Vec<u8>, AdaptorError> {
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
    if body.is_some() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let request = UpstreamRequest {
        method: method.to_owned(),
        url: url.to_owned(),
        headers,
        body: Some(body.map(Value::to_string).unwrap_or_default().into_bytes()),
        timeout_ms: Some(30_000),
    };
    for attempt in 1.. {
        let response = upstream::send(&request)?;
        let status = response.status();
        if upstream::is_success(&response) {
            return upstream::read_all(&response, ANSWER_LIMIT);
        }
        let wait = retry_after(&response.headers());
        let answer = upstream::read_all(&response, 64 << 10).unwrap_or_default();
        if attempt < TRIES && matches!(status, 429 | 502 | 503 | 504) {
            let seconds = wait.unwrap_or(1 << (attempt - 1)).clamp(1, MAX_WAIT);
            warn!("Globus Compute answered {status}; waiting for {seconds} s");
            std::thread::sleep(Duration::from_secs(seconds));
            continue;
        }
        warn!("Globus Compute answered {status}: {}", excerpt(&String::from_utf8_lossy(&answer)));
        return Err(refusal(status, &answer, wait));
    }
    Err(unusable("Globus Compute does not answer"))
}

fn retry_after(headers: &[(String, String)]) -> Option<u64> {
    headers.iter().find(|(name, _)| name == "retry-after").and_then(|(_, value)| value.trim().parse().ok())
}

/// The service's error, in words for whoever asked.
fn refusal(status: u16, answer: &[u8], wait: Option<u64>) -> AdaptorError {
    let said: Value = serde_json::from_slice(answer).unwrap_or_default();
    let detail = ["detail", "reason"]
        .iter()
        .find_map(|key| field(&said, key).as_str())
        .unwrap_or("it does not say why");
    let wait_ms = wait.map(|seconds| u32::try_from(seconds.saturating_mul(1000)).unwrap_or(u32::MAX));
    match status {
        401 | 403 => {
            AdaptorError::bad_upstream("upstream_auth_error", "Globus Compute refused the gateway's client")
        }
        413 => AdaptorError::new(
            413,
            "request_too_large",
            "the request is larger than Globus Compute carries (10 MB)",
        ),
        429 | 503 => {
            let message = "Globus Compute takes no more requests at the moment; try again later";
            AdaptorError::unavailable("upstream_busy", message).retry_after(wait_ms.unwrap_or(10_000))
        }
        _ => AdaptorError::bad_upstream(
            "upstream_error",
            format!("Globus Compute answered {status}: {}", excerpt(detail)),
        ),
    }
}

fn unusable(message: &str) -> AdaptorError {
    AdaptorError::bad_upstream("upstream_bad_response", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoints_state_is_read_with_and_without_details() {
        let state = |text: &str| serde_json::from_str::<EndpointState>(text).unwrap();
        let online = state(r#"{"status":"online","details":{"managers":2,"total_workers":8}}"#);
        assert!(online.is_online());
        assert_eq!(online.managers(), Some(2));
        for (text, is_online) in [
            (r#"{"status":"ONLINE"}"#, true),
            (r#"{"status":"offline","details":null}"#, false),
            ("{}", false),
        ] {
            assert_eq!((state(text).is_online(), state(text).managers()), (is_online, None), "{text}");
        }
    }

    #[test]
    fn refusals_are_told_to_whom_they_concern() {
        let error = |status, body: &str| refusal(status, body.as_bytes(), Some(7));
        assert_eq!((error(401, "").status, error(401, "").code.as_str()), (502, "upstream_auth_error"));
        assert_eq!(error(413, "").status, 413);
        assert_eq!((error(429, "").status, error(429, "").retry_after_ms), (503, Some(7000)));
        let detail =
            error(422, r#"{"status":"Failed","code":"SEMANTICALLY_INVALID","detail":"no such function"}"#);
        assert_eq!(detail.message, "Globus Compute answered 422: no such function");
        assert_eq!(error(422, r#"{"detail":[{"loc":["x"]}]}"#).status, 502);
    }
}
