//! Cuts a byte stream into whole server-sent events, unchanged, and reads the usage that passes by.

use airlock_sandbox::Events;
use bytes::{Bytes, BytesMut};
use memchr::{memchr2_iter, memmem, memrchr2_iter};

use super::{
    upstream_error::{self, UpstreamFailure},
    usage::{Counts, Glimpse, NamedGlimpse},
    words::Words,
};
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
    form: Events,
    hide_usage: bool,
    end: Option<End>,
    told: Option<UpstreamFailure>,
    counts: Option<Counts>,
    latest: Bytes,
    words: Words,
}

/// What becomes of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Shown,
    Hidden,
    /// It is an error in a form that nobody raises on, and the last event.
    Told,
}

/// How a stream has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With its last event.
    Complete,
    /// The backend itself has told the client of an error.
    Error,
}

impl End {
    /// What an event of this name means for a stream that is complete with one of `last`.
    pub(super) fn of(name: &str, last: &[&str]) -> Option<Self> {
        match name {
            "error" => Some(Self::Error),
            name => last.contains(&name).then_some(Self::Complete),
        }
    }
}

impl Framer {
    /// `hide_usage` drops the chunk that only carries usage, which streams without names have.
    pub fn new(form: Events, hide_usage: bool) -> Self {
        Self::with_limit(form, hide_usage, MAX_EVENT)
    }

    /// Holds events of up to `max_event` bytes.
    pub fn with_limit(form: Events, hide_usage: bool, max_event: usize) -> Self {
        let latest = Bytes::new();
        let (tail, end, told, counts) = (BytesMut::new(), None, None, None);
        Self { tail, max_event, form, hide_usage, end, told, counts, latest, words: Words::default() }
    }

    /// What has passed of the stream's end: `[DONE]`, or an event with a last name.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The error that a stream without names has told of. It is for the gateway to say: neither it nor what follows it has
    /// passed.
    pub fn told(&self) -> Option<&UpstreamFailure> {
        self.told.as_ref()
    }

    /// The events that have passed last.
    pub(super) fn latest(&self) -> &[u8] {
        &self.latest
    }

    /// The latest usage that has passed.
    pub fn usage(&self) -> Option<Usage> {
        self.counts.map(Counts::usage)
    }

