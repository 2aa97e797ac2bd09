//! Streams: the function posts what the model server sends back to the gateway, while its task runs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use airlock_adaptor::callbacks::{Address, Inbox, Message};
use airlock_adaptor::object::Object;
use airlock_adaptor::serde_json::{self, Value, json};
use airlock_adaptor::{AdaptorError, EventSource, Operation, warn};

use crate::service::Watch;
use crate::settings::{EndpointSettings, StreamTimeouts};
use crate::{field, outcome, outcome::Outcome, parse};

/// What the function is told about the way back, as FIRST's functions read it. A client's own go: they would send the
/// worker's secret elsewhere.
const FIELDS: [&str; 5] = [
    "streaming_server_protocol",
    "streaming_server_host",
    "streaming_server_port",
    "stream_task_id",
    "stream_task_token",
];
/// How often the task itself is looked at, as long as nothing has come of it.
const LOOK_MS: u32 = 1_000;

/// An inbox for one stream.
pub(crate) fn open() -> Result<Inbox, AdaptorError> {
    Inbox::open().map_err(|error| match error.code.as_str() {
        "callbacks_unavailable" => {
            let message = "models behind Globus Compute do not stream on this gateway, whose operator has set no \
                           address for callbacks (`callbacks.url`); leave out `stream`";
            AdaptorError::bad_request("streaming_unavailable", message)
        }
        _ => error,
    })
}

/// Tells the function where to send what it gets.
pub(crate) fn set_address(params: &mut Object<'_>, address: &Address) {
    let Address { protocol, host, port, id, token } = address;
    let values = [json!(protocol), json!(host), json!(port), json!(id), json!(token)];
    for (name, value) in FIELDS.iter().zip(values) {
        params.set(name, &value.to_string());
    }
}

/// Removes what a client may have put there.
pub(crate) fn remove_address(params: &mut Object<'_>) {
    FIELDS.iter().for_each(|name| params.remove(name));
}

/// What the function sends, as it comes.
pub(crate) struct Stream {
    inbox: Inbox,
    task: String,
    /// Until something came.
    watch: Option<Watch>,
    timeouts: StreamTimeouts,
    end: Instant,
    events: Events,
}

impl Stream {
    /// `operation` is what the function calls: chats and completions say in their chunks why they end.
    pub(crate) fn new(
        inbox: Inbox,
        settings: &EndpointSettings,
        task: String,
        operation: &Operation,
    ) -> Result<Self, AdaptorError> {
        let timeouts = settings.stream_timeouts()?;
        let end = Instant::now() + Duration::from_millis(timeouts.total.into());
        let watch = Some(settings.service.watch(&task)?);
        let has_reasons = matches!(operation, Operation::ChatCompletions | Operation::Completions);
        let events = Events { has_end: !has_reasons, ..Events::default() };
        Ok(Self { inbox, task, watch, timeouts, end, events })
    }

