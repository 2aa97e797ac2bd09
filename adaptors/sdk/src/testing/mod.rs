//! Runs an adaptor in a plain `cargo test`, without wasm: a [`Backend`] is a closure from a request to an answer, and
//! stands behind all that the adaptor calls. Not part of components.
//!
//! ```
//! use airlock_adaptor::testing::{Answer, Backend, chat, endpoint};
//! use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
//! use airlock_adaptor::{direct_api::DirectApi, serde_json::json};
//!
//! struct Cold;
//!
//! impl EndpointAdaptor for Cold {
//!     fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
//!         DirectApi::new(endpoint).map(drop)
//!     }
//!     fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
//!         let mut api = DirectApi::new(&endpoint)?;
//!         api.set_field("temperature", 0)?;
//!         Ok(Reply::Forward(api.request(&task)?))
//!     }
//! }
//!
//! let backend = Backend::new(|_| Answer::json(&json!({ "object": "chat.completion" })));
//! let ran = backend.run::<Cold>(&endpoint(json!({ "api_url": "http://backend/v1" })), chat());
//! assert_eq!(ran.json()["object"], "chat.completion");
//! assert_eq!(ran.sent[0].url, "http://backend/v1/chat/completions");
//! assert_eq!(ran.sent[0].json()["temperature"], 0);
//! ```
//!
//! Key-value, the log and groups of one are there as well. What is not: `callbacks`, which fail as on a gateway that
//! has no address for them, and `wasi:http`.

mod answer;
pub mod double;
mod ran;
mod state;

use std::rc::Rc;

use serde_json::{Value, json};

pub use answer::{Answer, Sent};
pub use ran::{Got, Ran, Whole};
use state::{Next, State};

use crate::log::Level;
use crate::{
    AdaptorError, ClusterAdaptor, ClusterInfo, EndpointAdaptor, EndpointInfo, Jobs, ModelInfo, Operation,
    Task,
};

/// What names things in tests: the endpoint, its cluster, the request.
const TEST: &str = "test";
/// The model, as the backend and the client name it.
const MODEL: &str = "test-model";

/// A backend for tests. What it has seen, and what adaptors keep in `key_value`, lasts as long as it does.
pub struct Backend(Rc<State>);

impl Backend {
    /// A backend that answers as the closure says.
    pub fn new(answer: impl Fn(&Sent) -> Answer + 'static) -> Self {
        Self(Rc::new(State::new(Box::new(answer))))
    }

    /// The same for middlewares, with this adaptor behind them in the place of the direct API.
    #[must_use]
    pub fn behind<A: EndpointAdaptor>(self) -> Self {
        self.0.next.set(Next::of::<A>());
        self
    }

    /// Validates an endpoint and runs a task on it, as the gateway does: streamed where the task says so.
    pub fn run<A: EndpointAdaptor>(&self, endpoint: &EndpointInfo, task: Task) -> Ran {
        let (sent, logged) = (self.0.sent.borrow().len(), self.0.log.borrow().len());
        let reply = self.within(|| {
            self.0.is_connected.set(false);
            let validated = A::validate(endpoint);
            self.0.is_connected.set(true);
            validated?;
            self.0.task_body.replace(task.body.clone());
            let submit = if task.stream { A::submit_streaming_task } else { A::submit_task };
            let reply = submit(endpoint.clone(), task).map_err(AdaptorError::at_run_time)?;
            Got::of(reply)
        });
        Ran { reply, sent: self.sent().split_off(sent), log: self.log().split_off(logged) }
    }

    /// Asks a cluster for its jobs.
    pub fn jobs<A: ClusterAdaptor>(&self, cluster: ClusterInfo) -> Result<Jobs, AdaptorError> {
        self.within(|| A::get_jobs(cluster, None).map_err(AdaptorError::at_run_time))
    }

    /// Runs anything else with this backend behind its calls.
    pub fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        state::with(&self.0, run)
    }

    /// All that it was sent, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.0.sent.borrow().clone()
    }

    /// All lines of the log, in order.
    pub fn log(&self) -> Vec<(Level, String)> {
        self.0.log.borrow().clone()
    }
}

/// An endpoint with this configuration, one JSON object. Its model is `test-model`.
pub fn endpoint(config: Value) -> EndpointInfo {
    EndpointInfo {
        slug: TEST.to_owned(),
        cluster: TEST.to_owned(),
        framework: TEST.to_owned(),
        model: MODEL.to_owned(),
        config: config.to_string(),
    }
}

/// A cluster with this configuration, and one model.
pub fn cluster(config: Value) -> ClusterInfo {
    let model = ModelInfo {
        slug: TEST.to_owned(),
        framework: TEST.to_owned(),
        model: MODEL.to_owned(),
        config: "{}".to_owned(),
    };
    ClusterInfo { name: TEST.to_owned(), models: vec![model], config: config.to_string() }
}

/// A task of an operation with this body, streamed where its `stream` is true.
pub fn task(operation: Operation, body: &Value) -> Task {
    let model = body.get("model").and_then(Value::as_str).unwrap_or(MODEL);
    Task {
        id: TEST.to_owned(),
        operation,
        model: model.to_owned(),
        stream: body.get("stream") == Some(&Value::Bool(true)),
        user: None,
        body: body.to_string().into_bytes(),
    }
}

/// A chat with one message, answered whole.
pub fn chat() -> Task {
    let messages = json!([{ "role": "user", "content": "Hello!" }]);
    task(Operation::ChatCompletions, &json!({ "model": MODEL, "messages": messages }))
}

/// The same chat, streamed.
pub fn streamed_chat() -> Task {
    let messages = json!([{ "role": "user", "content": "Hello!" }]);
    task(Operation::ChatCompletions, &json!({ "model": MODEL, "messages": messages, "stream": true }))
}
