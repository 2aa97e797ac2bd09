//! The log of everything in this process, so that tests can see what reaches it and what does not.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, OnceLock},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// Its target.
    pub target: String,
    /// Its fields; the text is `message`.
    pub fields: BTreeMap<String, String>,
}

impl Line {
    /// Its text.
    pub fn message(&self) -> &str {
        self.fields.get("message").map_or("", String::as_str)
    }
}

static LINES: OnceLock<&'static Mutex<Vec<Line>>> = OnceLock::new();

fn lines() -> &'static Mutex<Vec<Line>> {
    LINES.get_or_init(|| {
        let lines: &'static Mutex<Vec<Line>> = Box::leak(Box::default());
        tracing::subscriber::set_global_default(Collector(lines)).expect("no other subscriber");
        lines
    })
}

/// Begins to collect, where that has not begun yet. Tests that look at the log call it first.
pub fn logs() {
    lines();
}

/// The lines of one request.
pub fn log_of(request_id: &str) -> Vec<Line> {
    let all = lines().lock().unwrap();
    all.iter().filter(|l| l.fields.get("request_id").is_some_and(|id| id == request_id)).cloned().collect()
}

/// Whether a text stands anywhere in the log.
pub fn log_has(text: &str) -> bool {
    let all = lines().lock().unwrap();
    all.iter().any(|line| line.fields.values().any(|value| value.contains(text)))
}

struct Collector(&'static Mutex<Vec<Line>>);

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target == "adaptor" || target == "request" || target.starts_with("airlock")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = Line { level: *metadata.level(), target: metadata.target().to_owned(), fields: fields.0 };
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