    /// Waits until there is an event, or the stream's end.
    pub(crate) fn wait(&mut self) -> Result<(), AdaptorError> {
        while self.events.is_empty() {
            match self.receive()? {
                Message::Data(lines) => {
                    self.watch = None;
                    self.events.add(&lines)?;
                }
                Message::Error(said) => {
                    warn!("task {} failed: {said}", self.task);
                    return Err(outcome::failure(&said));
                }
                Message::Done => return self.events.end(),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Message, AdaptorError> {
        let patience = if self.watch.is_some() { self.timeouts.first } else { self.timeouts.idle };
        let until = self.end.min(Instant::now() + Duration::from_millis(patience.into()));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
            let step = if self.watch.is_some() { left.min(LOOK_MS) } else { left };
            if let Some(message) = self.inbox.receive(step)? {
                return Ok(message);
            }
            if left == 0 {
                return Err(self.silence());
            }
            if let Some(watch) = &self.watch
                && let Some(status) = watch.wait(0)?
            {
                // What it posted before it ended is here already.
                return self.inbox.receive(0)?.ok_or_else(|| self.ended(&status));
            }
        }
    }

    /// The task is done, and nothing came of it.
    fn ended(&self, status: &[u8]) -> AdaptorError {
        let said = match outcome::of(status) {
            Ok(Outcome::Failed(error, said)) => {
                warn!("task {} failed: {said}", self.task);
                return error;
            }
            Ok(Outcome::Done(json)) => parse(&json),
            Ok(Outcome::Pending) | Err(_) => Value::Null,
        };
        if let Some(error) = field(&said, "error").as_str() {
            warn!("task {} failed: {error}", self.task);
            return outcome::failure(error);
        }
        let Address { protocol, host, port, .. } = self.inbox.address();
        warn!("nothing of task {} came to {protocol}://{host}:{port}: can its worker reach it?", self.task);
        let message = "the task ended, and nothing that it sent reached the gateway";
        AdaptorError::bad_upstream("callback_missing", message)
    }

    fn silence(&self) -> AdaptorError {
        let is_over = Instant::now() >= self.end;
        let what = match (&self.watch, is_over) {
            (_, true) => "the stream was not complete in time",
            (Some(_), false) => "the model did not begin to answer in time; it may still be starting",
            (None, false) => "the model fell silent within its answer",
        };
        AdaptorError::new(504, "upstream_timeout", format!("{what} (task {})", self.task))
    }
}

impl EventSource for Stream {
    fn next(&mut self) -> Result<Option<Vec<u8>>, AdaptorError> {
        if !self.events.is_over {
            self.wait()?;
        }
        Ok(self.events.pop())
    }
}

/// The payloads that have come and are not sent on.
#[derive(Debug, Default)]
struct Events {
    waiting: VecDeque<Vec<u8>>,
    has_end: bool,
    is_over: bool,
}

impl Events {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        self.waiting.pop_front()
    }

    /// Takes lines of server-sent events; those that are no data say nothing that is sent on.
    fn add(&mut self, lines: &str) -> Result<(), AdaptorError> {
        for payload in lines.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim) {
            if let Some(error) = error_in(payload) {
                return Err(error);
            }
            self.has_end |= ends_choice(payload);
            if !payload.is_empty() && payload != "[DONE]" {
                self.waiting.push_back(payload.as_bytes().to_vec());
            }
        }
        Ok(())
    }

    /// Nothing more will come. The function drops what it cannot post, without a word: an answer whose last piece is
    /// missing is not passed off as a whole one.
    fn end(&mut self) -> Result<(), AdaptorError> {
        self.is_over = true;
        if self.has_end {
            return Ok(());
        }
        let message = "the end of the answer did not reach the gateway";
        Err(AdaptorError::bad_upstream("upstream_bad_response", message))
    }
}

/// Whether this is the chunk that says why a choice ended.
fn ends_choice(payload: &str) -> bool {
    payload.match_indices("\"finish_reason\"").any(|(at, key)| {
        let rest = payload.get(at + key.len()..).unwrap_or_default().trim_start();
        rest.strip_prefix(':').is_some_and(|value| value.trim_start().starts_with('"'))
    })
}

/// The error of a model server that failed within its stream.
fn error_in(payload: &str) -> Option<AdaptorError> {
    if !payload.contains("\"error\"") {
        return None;
    }
    let value: Value = serde_json::from_str(payload).ok()?;
    let is_error = field(&value, "object") == "error" || field(&value, "error").is_object();
    is_error.then(|| outcome::from_server(outcome::status_in(&value), payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_events_and_only_a_whole_answer_ends_well() {
        let mut events = Events::default();
        events.add("data: {\"a\":1}\n\n: comment\ndata:{\"b\":2}\r\nevent: x\ndata: [DONE]\n").unwrap();
        assert_eq!(events.pop().unwrap(), b"{\"a\":1}");
        assert_eq!(events.pop().unwrap(), b"{\"b\":2}");
        assert!(events.is_empty());
        assert_eq!(events.end().unwrap_err().code, "upstream_bad_response");
        for (end, is_end) in [
            (r#"{"choices":[{"finish_reason":"stop"}]}"#, true),
            (r#"{"choices":[{"finish_reason": "length"}]}"#, true),
            (r#"{"choices":[{"finish_reason":null}]}"#, false),
            (r#"{"delta":{"content":"\"finish_reason\":\"stop\""}}"#, false),
        ] {
            let mut events = Events::default();
            events.add(&format!("data: {end}")).unwrap();
            assert_eq!(events.end().is_ok(), is_end, "{end}");
        }
    }

    #[test]
    fn an_error_inside_the_stream_is_one() {
        let error = |payload: &str| {
            Events::default().add(&format!("data: {payload}")).map_err(|e| (e.status, e.message))
        };
        assert_eq!(
            error(r#"{"error":{"message":"too long","code":400}}"#),
            Err((400, "the model server answered 400: too long".into()))
        );
        assert_eq!(
            error(r#"{"object":"error","message":"broken","code":500,"error":null}"#),
            Err((500, "the model server answered 500: broken".into()))
        );
        assert!(error(r#"{"choices":[{"delta":{"content":"an \"error\""}}]}"#).is_ok());
    }
}
