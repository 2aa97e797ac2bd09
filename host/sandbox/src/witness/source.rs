//! The steps of an earlier run, as answers. Each kind of question has a queue of its own: a guest that asks in the same
//! order is told the same.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Notify;

use super::{Chance, Clock, Data, Diverged, Step};
use crate::EgressError;

/// What is shown of a text that differs.
const SHOWN: usize = 200;

pub(crate) struct Source {
    queues: Mutex<Queues>,
    divergence: Mutex<Option<String>>,
    stalled: Notify,
}

#[derive(Default)]
struct Queues {
    clocks: HashMap<Clock, Queue<u64>>,
    chances: HashMap<Chance, Queue<Data>>,
    polls: Queue<(usize, Vec<u32>)>,
    asked: Queue<(String, Value, Value)>,
    /// By number, which is the order that they were asked in.
    exchanges: BTreeMap<u32, Exchange>,
}

/// Answers of one kind, and how many were given.
struct Queue<T> {
    left: VecDeque<T>,
    given: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { left: VecDeque::new(), given: 0 }
    }
}

impl<T> Queue<T> {
    fn next(&mut self) -> Option<T> {
        self.given += 1;
        self.left.pop_front()
    }
}

/// A piece of a response's body.
pub(crate) enum Frame {
    Chunk(Bytes),
    End,
    Broke(EgressError),
}

/// A request, as it stood in the recording.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, Data)>,
    /// None of one that the adaptor writes as it goes.
    pub(crate) body: Option<Data>,
}

/// A head, or why there was none.
pub(crate) type Head = Result<(StatusCode, HeaderMap), EgressError>;

/// What was recorded of one request.
struct Exchange {
    request: u32,
    asked: Asked,
    /// Where it stood among the steps, and where its answer began.
    at: usize,
    answered_at: Option<usize>,
    sent: BytesMut,
    is_sent: bool,
    head: Option<Head>,
    frames: VecDeque<Frame>,
    given: bool,
}

/// What a request finds in the recording.
pub(crate) struct Found {
    /// Its number there.
    pub(crate) request: u32,
    /// What the adaptor wrote of its body before an answer came, where that was all of it.
    pub(crate) sent: Option<Bytes>,
    /// None where nothing ever came.
    pub(crate) head: Option<Head>,
}

impl Source {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        let mut queues = Queues::default();
        for (at, step) in steps.into_iter().enumerate() {
            queues.take(at, step);
        }
        Self { queues: Mutex::new(queues), divergence: Mutex::default(), stalled: Notify::new() }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first is what matters: what follows may come of it.
    pub(crate) fn diverged(&self, how: String) -> Diverged {
        let mut first = self.divergence.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| how.clone());
        Diverged(how)
    }

    pub(super) fn divergence(&self) -> Option<String> {
        self.divergence.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Somebody waits for what never came.
    pub(crate) fn stall(&self) {
        self.stalled.notify_one();
    }

    pub(super) async fn stalled(&self) {
        self.stalled.notified().await;
    }

    pub(super) fn clock(&self, clock: Clock) -> Result<u64, Diverged> {
        let mut queues = self.queues();
        let queue = queues.clocks.entry(clock).or_default();
        queue.next().ok_or_else(|| {
            let given = queue.given;
            self.diverged(format!("{} reading of the {clock:?} clock: none is recorded", nth(given)))
        })
    }

    pub(super) fn chance(&self, chance: Chance, length: u64) -> Result<Data, Diverged> {
        let mut queues = self.queues();
        let queue = queues.chances.entry(chance).or_default();
        let (next, at) = (queue.next(), nth(queue.given));
        match next {
            Some(bytes) if bytes.0.len() as u64 == length => Ok(bytes),
            Some(bytes) => {
                let recorded = bytes.0.len();
                Err(self.diverged(format!(
                    "{at} draw of {chance:?} random bytes: recorded {recorded}, now {length} bytes"
                )))
            }
            None => Err(self.diverged(format!("{at} draw of {chance:?} random bytes: none is recorded"))),
        }
    }

    /// Which of so many things are ready. None where the run ended while they were waited for.
    pub(crate) fn polled(&self, of: usize) -> Result<Option<Vec<u32>>, Diverged> {
        let mut queues = self.queues();
        let queue = &mut queues.polls;
        match queue.next() {
            Some((recorded, ready)) if recorded == of => Ok(Some(ready)),
            Some((recorded, _)) => {
                let at = nth(queue.given);
                Err(self.diverged(format!("{at} wait: recorded for {recorded} things, now for {of}")))
            }
            None => {
                self.stall();
                Ok(None)
            }
        }
    }

    pub(super) fn asked<T: DeserializeOwned>(&self, import: &str, with: &Value) -> Result<T, Diverged> {
        let mut queues = self.queues();
        let (next, at) = (queues.asked.next(), nth(queues.asked.given));
        let now = format!("{import} {}", cut(&with.to_string()));
        let Some((recorded, given, told)) = next else {
            return Err(
                self.diverged(format!("{at} use of the gateway's interfaces: none is recorded, now {now}"))
            );
        };
        if (recorded.as_str(), &given) != (import, with) {
            let recorded = format!("{recorded} {}", cut(&given.to_string()));
            let how = format!("{at} use of the gateway's interfaces: recorded {recorded}, now {now}");
            return Err(self.diverged(how));
        }
        serde_json::from_value(told)
            .map_err(|e| self.diverged(format!("{at} answer of {import} is unreadable: {e}")))
    }

    /// The recorded exchange that this request is.
    pub(crate) fn exchange(&self, asked: &Asked) -> Result<Found, Diverged> {
        let mut queues = self.queues();
        let at = nth(queues.exchanges.values().filter(|exchange| exchange.given).count() + 1);
        let mut open = queues.exchanges.values().filter(|exchange| !exchange.given);
        let Some(first) = open.next() else {
            let how = format!("{at} request: none is recorded, now {} {}", asked.method, asked.url);
            return Err(self.diverged(how));
        };
        // Those that were under way together may come in any order.
        let end = first.answered_at.unwrap_or(usize::MAX);
        let mut together = std::iter::once(first).chain(open.filter(|exchange| exchange.at < end));
        let Some(found) = together.find(|exchange| exchange.asked == *asked).map(|exchange| exchange.request)
        else {
            return Err(self.diverged(format!("{at} request: {}", first.asked.difference(asked))));
        };
        let found = queues.exchanges.get_mut(&found).map(Exchange::give);
        found.ok_or_else(|| self.diverged(format!("{at} request: it is gone")))
    }

    /// The next piece of a body. None where nothing more ever came.
    pub(crate) fn frame(&self, request: u32) -> Option<Frame> {
        let mut queues = self.queues();
        queues.exchanges.get_mut(&request)?.frames.pop_front()
    }
}

