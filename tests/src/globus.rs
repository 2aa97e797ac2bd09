//! Globus Compute, as far as a client sees it: tokens, endpoints, tasks whose results are handed out once, and a limit
//! of requests. What a worker would do is a closure.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use http::Response;
use serde_json::{Value, json};

use super::{Body, Seen, Upstream, json as answer};

/// The service's documented limit: so many requests in so much time.
const REQUESTS: usize = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// What a worker made of a task.
#[derive(Debug, Clone)]
pub enum Work {
    /// A packed result, for example `11\n"{…}"`.
    Done(String),
    /// A traceback.
    Failed(String),
}

impl Work {
    /// JSON as FIRST's functions return it: a string that holds it.
    pub fn json(value: &Value) -> Self {
        Self::Done(format!("11\n{}", Value::String(value.to_string())))
    }
}

type Worker = dyn Fn(&str, &[Value]) -> Work + Send + Sync;

/// The service.
pub struct FakeGlobus {
    /// Where it listens.
    pub upstream: Upstream,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    endpoints: HashMap<String, Value>,
    tasks: HashMap<String, Option<Work>>,
    requests: Vec<Instant>,
    refused: usize,
    is_held: bool,
    busy: Vec<u64>,
}

impl FakeGlobus {
    /// One whose endpoints are online, and whose workers do this, with a function's UUID and its arguments.
    pub async fn start(worker: impl Fn(&str, &[Value]) -> Work + Send + Sync + 'static) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, worker): (_, Arc<Worker>) = (Arc::clone(&state), Arc::new(worker));
        let upstream = Upstream::start(move |seen| {
            let answer = shared.lock().unwrap().answer(&seen, &*worker);
            async move { answer }
        })
        .await;
        Self { upstream, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The state of an endpoint.
    pub fn endpoint(&self, uuid: &str, state: Value) {
        self.state().endpoints.insert(uuid.to_owned(), state);
    }

    /// Whether tasks stay on their way.
    pub fn hold(&self, is_held: bool) {
        self.state().is_held = is_held;
    }

    /// Answers the next requests with 429 and these values of `Retry-After`.
    pub fn be_busy(&self, seconds: &[u64]) {
        self.state().busy = seconds.to_vec();
    }

    /// How many requests were over the limit.
    pub fn refused(&self) -> usize {
        self.state().refused
    }

    /// How many requests went to a path that holds this.
    pub fn count(&self, part: &str) -> usize {
        self.upstream.seen().iter().filter(|seen| seen.uri.path().contains(part)).count()
    }

    /// The configuration that leads here.
    pub fn config(&self, more: Value) -> Value {
        let base = format!("http://{}", self.upstream.address);
        let mut config = json!({ "api_url": base, "token_url": format!("{base}/v2/oauth2/token") });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    }
}

impl State {
    fn answer(&mut self, seen: &Seen, worker: &Worker) -> Response<Body> {
        let path = seen.uri.path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        if parts == ["v2", "oauth2", "token"] {
            return answer(200, &json!({ "access_token": "globus-token", "expires_in": 172_800 }));
        }
        let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
        if header("authorization") != Some("Bearer globus-token") {
            return answer(401, &json!({ "detail": "no token" }));
        }
        if let Some(refusal) = self.limit() {
            return refusal;
        }
        match (seen.method.as_str(), parts.as_slice()) {
            ("GET", ["v2", "endpoints", uuid, "status"]) => {
                let online = json!({ "status": "online", "details": { "managers": 1 } });
                answer(200, self.endpoints.get(*uuid).unwrap_or(&online))
            }
            // The service's description requires both of a submit.
            ("POST", ["v3", "endpoints", _, "submit"])
                if header("user-agent").is_none() || header("content-length").is_none() =>
            {
                answer(422, &json!({ "detail": [{ "loc": ["header"], "msg": "field required" }] }))
            }
            ("POST", ["v3", "endpoints", uuid, "submit"]) => self.submit(uuid, &seen.json(), worker),
            ("POST", ["v2", "batch_status"]) => self.statuses(&seen.json()),
            _ => answer(404, &json!({ "detail": "no such route" })),
        }
    }

    fn limit(&mut self) -> Option<Response<Body>> {
        let now = Instant::now();
        self.requests.retain(|at| now.duration_since(*at) < PERIOD);
        let seconds = if self.busy.is_empty() { None } else { Some(self.busy.remove(0)) };
        if seconds.is_none() && self.requests.len() < REQUESTS {
            self.requests.push(now);
            return None;
        }
        self.refused += usize::from(seconds.is_none());
        let mut refusal = answer(429, &json!({ "detail": "too many requests" }));
        refusal.headers_mut().insert("retry-after", seconds.unwrap_or(10).into());
        Some(refusal)
    }

    fn submit(&mut self, endpoint: &str, body: &Value, worker: &Worker) -> Response<Body> {
        assert_eq!(body["result_serializers"], json!(["globus_compute_sdk.serialize.JSONData"]));
        let mut ids = serde_json::Map::new();
        for (function, payloads) in body["tasks"].as_object().unwrap() {
            let given = payloads.as_array().unwrap().iter().map(|payload| {
                let id = format!("task-{}-{}", self.tasks.len(), function);
                let work = worker(function, &arguments(payload.as_str().unwrap()));
                self.tasks.insert(id.clone(), Some(work));
                json!(id)
            });
            ids.insert(function.clone(), given.collect());
        }
        answer(
            200,
            &json!({ "request_id": "r", "task_group_id": "g", "endpoint_id": endpoint, "tasks": ids }),
        )
    }

    fn statuses(&mut self, body: &Value) -> Response<Body> {
        let mut results = serde_json::Map::new();
        for id in body["task_ids"].as_array().unwrap() {
            let id = id.as_str().unwrap();
            let status = match self.tasks.get_mut(id) {
                Some(_) if self.is_held => json!({ "task_id": id, "status": "waiting-for-ep" }),
                // Handed out once.
                Some(work) => match work.take() {
                    Some(Work::Done(packed)) => {
                        json!({ "task_id": id, "status": "success", "result": packed, "completion_t": "1.5" })
                    }
                    Some(Work::Failed(text)) => {
                        json!({ "task_id": id, "status": "failed", "exception": text })
                    }
                    None => json!({ "task_id": id, "status": "Failed", "reason": "Unknown task id" }),
                },
                None => json!({ "task_id": id, "status": "Failed", "reason": "Unknown task id" }),
            };
            results.insert(id.to_owned(), status);
        }
        answer(200, &json!({ "response": "batch", "results": results }))
    }
}

/// Unpacks `L(args) ‖ L(kwargs)` as a worker does: lengths count characters.
fn arguments(payload: &str) -> Vec<Value> {
    let mut left = payload;
    let mut part = || {
        let (length, rest) = left.split_once('\n').unwrap();
        let end = rest.char_indices().nth(length.parse().unwrap()).map_or(rest.len(), |(at, _)| at);
        let (part, after) = rest.split_at(end);
        left = after;
        serde_json::from_str::<Value>(part.strip_prefix("11\n").unwrap()).unwrap()
    };
    let (args, kwargs) = (part(), part());
    assert_eq!(kwargs, json!({}));
    assert!(left.is_empty(), "{left}");
    args.as_array().unwrap().clone()
}
