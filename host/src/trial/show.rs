//! A run in lines for people.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use airlock_sandbox::{Data, EgressError, ReplyKind, Step};
use serde_json::Value;

use super::{Failure, Limits, Used};

/// What is shown of a value.
const SHOWN: usize = 200;

/// Turns steps into lines, and sums up what is too small for a line of its own.
#[derive(Default)]
pub struct Shown {
    requests: HashMap<u32, Request>,
    instances: Vec<(String, u64)>,
    export: String,
    own_requests: u32,
    log_bytes: usize,
    is_hosts: bool,
    readings: BTreeMap<&'static str, usize>,
}

struct Request {
    url: String,
    started: Duration,
    sent: usize,
    received: usize,
    pieces: usize,
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

impl Shown {
    /// The lines for a step, which happened so long after the beginning.
    pub fn lines(&mut self, at: Duration, step: &Step) -> Vec<String> {
        let mut lines = self.texts(at, step);
        if let Some(first) = lines.first_mut().filter(|_| !matches!(step, Step::Call { .. })) {
            *first = format!("{:>11}  {first}", milliseconds(at));
        }
        lines
    }

    fn texts(&mut self, at: Duration, step: &Step) -> Vec<String> {
        match step {
            Step::Call { export } => {
                self.export.clone_from(export);
                self.is_hosts = false;
                vec![export.clone()]
            }
            Step::Instance { us } => {
                self.instances.push((self.export.clone(), *us));
                vec![format!("instance made in {}", milliseconds(Duration::from_micros(*us)))]
            }
            Step::Clock { .. } => self.count("readings of a clock", 1),
            Step::Chance { bytes, .. } => self.count("bytes of chance", bytes.0.len()),
            Step::Poll { .. } => self.count("waits for several things", 1),
            Step::Log { level, line } => {
                self.log_bytes += line.len();
                vec![format!("log {level}: {}", cut(line))]
            }
            Step::Asked { import, with, told } => vec![format!("{import} {} → {}", json(with), json(told))],
            Step::TaskBody { data } => {
                vec![format!("the task's body is replaced by {} bytes: {}", data.0.len(), text(data))]
            }
            Step::Reply { kind } => {
                self.is_hosts = true;
                vec![format!("reply: {}", kind_in_words(*kind))]
            }
            Step::Event { number, bytes } => vec![format!("event {number}, {bytes} bytes")],
            Step::Gone => vec!["the instance is gone".to_owned()],
            step => self.exchange(at, step),
        }
    }

    fn count(&mut self, what: &'static str, by: usize) -> Vec<String> {
        *self.readings.entry(what).or_default() += by;
        Vec::new()
    }

    /// What happens with a request.
    fn exchange(&mut self, at: Duration, step: &Step) -> Vec<String> {
        match step {
            Step::Request { request, method, url, headers, body, credential } => {
                self.own_requests += u32::from(!self.is_hosts);
                let sent = body.as_ref().map_or(0, |body| body.0.len());
                let started = Request { url: url.clone(), started: at, sent, received: 0, pieces: 0 };
                self.requests.insert(*request, started);
                let who = if self.is_hosts { "the host sends" } else { "it sends" };
                let size =
                    body.as_ref().map_or("a body as it goes".into(), |b| format!("{} bytes", b.0.len()));
                let mut lines = vec![format!("→ {request}: {who} {method} {url}, {size}")];
                lines.extend(credential.iter().map(|name| header(name, "(added by the gateway)")));
                lines.extend(listed(headers));
                lines
            }
            Step::Sent { request, data } => self.of(*request, |r| r.sent += data.0.len()),
            Step::SentAll { request } => {
                let sent = self.requests.get(request).map_or(0, |request| request.sent);
                vec![format!("→ {request}: its body is complete, {sent} bytes")]
            }
            Step::Head { request, status, headers } => {
                let mut lines = vec![format!("← {request}: {status} after {}", self.since(*request, at))];
                lines.extend(listed(headers));
                lines
            }
            Step::Failed { request, error } => {
                let mut lines =
                    vec![format!("← {request}: failed after {}: {error}", self.since(*request, at))];
                let url = self.requests.get(request).map(|request| request.url.as_str());
                lines
                    .extend(url.and_then(|url| how_to_grant(url, error)).map(|how| format!("{INDENT}{how}")));
                lines
            }
            Step::Chunk { request, data } => self.of(*request, |r| {
                r.received += data.0.len();
                r.pieces += 1;
            }),
            Step::End { request } => vec![format!("{}, complete", self.received(*request, at))],
            Step::Broke { request, error } => {
                vec![format!("{}, then it broke off: {error}", self.received(*request, at))]
            }
            _ => Vec::new(),
        }
    }

