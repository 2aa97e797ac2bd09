//! `airlock:adaptor/logging`, and what guests print. Both end in the operator's log, bounded and
//! escaped, tagged with the request.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::Result;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use crate::{
    Witness,
    bindings::airlock::adaptor::logging::{self, Level},
    call::CallState,
    witness::Step,
};

/// Longest line, in bytes, before escaping.
const MAX_LINE: usize = 4 << 10;

/// What a line takes from the budget beside its text: its tags make it many times as long.
const LINE_OVERHEAD: usize = 64;

/// Whose lines these are.
pub(crate) struct Tags {
    pub(crate) request: Arc<str>,
    pub(crate) endpoint: Arc<str>,
    pub(crate) tenant: Arc<str>,
}

/// The log of one call. Clones share the budget.
#[derive(Clone)]
pub(crate) struct LogSink(Arc<Mutex<Sink>>);

struct Sink {
    tags: Tags,
    /// Who sees the lines too.
    witness: Option<Witness>,
    left: usize,
    dropped: usize,
    line: Vec<u8>,
}

impl LogSink {
    pub(crate) fn new(tags: Tags, budget: usize, witness: Option<Witness>) -> Self {
        Self(Arc::new(Mutex::new(Sink { tags, witness, left: budget, dropped: 0, line: Vec::new() })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Sink) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Output that does not end in a line feed, and how many bytes went over the budget.
    pub(crate) fn finish(&self) {
        self.with(|sink| {
            sink.end_line();
            if sink.dropped > 0 {
                let message = format!("{} bytes of log were dropped", sink.dropped);
                sink.emit(Level::Warn, &message);
            }
        });
    }
}

impl Sink {
    /// Takes from the budget; what does not fit is counted.
    fn admit<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (kept, rest) = bytes.split_at(bytes.len().min(self.left));
        self.left -= kept.len();
        self.dropped += rest.len();
        kept
    }

    fn print(&mut self, bytes: &[u8]) {
        for byte in self.admit(bytes) {
            if *byte == b'\n' || self.line.len() >= MAX_LINE {
                self.end_line();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
    }

    fn end_line(&mut self) {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.emit(Level::Info, &String::from_utf8_lossy(&line));
        }
    }

    fn emit(&mut self, level: Level, message: &str) {
        self.left = self.left.saturating_sub(LINE_OVERHEAD);
        let message = escape(message);
        if let Some(witness) = &self.witness {
            witness.saw(&Step::Log { level: name(level).to_owned(), line: message.clone() });
        }
        let Tags { request, endpoint, tenant } = &self.tags;
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(target: "adaptor", %tenant, %endpoint, request_id = %request, "{message}")
            };
        }
        match level {
            Level::Trace => event!(trace),
            Level::Debug => event!(debug),
            Level::Info => event!(info),
            Level::Warn => event!(warn),
            Level::Error => event!(error),
        }
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// Control characters could forge lines or drive the operator's terminal.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

impl logging::Host for CallState {
    fn log(&mut self, level: Level, message: String) -> Result<()> {
        self.check_serves()?;
        self.log.with(|sink| {
            let cut = message.floor_char_boundary(MAX_LINE.min(sink.left));
            let (kept, rest) = message.split_at(cut);
            sink.left -= kept.len();
            sink.dropped += rest.len();
            if !kept.is_empty() {
                sink.emit(level, kept);
            }
        });
        Ok(())
    }
}

impl IsTerminal for LogSink {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogSink {
    /// WASI 0.2 uses the stream below; this is the way of 0.3, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LogSink {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !bytes.is_empty() {
            self.with(|sink| sink.print(&bytes));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE)
    }
}

#[async_trait]
impl Pollable for LogSink {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(budget: usize) -> LogSink {
        let tags = Tags { request: "r".into(), endpoint: "e".into(), tenant: "t".into() };
        LogSink::new(tags, budget, None)
    }

    #[test]
    fn output_past_the_budget_is_dropped_and_counted() {
        let mut sink = sink(10);
        for _ in 0..1000 {
            sink.write(Bytes::from_static(b"0123456789")).unwrap();
            sink.write(Bytes::new()).unwrap();
        }
        sink.with(|s| {
            assert_eq!(s.line, b"0123456789");
            assert_eq!(s.dropped, 9_990);
        });
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape("a\r\nb\u{1b}[31m\tc"), "a\\r\\nb\\u{1b}[31m\tc");
    }
}