impl Queues {
    fn take(&mut self, at: usize, step: Step) {
        match step {
            Step::Clock { clock, ns } => self.clocks.entry(clock).or_default().left.push_back(ns),
            Step::Chance { chance, bytes } => self.chances.entry(chance).or_default().left.push_back(bytes),
            Step::Poll { of, ready } => self.polls.left.push_back((of, ready)),
            Step::Asked { import, with, told } => self.asked.left.push_back((import, with, told)),
            Step::Request { request, method, url, headers, body, .. } => {
                let asked = Asked { method, url, headers, body };
                self.exchanges.insert(request, Exchange::new(request, at, asked));
            }
            Step::Sent { request, data } => self.of(request, |e| e.sent.extend_from_slice(&data.0)),
            Step::SentAll { request } => self.of(request, |e| e.is_sent = e.head.is_none()),
            Step::Head { request, status, headers } => {
                self.of(request, |e| e.answer(at, Ok((status_of(status), header_map(headers)))));
            }
            Step::Failed { request, error } => self.of(request, |e| e.answer(at, Err(error))),
            Step::Chunk { request, data } => self.of(request, |e| e.frames.push_back(Frame::Chunk(data.0))),
            Step::End { request } => self.of(request, |e| e.frames.push_back(Frame::End)),
            Step::Broke { request, error } => self.of(request, |e| e.frames.push_back(Frame::Broke(error))),
            Step::Call { .. }
            | Step::Instance { .. }
            | Step::Log { .. }
            | Step::TaskBody { .. }
            | Step::Reply { .. }
            | Step::Event { .. }
            | Step::Gone => {}
        }
    }

    fn of(&mut self, request: u32, f: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = self.exchanges.get_mut(&request) {
            f(exchange);
        }
    }
}

impl Exchange {
    fn new(request: u32, at: usize, asked: Asked) -> Self {
        let (sent, frames) = (BytesMut::new(), VecDeque::new());
        Self { request, asked, at, answered_at: None, sent, is_sent: false, head: None, frames, given: false }
    }

    fn answer(&mut self, at: usize, head: Head) {
        self.answered_at = Some(at);
        self.head = Some(head);
    }

    fn give(&mut self) -> Found {
        self.given = true;
        let sent = (self.asked.body.is_none() && self.is_sent).then(|| self.sent.split().freeze());
        Found { request: self.request, sent, head: self.head.take() }
    }
}

impl Asked {
    /// Where another request differs from this one, which was recorded.
    fn difference(&self, now: &Self) -> String {
        if (&self.method, &self.url) != (&now.method, &now.url) {
            return format!("recorded {} {}, now {} {}", self.method, self.url, now.method, now.url);
        }
        let whom = format!("{} {}", self.method, self.url);
        if self.headers != now.headers {
            let (recorded, now) = (shown_headers(&self.headers), shown_headers(&now.headers));
            return format!("{whom}: recorded with headers {recorded}, now with {now}");
        }
        match (&self.body, &now.body) {
            (Some(recorded), Some(now)) => format!("{whom}: {}", body_difference(&recorded.0, &now.0)),
            _ => format!(
                "{whom}: its body was written whole, and is written as it goes, or the other way round"
            ),
        }
    }
}

/// Where two bodies differ, in words.
pub fn body_difference(recorded: &[u8], now: &[u8]) -> String {
    let at = recorded.iter().zip(now).take_while(|(a, b)| a == b).count();
    let show = |bytes: &[u8]| {
        let from = at.saturating_sub(40);
        cut(&String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()))
    };
    format!("its body differs from byte {at} on: recorded …{}, now …{}", show(recorded), show(now))
}

fn shown_headers(headers: &[(String, Data)]) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        // Writing to a string does not fail.
        let _ = write!(text, "{name}: {}; ", String::from_utf8_lossy(&value.0));
    }
    cut(text.trim_end_matches("; "))
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN.min(text.len()));
    if end < text.len() { format!("{}…", text.get(..end).unwrap_or_default()) } else { text.to_owned() }
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// What is no header is left out: it never was one.
fn header_map(headers: Vec<(String, Data)>) -> HeaderMap {
    let read = |(name, value): (String, Data)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::from_maybe_shared(value.0).ok()?))
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers.into_iter().filter_map(read) {
        if map.try_append(name, value).is_err() {
            break;
        }
    }
    map
}

/// 1st, 2nd, …
fn nth(number: usize) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