    fn of(&mut self, request: u32, f: impl FnOnce(&mut Request)) -> Vec<String> {
        self.requests.get_mut(&request).map(f);
        Vec::new()
    }

    fn since(&self, request: u32, at: Duration) -> String {
        let started = self.requests.get(&request).map_or(at, |request| request.started);
        milliseconds(at.saturating_sub(started))
    }

    fn received(&self, request: u32, at: Duration) -> String {
        let (bytes, pieces) = self.requests.get(&request).map_or((0, 0), |r| (r.received, r.pieces));
        let pieces = if pieces == 1 { "1 piece".to_owned() } else { format!("{pieces} pieces") };
        format!("← {request}: {bytes} bytes in {pieces} after {}", self.since(request, at))
    }

    /// What the run has used, of what it may.
    pub fn summary(&self, used: &Used, limits: &Limits) -> Vec<String> {
        let mib = |bytes: usize| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let ms = |ms: u64| milliseconds(Duration::from_millis(ms));
        let mut lines = vec!["used".to_owned()];
        let mut line = |what: &str, value: String| lines.push(format!("  {what:<10} {value}"));
        line("CPU", format!("{} of {} for each call", milliseconds(used.costs.cpu), ms(limits.cpu_ms)));
        line("memory", format!("{} of {}", mib(used.costs.peak_memory), mib(limits.memory_bytes)));
        line("wall time", format!("{} of {} for each call", milliseconds(used.wall), ms(limits.wall_ms)));
        line("requests", format!("{} of {} of its own", self.own_requests, limits.outbound_calls));
        line("log", format!("{} of {} bytes for each call", self.log_bytes, limits.log_bytes));
        for (export, us) in &self.instances {
            line("instance", format!("{} for {export}", milliseconds(Duration::from_micros(*us))));
        }
        for (what, count) in &self.readings {
            line("also", format!("{count} {what}"));
        }
        lines
    }
}

const INDENT: &str = "               ";

fn header(name: &str, value: &str) -> String {
    format!("{INDENT}{name}: {value}")
}

fn listed(headers: &[(String, Data)]) -> impl Iterator<Item = String> {
    headers.iter().map(|(name, value)| header(name, &text(value)))
}

fn kind_in_words(kind: ReplyKind) -> &'static str {
    match kind {
        ReplyKind::Forward => "forward, a request that the host sends when the instance is gone",
        ReplyKind::Relay => "relay, a backend's response that it has not read",
        ReplyKind::Body => "body, complete",
        ReplyKind::Events => "events, made one by one",
        ReplyKind::Jobs => "jobs of the cluster",
    }
}

/// What the author writes where a request was refused.
fn how_to_grant(url: &str, error: &EgressError) -> Option<String> {
    let url = url::Url::parse(url).ok().filter(|_| matches!(error, EgressError::Denied(_)))?;
    let origin = url.origin().ascii_serialization();
    Some(format!(
        "to allow it, add \"allowed_hosts\": [{origin:?}] to the config, or name it in a key that ends in `_url`; for \
         one run: --allow {origin}"
    ))
}

/// What to do about a failure.
pub fn fault_remedy(failure: &Failure) -> &'static str {
    match failure.kind.as_str() {
        "trap" => {
            "return an `adaptor-error` instead of a panic; a build with its names kept (`strip = false`) shows the functions \
             above by name"
        }
        "cpu-limit" => "let it compute less, or allow more: AIRLOCK_SANDBOX__CPU_MS",
        "memory-limit" => "let it hold less at a time, or allow more: AIRLOCK_SANDBOX__MEMORY_MIB",
        "timeout" => {
            "give its calls a timeout and wait for nothing without one, or allow more: AIRLOCK_SANDBOX__WALL_SECONDS"
        }
        "bad-output" => {
            "reply with one JSON object, or with events of one JSON object each where a stream is asked for"
        }
        "egress-denied" => {
            "grant the host in the config: in `allowed_hosts`, or in a key that ends in `_url`"
        }
        "egress" => "check the URL in the config, and that the backend runs",
        "reported" if failure.during == "validate" => "correct the config",
        "reported" => "this is what the adaptor itself reports, and what a client gets",
        _ => "try again when less is running",
    }
}

fn json(value: &Value) -> String {
    cut(&value.to_string())
}

fn text(data: &Data) -> String {
    data.as_text().map_or_else(|| "(bytes that are no text)".to_owned(), cut)
}

/// In one line, and not for the terminal to obey.
fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN.min(text.len()));
    let kept = text.get(..end).unwrap_or_default();
    let mut line = String::with_capacity(kept.len());
    for character in kept.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if end < text.len() {
        line.push('…');
    }
    line
}
