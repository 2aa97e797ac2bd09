//! Cuts a byte stream into whole server-sent events, unchanged, and reads the usage that passes by.

use bytes::{Bytes, BytesMut};
use memchr::{memchr2_iter, memmem, memrchr2_iter};

use super::usage::Glimpse;
use crate::ledger::Usage;

/// Largest event that is held until it is whole.
const MAX_EVENT: usize = 16 << 20;

/// An event that does not end.
#[derive(Debug, PartialEq, Eq)]
pub struct EventTooLong;

/// Whole events go on as they came, byte for byte; the beginning of one waits for its end.
pub struct Framer {
    tail: BytesMut,
    max_event: usize,
    hide_usage: bool,
    done: bool,
    usage: Option<Usage>,
}

impl Framer {
    /// `hide_usage` drops the chunk that only carries usage.
    pub fn new(hide_usage: bool) -> Self {
        Self::with_limit(hide_usage, MAX_EVENT)
    }

    /// Holds events of up to `max_event` bytes.
    pub fn with_limit(hide_usage: bool, max_event: usize) -> Self {
        Self { tail: BytesMut::new(), max_event, hide_usage, done: false, usage: None }
    }

    /// Whether `[DONE]` has passed.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The latest usage that has passed.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Takes what has come and gives back the events that are whole now, perhaps none.
    pub fn push(&mut self, mut chunk: Bytes) -> Result<Bytes, EventTooLong> {
        let whole = if self.tail.is_empty() {
            let whole = chunk.split_to(end_of_events(&chunk));
            self.tail.extend_from_slice(&chunk);
            whole
        } else {
            // What is held was looked through. Only its last two bytes may be part of an empty line.
            let seen = self.tail.len().saturating_sub(2);
            self.tail.extend_from_slice(&chunk);
            let unseen = self.tail.get(seen..).unwrap_or_default();
            let end = Some(end_of_events(unseen)).filter(|end| *end > 0).map_or(0, |end| seen + end);
            self.tail.split_to(end).freeze()
        };
        if self.tail.len() > self.max_event {
            return Err(EventTooLong);
        }
        Ok(self.pass(whole))
    }

    /// Looks at whole events. Most hold nothing of interest and are not parsed.
    fn pass(&mut self, events: Bytes) -> Bytes {
        if !holds_usage(&events) && memmem::find(&events, b"[DONE]").is_none() {
            return events;
        }
        let mut hidden = Vec::new();
        let mut start = 0;
        while let Some(rest) = events.get(start..).filter(|rest| !rest.is_empty()) {
            let end = start + end_of_first_event(rest);
            if self.look_at(events.get(start..end).unwrap_or_default()) {
                hidden.push(start..end);
            }
            start = end;
        }
        if hidden.is_empty() { events } else { without(&events, &hidden) }
    }

    /// True for an event that the client does not get.
    fn look_at(&mut self, event: &[u8]) -> bool {
        let Some(data) = data_of(event) else { return false };
        if data == b"[DONE]" {
            self.done = true;
            return false;
        }
        if !holds_usage(data) {
            return false;
        }
        match Glimpse::of(data) {
            Ok(glimpse) => {
                self.usage = glimpse.usage.or(self.usage);
                self.hide_usage && glimpse.is_usage_only()
            }
            Err(_) => false,
        }
    }
}

/// Whether a `"usage"` that is not null may be in here; text that merely quotes it costs a parse.
pub(super) fn holds_usage(data: &[u8]) -> bool {
    memmem::find_iter(data, b"\"usage\"").any(|at| {
        let value = data.get(at + 7..).unwrap_or_default();
        let value = value.trim_ascii_start().strip_prefix(b":").unwrap_or(value);
        !value.trim_ascii_start().starts_with(b"null")
    })
}

/// Where the last whole event ends; 0 where there is none.
fn end_of_events(bytes: &[u8]) -> usize {
    memrchr2_iter(b'\n', b'\r', bytes).find_map(|at| end_of_event(bytes, at)).unwrap_or(0)
}

fn end_of_first_event(bytes: &[u8]) -> usize {
    memchr2_iter(b'\n', b'\r', bytes).find_map(|at| end_of_event(bytes, at)).unwrap_or(bytes.len())
}

/// Where an event ends whose last line ends at `at`: behind an empty line, in any spelling.
fn end_of_event(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at..)? {
        [b'\n', b'\n', ..] | [b'\r', b'\r', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        // A line feed may still follow a carriage return that came last, and belongs to it.
        [b'\n', b'\r', _, ..] => Some(at + 2),
        _ => None,
    }
}

