//! An endpoint adaptor for a backend with a chat API of its own.

use std::marker::PhantomData;

use serde::Deserialize;

use super::stream::ChatStream;
use super::{Answer, ChatRequest, Chunks, Decode, Failure, Head};
use crate::direct_api::DirectApi;
use crate::upstream::{Response, is_success, read_all, send};
use crate::{AdaptorError, EndpointAdaptor, EndpointInfo, Operation, Reply, Task, config, warn};

/// The longest complete answer that is taken, in bytes.
pub(crate) const ANSWER_LIMIT: usize = 16 << 20;

/// What a backend's API looks like. Nothing here calls out, so that all of it can be tested as it stands.
pub trait Backend: Sized {
    /// Fields of the request that it carries beside those that every backend does.
    const CARRIED: &'static [&'static str];
    /// Understands its streams.
    type Stream: Decode + 'static;

    /// Reads and checks what the configuration holds for this backend.
    fn new(endpoint: &EndpointInfo) -> Result<Self, AdaptorError>;

    /// The request to it.
    fn request(&self, chat: &ChatRequest<'_>, stream: bool) -> Result<Outgoing, AdaptorError>;

    /// Its complete answer, understood.
    fn answer(&self, body: &[u8]) -> Result<Answer, AdaptorError>;

    /// The beginning of a stream of its.
    fn stream(&self) -> Self::Stream;

    /// Its refusal, understood.
    fn refused(&self, failure: &Failure) -> AdaptorError;
}

/// A request to a backend, without what all requests have.
#[derive(Debug)]
pub struct Outgoing {
    /// What follows `api_url`, with a query where there is one.
    pub path: String,
    /// Headers of its own.
    pub headers: Vec<(&'static str, &'static str)>,
    /// A JSON object.
    pub body: Vec<u8>,
}

/// The part of the configuration that all backends share, beside the direct API's.
#[derive(Deserialize)]
struct Common {
    /// Fields of requests to drop rather than refuse.
    #[serde(default)]
    ignored_fields: Vec<String>,
}

/// An endpoint adaptor over a [`Backend`].
pub struct Chat<B>(PhantomData<B>);

impl<B: Backend> EndpointAdaptor for Chat<B> {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        config::<Common>(endpoint)?;
        B::new(endpoint)?;
        DirectApi::new(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let backend = B::new(&endpoint)?;
        let response = ask(&backend, &endpoint, &task, false)?;
        let answer = backend.answer(&read_all(&response, ANSWER_LIMIT)?)?;
        Reply::json(&answer.to_json(&Head::of(&task)))
    }

    fn submit_streaming_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let backend = B::new(&endpoint)?;
        let response = ask(&backend, &endpoint, &task, true)?;
        let chunks = Chunks::new(Head::of(&task));
        Ok(Reply::events(ChatStream::new(response, backend.stream(), chunks)))
    }
}

/// Sends a task on, and gives back a response that is a success.
fn ask<B: Backend>(
    backend: &B,
    endpoint: &EndpointInfo,
    task: &Task,
    stream: bool,
) -> Result<Response, AdaptorError> {
    if task.operation != Operation::ChatCompletions {
        let message = format!("this model's backend takes chats alone, and not `{}`", task.operation.path());
        return Err(AdaptorError::bad_request("unsupported_operation", message));
    }
    let outgoing = outgoing(backend, endpoint, &task.body, stream)?;
    let mut api = DirectApi::new(endpoint)?;
    for (name, value) in outgoing.headers {
        api.default_header(name, value);
    }
    let response = send(&api.post(&outgoing.path, outgoing.body)?)?;
    if is_success(&response) {
        return Ok(response);
    }
    let failure = Failure::read(response);
    let error = backend.refused(&failure);
    if error.code == "upstream_auth_error" {
        warn!("the backend answered {}: {}", failure.status, failure.text());
    }
    Err(error)
}

/// A client's request as the backend's.
pub(super) fn outgoing<B: Backend>(
    backend: &B,
    endpoint: &EndpointInfo,
    body: &[u8],
    stream: bool,
) -> Result<Outgoing, AdaptorError> {
    let Common { ignored_fields } = config(endpoint)?;
    backend.request(&ChatRequest::parse(body, B::CARRIED, &ignored_fields)?, stream)
}
