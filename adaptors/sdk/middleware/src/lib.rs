//! Write a middleware in Rust: a component that stands in front of another adaptor, in a chain. What else an adaptor
//! needs is in `airlock-adaptor`. This is a crate of its own because what a component may import comes from the
//! crates that it links, and only a middleware may import the endpoint behind it.
//!
//! A middleware looks at a [`Call`], changes it, and hands it on with [`Call::next`]; or answers by itself.
//!
//! ```
//! use airlock_adaptor::{AdaptorError, Reply};
//! use airlock_middleware::{Call, Middleware};
//!
//! struct Seeded;
//!
//! impl Middleware for Seeded {
//!     fn handle(mut call: Call) -> Result<Reply, AdaptorError> {
//!         call.edit(|body| body.set("seed", "42"))?;
//!         call.next()
//!     }
//! }
//!
//! airlock_middleware::export_middleware!(Seeded);
//!
//! // Its tests run it in front of the direct API, or of another adaptor (`Backend::behind`).
//! use airlock_adaptor::{serde_json::json, testing::{Answer, Backend, chat, endpoint}};
//! use airlock_middleware::InFront;
//!
//! let backend = Backend::new(|_| Answer::json(&json!({ "object": "chat.completion" })));
//! let ran = backend.run::<InFront<Seeded>>(&endpoint(json!({ "api_url": "http://backend/v1" })), chat());
//! assert_eq!(ran.sent[0].json()["seed"], 42);
//! assert_eq!(ran.json()["object"], "chat.completion");
//! ```

#[cfg(target_family = "wasm")]
mod bindings;
mod calls;

use std::cell::Cell;
use std::marker::PhantomData;

pub use airlock_adaptor;
use airlock_adaptor::object::Object;
use airlock_adaptor::upstream::{self, Response};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Operation, Reply, Task, User, sse};
use calls::{NextReply, next, task_body};

/// Stands in front of an endpoint.
pub trait Middleware {
    /// Checks the endpoint's configuration, without network, when the endpoint is loaded. The next one is asked
    /// afterwards, about `endpoint` as it is then: what [`handle`](Self::handle) changes of the configuration has
    /// to be changed here too.
    fn validate(_endpoint: &mut EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    /// Runs a task, streamed or not.
    fn handle(call: Call) -> Result<Reply, AdaptorError>;
}

/// A middleware as the endpoint that it is to whoever stands before it: to the gateway, and to tests.
pub struct InFront<T>(PhantomData<T>);

impl<T: Middleware> EndpointAdaptor for InFront<T> {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        let mut endpoint = endpoint.clone();
        T::validate(&mut endpoint)?;
        next::validate(&endpoint)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        T::handle(Call::new(endpoint, task, false))
    }

    fn submit_streaming_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        T::handle(Call::new(endpoint, task, true))
    }
}

/// One task on its way to the next in the chain.
#[derive(Debug)]
pub struct Call {
    /// The endpoint, as the next one is told. Its grant stays the fixture's, whatever is changed here.
    pub endpoint: EndpointInfo,
    /// Not open to changes: the host has to be told of those of the body.
    task: Task,
    is_streamed: bool,
    /// Whether the host may hold another body than the task's: a middleware's, here or further on.
    is_body_stale: Cell<bool>,
}

impl Call {
    fn new(endpoint: EndpointInfo, task: Task, is_streamed: bool) -> Self {
        Self { endpoint, task, is_streamed, is_body_stale: Cell::new(false) }
    }

    /// The task, as the next one gets it.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Which API was called.
    pub fn operation(&self) -> &Operation {
        &self.task.operation
    }

    /// Who asks, where known.
    pub fn user(&self) -> Option<&User> {
        self.task.user.as_ref()
    }

    /// The client's JSON, or what was put in its place.
    pub fn body(&self) -> &[u8] {
        &self.task.body
    }

    /// Whether the client wants events.
    pub fn is_streamed(&self) -> bool {
        self.is_streamed
    }