/// The payload of an event's one `data:` line. Payloads over several lines do not occur in these APIs.
fn data_of(event: &[u8]) -> Option<&[u8]> {
    event
        .split(|b| matches!(b, b'\n' | b'\r'))
        .find_map(|line| line.strip_prefix(b"data:"))
        .map(<[u8]>::trim_ascii)
}

fn without(events: &Bytes, hidden: &[std::ops::Range<usize>]) -> Bytes {
    let mut kept = BytesMut::with_capacity(events.len());
    let mut from = 0;
    for range in hidden {
        kept.extend_from_slice(events.get(from..range.start).unwrap_or_default());
        from = range.end;
    }
    kept.extend_from_slice(events.get(from..).unwrap_or_default());
    kept.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: &str =
        r#"data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;

    fn run(framer: &mut Framer, chunks: &[&[u8]]) -> Vec<u8> {
        chunks.iter().flat_map(|c| framer.push(Bytes::copy_from_slice(c)).unwrap().to_vec()).collect()
    }

    #[test]
    fn however_a_stream_is_cut_the_same_bytes_come_out() {
        let text = format!(
            ": ping\n\ndata: {{\"a\":\"\u{e9}\"}}\n\nevent: x\r\ndata: 1\r\n\r\n{USAGE}\n\ndata: [DONE]\n\n"
        );
        let bytes = text.as_bytes();
        for cut in 1..bytes.len() {
            let mut framer = Framer::new(false);
            let (a, b) = bytes.split_at(cut);
            assert_eq!(run(&mut framer, &[a, b]), bytes, "cut at {cut}");
            assert!(framer.is_done());
            assert_eq!(framer.usage().unwrap().total_tokens, 7);
        }
        let mut framer = Framer::new(false);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(run(&mut framer, &single), bytes);
    }

    #[test]
    fn an_empty_line_ends_an_event_in_any_spelling() {
        for end in ["\n\n", "\r\n\r\n", "\r\r", "\r\n\n", "\n\r\n", "\n\r", "\r\n\r"] {
            let text = format!("data: 1{end}{USAGE}{end}data: [DONE]{end}d");
            let mut framer = Framer::new(true);
            let out = String::from_utf8(run(&mut framer, &[text.as_bytes()])).unwrap();
            assert_eq!(out, format!("data: 1{end}data: [DONE]{end}"));
            assert!(framer.is_done() && framer.usage().is_some(), "{end:?}");
        }
    }

    /// Each byte is looked at a few times, however little comes at once and however short events are.
    #[test]
    fn large_events_and_many_events_take_time_in_proportion() {
        let start = std::time::Instant::now();
        let mut framer = Framer::new(false);
        let piece = Bytes::from(vec![b'x'; 1024]);
        assert!((0..8 << 10).all(|_| framer.push(piece.clone()).unwrap().is_empty()));
        for end in ["\n\n", "\r\r"] {
            let text = format!("data: [DONE]{}", end.repeat(256 << 10));
            assert_eq!(run(&mut framer, &[text.as_bytes()]).len() % (1 << 10), text.len() % (1 << 10));
        }
        // About 0.1 s; it was minutes when all that was held was looked through again each time.
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    }

    #[test]
    fn a_part_of_an_event_waits_for_its_end() {
        let mut framer = Framer::new(false);
        assert!(framer.push(Bytes::from_static(b"data: 1\n")).unwrap().is_empty());
        assert_eq!(framer.push(Bytes::from_static(b"\ndata")).unwrap(), "data: 1\n\n");
        assert!(!framer.is_done());
    }

    #[test]
    fn the_usage_chunk_is_hidden_and_counted_and_nothing_else_is() {
        let before = "data: {\"choices\":[{}],\"usage\":null}\n\n";
        let quoting = "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\"\"}}]}\n\n";
        let text = format!("{before}{quoting}{USAGE}\n\ndata: [DONE]\n\n");
        let mut framer = Framer::new(true);
        let out = run(&mut framer, &[text.as_bytes()]);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{before}{quoting}data: [DONE]\n\n"));
        assert_eq!(framer.usage().unwrap().prompt_tokens, 3);
    }

    #[test]
    fn usage_on_a_chunk_with_choices_is_counted_and_kept() {
        let text = "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\n";
        let mut framer = Framer::new(true);
        assert_eq!(run(&mut framer, &[text.as_bytes()]), text.as_bytes());
        assert_eq!(framer.usage().unwrap().completion_tokens, 2);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut framer = Framer::new(false);
        assert_eq!(framer.push(Bytes::from(vec![b'a'; MAX_EVENT + 1])), Err(EventTooLong));
    }
}
