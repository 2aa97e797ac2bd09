//! The gateway of a test: what the double's functions share. It belongs to one thread, as a test does.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use super::double::upstream::Response;
use super::{Answer, Sent};
use crate::direct_api::DirectApi;
use crate::log::Level;
use crate::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, UpstreamRequest};

thread_local! {
    static CURRENT: RefCell<Option<Rc<State>>> = const { RefCell::new(None) };
}

/// What a test's backend does, and has seen.
pub(super) struct State {
    answer: Box<dyn Fn(&Sent) -> Answer>,
    /// Whether calls are allowed: in `validate` they are not.
    pub(super) is_connected: Cell<bool>,
    pub(super) next: Cell<Next>,
    pub(super) task_body: RefCell<Vec<u8>>,
    pub(super) sent: RefCell<Vec<Sent>>,
    pub(super) log: RefCell<Vec<(Level, String)>>,
    pub(super) kept: RefCell<HashMap<String, (Vec<u8>, Instant)>>,
}

impl State {
    pub(super) fn new(answer: Box<dyn Fn(&Sent) -> Answer>) -> Self {
        Self {
            answer,
            is_connected: Cell::new(true),
            next: Cell::new(Next::of::<Direct>()),
            task_body: RefCell::default(),
            sent: RefCell::default(),
            log: RefCell::default(),
            kept: RefCell::default(),
        }
    }

    /// Sends a request, with what a body of `none` stands for.
    pub(super) fn send(&self, request: &UpstreamRequest) -> Result<Response, AdaptorError> {
        if !self.is_connected.get() {
            return Err(AdaptorError::new(502, "outbound_call_limit", "`validate` reaches no backend"));
        }
        let UpstreamRequest { method, url, headers, body, timeout_ms } = request.clone();
        let body = match body {
            Some(body) => body,
            None if matches!(method.as_str(), "GET" | "HEAD") => Vec::new(),
            None => self.task_body.borrow().clone(),
        };
        let sent = Sent { method, url, headers, body, timeout_ms };
        self.sent.borrow_mut().push(sent.clone());
        (self.answer)(&sent).into_response()
    }
}

/// What stands behind a middleware.
#[derive(Clone, Copy)]
pub(super) struct Next {
    pub(super) validate: fn(&EndpointInfo) -> Result<(), AdaptorError>,
    pub(super) submit_task: fn(EndpointInfo, Task) -> Result<Reply, AdaptorError>,
    pub(super) submit_streaming_task: fn(EndpointInfo, Task) -> Result<Reply, AdaptorError>,
}

impl Next {
    pub(super) fn of<A: EndpointAdaptor>() -> Self {
        Self {
            validate: A::validate,
            submit_task: A::submit_task,
            submit_streaming_task: A::submit_streaming_task,
        }
    }
}

/// The direct API, which stands there unless a test says otherwise.
struct Direct;

impl EndpointAdaptor for Direct {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        DirectApi::new(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        DirectApi::new(&endpoint)?.run(task)
    }
}

/// Runs something with this gateway behind the calls, and takes it away afterwards, also where it panics.
pub(super) fn with<T>(state: &Rc<State>, run: impl FnOnce() -> T) -> T {
    struct Restore(Option<Rc<State>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(Rc::clone(state))));
    run()
}

/// The gateway behind the calls of this thread, where there is one.
pub(super) fn find() -> Option<Rc<State>> {
    CURRENT.with_borrow(Clone::clone)
}

#[expect(clippy::panic, reason = "a test that forgot its backend is to fail, and to say why")]
pub(super) fn current() -> Rc<State> {
    match find() {
        Some(state) => state,
        None => {
            panic!("natively, nothing answers this call: make it within `airlock_adaptor::testing::Backend`")
        }
    }
}