    /// Puts another body in the place of the client's.
    pub fn set_body(&mut self, body: Vec<u8>) {
        self.task.body = body;
        self.is_body_stale.set(true);
    }

    /// Changes top-level keys of the body; what is below stays as it stands.
    pub fn edit(&mut self, change: impl FnOnce(&mut Object<'_>)) -> Result<(), AdaptorError> {
        let body = std::mem::take(&mut self.task.body);
        let edited = Object::parse(&body).map(|mut object| {
            change(&mut object);
            object.to_vec()
        });
        match edited {
            Ok(edited) => self.set_body(edited),
            Err(error) => {
                let message = format!("the body is not a JSON object: {error}");
                self.task.body = body;
                return Err(AdaptorError::bad_request("invalid_json", message));
            }
        }
        Ok(())
    }

    /// Runs the task on the next one. May be called again, after a failure for example.
    pub fn next(&self) -> Result<Reply, AdaptorError> {
        self.submit().map(handed_through)
    }

    /// Runs the task on the next one and reads its complete answer, of up to `limit` bytes, of whatever kind its
    /// reply is. `Err` inside is a reply that has none, as it came: events, or a backend's response with another
    /// status than 200. Reading needs the instance: it waits for the backend.
    pub fn next_body(&self, limit: usize) -> Result<Result<Vec<u8>, Reply>, AdaptorError> {
        match response_of(self.submit()?)? {
            Ok(response) if response.status() == 200 && !self.is_streamed => {
                upstream::read_all(&response, limit).map(Ok)
            }
            Ok(response) => Ok(Err(Reply::Relay(response))),
            Err(NextReply::Body(body)) => Ok(Ok(body)),
            Err(reply) => Ok(Err(handed_through(reply))),
        }
    }

    /// Runs the task on the next one and changes each event of its stream, of whatever kind its reply is: `change`
    /// gets the payload and gives another. A reply that is no stream of events goes back as it is: a complete
    /// answer, or a backend's error. The instance lives as long as the stream.
    pub fn next_events(
        &self,
        mut change: impl FnMut(Vec<u8>) -> Result<Vec<u8>, AdaptorError> + 'static,
    ) -> Result<Reply, AdaptorError> {
        if !self.is_streamed {
            return self.next();
        }
        Ok(match response_of(self.submit()?)? {
            Ok(response) if upstream::is_success(&response) => {
                let mut events = sse::Events::new(response);
                Reply::events(move || events.next_event()?.map(|event| change(event.data)).transpose())
            }
            Ok(response) => Reply::Relay(response),
            Err(NextReply::Events(events)) => {
                Reply::events(move || events.next()?.map(&mut change).transpose())
            }
            Err(reply) => handed_through(reply),
        })
    }

    fn submit(&self) -> Result<NextReply, AdaptorError> {
        // From now on one further along may have told the host of a body of its own.
        if self.is_body_stale.replace(true) {
            task_body::replace(&self.task.body);
        }
        let submit = if self.is_streamed { next::submit_streaming_task } else { next::submit_task };
        submit(&self.endpoint, &self.task)
    }
}

/// The next one's reply as a reply of our own.
fn handed_through(reply: NextReply) -> Reply {
    match reply {
        NextReply::Forward(request) => Reply::Forward(request),
        NextReply::Relay(response) => Reply::Relay(response),
        NextReply::Body(body) => Reply::Body(body),
        NextReply::Events(events) => Reply::events(move || events.next()),
    }
}

/// The response that a reply is or leads to.
fn response_of(reply: NextReply) -> Result<Result<Response, NextReply>, AdaptorError> {
    match reply {
        NextReply::Forward(request) => upstream::send(&request).map(Ok),
        NextReply::Relay(response) => Ok(Ok(response)),
        reply => Ok(Err(reply)),
    }
}

/// Makes a type that implements [`Middleware`] this component's middleware.
#[macro_export]
macro_rules! export_middleware {
    ($middleware:ty) => {
        $crate::airlock_adaptor::export_endpoint!($crate::InFront<$middleware>);
    };
}