    /// Takes what has come and gives back the events that are whole now, perhaps none.
    pub fn push(&mut self, mut chunk: Bytes) -> Result<Bytes, EventTooLong> {
        if self.told.is_some() {
            return Ok(Bytes::new());
        }
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
    fn pass(&mut self, mut events: Bytes) -> Bytes {
        if !events.is_empty() {
            self.latest = events.clone();
        }
        if !self.words.may_hold_usage(&events) && !self.may_hold_end(&events) {
            return events;
        }
        let mut hidden = Vec::new();
        let mut start = 0;
        while let Some(rest) = events.get(start..).filter(|rest| !rest.is_empty()) {
            let end = start + end_of_first_event(rest);
            match self.look_at(events.get(start..end).unwrap_or_default()) {
                Look::Shown => {}
                Look::Hidden => hidden.push(start..end),
                Look::Told => {
                    events.truncate(start);
                    self.tail.clear();
                }
            }
            start = end;
        }
        if hidden.is_empty() { events } else { without(&events, &hidden) }
    }

    fn may_hold_end(&self, events: &[u8]) -> bool {
        let holds = |text: &str| memmem::find(events, text.as_bytes()).is_some();
        let is_last = |last: &[&str]| holds("\"error\"") || last.iter().any(|name| holds(name));
        let is_plain_end = || self.words.hold_done(events) || self.words.may_tell_error(events);
        match self.form {
            Events::Plain => is_plain_end(),
            Events::Named(last) => is_last(last),
            Events::Either(last) => is_plain_end() || is_last(last),
        }
    }

    fn look_at(&mut self, event: &[u8]) -> Look {
        let Some(data) = data_of(event) else { return Look::Shown };
        let (Events::Named(last) | Events::Either(last)) = self.form else {
            return self.look_at_plain(event, data);
        };
        match NamedGlimpse::of(data) {
            Ok(glimpse) if self.form == Events::Named(last) || End::of(&glimpse.name, last).is_some() => {
                self.add(glimpse.counts);
                self.end = End::of(&glimpse.name, last).or(self.end);
                Look::Shown
            }
            // What cannot be read is the client's to complain about, as everywhere in a stream.
            Err(_) if self.form == Events::Named(last) => Look::Shown,
            _ => self.look_at_plain(event, data),
        }
    }

    fn look_at_plain(&mut self, event: &[u8], data: &[u8]) -> Look {
        if self.is_told(event, data) {
            Look::Told
        } else if self.is_hidden(data) {
            Look::Hidden
        } else {
            Look::Shown
        }
    }

    /// Whether this event is an error. Behind `[DONE]` nobody reads.
    fn is_told(&mut self, event: &[u8], data: &[u8]) -> bool {
        if self.end.is_none() && self.words.may_tell_error(event) {
            self.told = upstream_error::told(data, name_of(event) == b"error");
        }
        if self.told.is_some() {
            self.end = Some(End::Error);
        }
        self.told.is_some()
    }

    fn add(&mut self, counts: Option<Counts>) {
        if let Some(counts) = counts {
            self.counts = Some(counts.after(self.counts.unwrap_or_default()));
        }
    }

    /// True for an event that the client has not asked for.
    fn is_hidden(&mut self, data: &[u8]) -> bool {
        if data == b"[DONE]" {
            self.end = Some(End::Complete);
            return false;
        }
        if !self.words.may_hold_usage(data) {
            return false;
        }
        match Glimpse::of(data) {
            Ok(glimpse) => {
                self.add(glimpse.usage);
                self.hide_usage && glimpse.is_usage_only()
            }
            Err(_) => false,
        }
    }
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
    lines(event).find_map(|line| line.strip_prefix(b"data:")).map(<[u8]>::trim_ascii)
}

/// An event's name, which the last `event` line gives; empty without one.
fn name_of(event: &[u8]) -> &[u8] {
    let mut values = lines(event).rev().filter_map(|line| match line.strip_prefix(b"event") {
        Some([b':', value @ ..]) => Some(value),
        Some([]) => Some(&[][..]),
        _ => None,
    });
    values.next().unwrap_or_default().trim_ascii()
}

fn lines(event: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    event.split(|b| matches!(b, b'\n' | b'\r'))
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
            let mut framer = Framer::new(Events::Plain, false);
            let (a, b) = bytes.split_at(cut);
            assert_eq!(run(&mut framer, &[a, b]), bytes, "cut at {cut}");
            assert!(framer.end().is_some());
            assert_eq!(framer.usage().unwrap().total_tokens, 7);
        }
        let mut framer = Framer::new(Events::Plain, false);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(run(&mut framer, &single), bytes);
    }

    #[test]
    fn an_empty_line_ends_an_event_in_any_spelling() {
        for end in ["\n\n", "\r\n\r\n", "\r\r", "\r\n\n", "\n\r\n", "\n\r", "\r\n\r"] {
            let text = format!("data: 1{end}{USAGE}{end}data: [DONE]{end}d");
            let mut framer = Framer::new(Events::Plain, true);
            let out = String::from_utf8(run(&mut framer, &[text.as_bytes()])).unwrap();
            assert_eq!(out, format!("data: 1{end}data: [DONE]{end}"));
            assert!(framer.end().is_some() && framer.usage().is_some(), "{end:?}");
        }
    }

    /// Each byte is looked at a few times, however little comes at once and however short events are.
    #[test]
    fn large_events_and_many_events_take_time_in_proportion() {
        let start = std::time::Instant::now();
        let mut framer = Framer::new(Events::Plain, false);
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
        let mut framer = Framer::new(Events::Plain, false);
        assert!(framer.push(Bytes::from_static(b"data: 1\n")).unwrap().is_empty());
        assert_eq!(framer.push(Bytes::from_static(b"\ndata")).unwrap(), "data: 1\n\n");
        assert!(framer.end().is_none());
    }

    #[test]
    fn the_usage_chunk_is_hidden_and_counted_and_nothing_else_is() {
        let before = "data: {\"choices\":[{}],\"usage\":null}\n\n";
        let quoting = "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\"\"}}]}\n\n";
        let text = format!("{before}{quoting}{USAGE}\n\ndata: [DONE]\n\n");
        let mut framer = Framer::new(Events::Plain, true);
        let out = run(&mut framer, &[text.as_bytes()]);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{before}{quoting}data: [DONE]\n\n"));
        assert_eq!(framer.usage().unwrap().prompt_tokens, 3);
    }

    #[test]
    fn usage_on_a_chunk_with_choices_is_counted_and_kept() {
        let text = "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\n";
        let mut framer = Framer::new(Events::Plain, true);
        assert_eq!(run(&mut framer, &[text.as_bytes()]), text.as_bytes());
        assert_eq!(framer.usage().unwrap().completion_tokens, 2);
    }

    /// Of Anthropic's events the first counts the prompt, and a later one the answer.
    #[test]
    fn named_events_pass_unchanged_and_their_end_and_usage_are_seen() {
        let text = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n\
            event: x\ndata: {\"type\":\"x\",\"text\":\"message_stop \\\"error\\\"\"}\n\n\
            event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":5}}\n\n";
        let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        for cut in 1..text.len() {
            let mut framer = Framer::new(Events::Named(&["message_stop"]), true);
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(run(&mut framer, &[a, b]), text.as_bytes(), "cut at {cut}");
            assert_eq!(framer.end(), None);
            let usage = framer.usage().unwrap();
            assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (9, 5, 14));
            assert_eq!(run(&mut framer, &[stop.as_bytes()]), stop.as_bytes());
            assert_eq!(framer.end(), Some(End::Complete));
        }
    }

    #[test]
    fn a_backends_own_error_is_an_end() {
        let mut framer = Framer::new(Events::Named(&["message_stop"]), true);
        run(&mut framer, &[b"event: error\ndata: {\"type\": \"error\",\"error\":{}}\n\n"]);
        assert_eq!(framer.end(), Some(End::Error));
    }

    #[test]
    fn however_it_is_cut_an_error_is_the_end_of_a_plain_stream() {
        let before = "data: {\"choices\":[]}\n\n";
        for error in [
            "data: {\"error\":{\"message\":\"m\"}}\n\n",
            "data: {\"object\":\"error\",\"message\":\"m\"}\r\n\r\n",
            "event: error\ndata: {\"message\":\"m\"}\n\n",
        ] {
            let text = [before, error, USAGE, "\n\ndata: [DONE]\n\n"].concat();
            for cut in 1..text.len() {
                let mut framer = Framer::new(Events::Plain, false);
                let (a, b) = text.as_bytes().split_at(cut);
                assert_eq!(run(&mut framer, &[a, b]), before.as_bytes(), "cut at {cut}");
                assert_eq!((framer.end(), framer.usage()), (Some(End::Error), None));
                assert_eq!(framer.told().unwrap().message, "m");
            }
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut framer = Framer::new(Events::Plain, false);
        assert_eq!(framer.push(Bytes::from(vec![b'a'; MAX_EVENT + 1])), Err(EventTooLong));
    }
}
