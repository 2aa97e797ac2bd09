//! Event streams: the gateway's framer and the SDK's parser, against a reader that does what the standard says.

#[path = "../../../adaptors/sdk/src/sse/parser.rs"]
mod parser;

use airlock::{
    ledger::Usage,
    relay::{End, Framer},
};
use airlock_sandbox::Events;
use bytes::Bytes;
use parser::{Event, EventTooLong, Parser};
use serde_json::Value;

/// More than any input has, and less than many have.
const LIMITS: [usize; 2] = [1 << 20, 48];
const MARK: &[u8] = b"\xef\xbb\xbf";

/// `data` is a stream as it comes from a backend. However it is cut, the same comes out.
pub fn check(data: &[u8]) {
    let cuts = [vec![data], data.chunks(1).collect(), irregular(data)];
    check_framer(data, &cuts);
    for limit in LIMITS {
        let expected = within_limit(&[data, b"\n\n\n"].concat(), limit);
        for chunks in &cuts {
            assert_eq!(parse(chunks, limit), expected, "the SDK's parser, {} pieces", chunks.len());
        }
    }
}

/// The pieces that a network might make of it, the same for the same bytes.
fn irregular(data: &[u8]) -> Vec<&[u8]> {
    let seed = data.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut pieces = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.usize(1..=rest.len().min(40)));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// What the framer made of a stream.
struct Framed {
    pieces: Vec<Bytes>,
    done: bool,
    /// Whether it ends with an error that has not passed.
    told: bool,
    usage: Option<Usage>,
}

impl Framed {
    fn bytes(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// The events of its pieces, each read for itself.
    fn events(&self) -> Vec<Event> {
        self.pieces.iter().enumerate().flat_map(|(at, piece)| events(piece, at == 0)).collect()
    }
}

fn check_framer(data: &[u8], cuts: &[Vec<&[u8]>]) {
    let framed = |chunks| frame(chunks, false, LIMITS[0]).expect("no event is that long");
    let whole = framed(&cuts[0]);
    for chunks in cuts {
        let shown = framed(chunks);
        let bytes = shown.bytes();
        assert!(data.starts_with(&bytes), "bytes were changed");
        // Empty lines behind the last event may wait for what follows them.
        assert_eq!(without_line_ends(&bytes), without_line_ends(&whole.bytes()), "by {}", chunks.len());
        let seen = |framed: &Framed| (framed.done, framed.told, framed.usage);
        assert_eq!(seen(&shown), seen(&whole), "by {}", chunks.len());
        assert_eq!(shown.events(), events(&bytes, true), "an event was cut");
        let hidden = frame(chunks, true, LIMITS[0]).expect("no event is that long");
        assert_eq!(seen(&hidden), seen(&whole), "hidden, by {}", chunks.len());
        let held = &data[bytes.len()..];
        // The last byte may be the first half of a line's end.
        let held = held.strip_suffix(b"\r").unwrap_or(held);
        let held = events(held, bytes.is_empty());
        match held.first() {
            Some(first) if shown.told => assert!(may_be_error(first), "{first:?} was taken for an error"),
            _ => assert_eq!(held, [], "a whole event is held back"),
        }
        check_done(&shown);
        check_errors(&shown);
        // One that stands later may become the first thing that the client reads.
        let has_late_mark = data.windows(MARK.len()).skip(1).any(|bytes| bytes == MARK);
        if !has_late_mark {
            check_hidden(&shown.events(), &hidden.events());
        }
        drop(frame(chunks, false, LIMITS[1]));
    }
}

fn frame(chunks: &[&[u8]], hide_usage: bool, limit: usize) -> Result<Framed, ()> {
    let mut framer = Framer::with_limit(Events::Plain, hide_usage, limit);
    let mut pieces = Vec::new();
    let mut held = 0;
    for chunk in chunks {
        held += chunk.len();
        let Ok(piece) = framer.push(Bytes::copy_from_slice(chunk)) else {
            assert!(held > limit, "{held} bytes were too many");
            return Err(());
        };
        if framer.told().is_some() {
            held = piece.len(); // the rest is nobody's
        }
        if !hide_usage {
            held -= piece.len();
            assert!(held <= limit, "{held} bytes are held, {limit} at most");
        }
        if !piece.is_empty() {
            let is_whole = piece.ends_with(b"\n") || piece.ends_with(b"\r");
            assert!(is_whole && lines(&piece).ends_with(&[b""]), "a part of an event came out: {piece:?}");
            pieces.push(piece);
        }
    }
    let (done, told) = (framer.end() == Some(End::Complete), framer.told().is_some());
    assert_eq!(told, framer.end() == Some(End::Error));
    Ok(Framed { pieces, done, told, usage: framer.usage() })
}

/// `[DONE]` is noticed where it stands, and nowhere else.
fn check_done(shown: &Framed) {
    let events = shown.events();
    let mut lines = events.iter().flat_map(|event| event.data.split(|byte| *byte == b'\n'));
    let is_somewhere = lines.any(|line| line.trim_ascii() == b"[DONE]");
    assert!(is_somewhere || !shown.done, "the stream counts as done");
    let is_event = events.iter().any(|event| event.data == b"[DONE]");
    let is_marked = shown.pieces.first().is_some_and(|piece| piece.starts_with(MARK));
    assert!(shown.done || is_marked || !is_event, "[DONE] was overlooked");
}

/// No event before the end is an error, as every backend writes it: nothing twice, no escapes.
fn check_errors(shown: &Framed) {
    let events = shown.events();
    let until_done = events.iter().skip(1).take_while(|event| !event.data.windows(6).any(|w| w == b"[DONE]"));
    for event in until_done.filter(|event| !event.data.contains(&b'\n')) {
        let text = String::from_utf8_lossy(&event.data);
        let is_plain = !text.contains('\\') && text.matches("\"error\"").count() == 1;
        assert!(!(is_plain && is_error(&event.data)), "{event:?} was overlooked");
    }
}

fn may_be_error(event: &Event) -> bool {
    event.name.trim() == "error" || event.data.split(|byte| *byte == b'\n').any(is_error)
}

/// What the official clients raise on, and vLLM's older form.
fn is_error(line: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(line.trim_ascii()).unwrap_or_default();
    let is_said = match &value["error"] {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    };
    is_said || value["object"] == "error"
}

/// What is missing are the events with usage and no choices, and all of those.
fn check_hidden(shown: &[Event], left: &[Event]) {
    let mut left = left.iter().peekable();
    for (at, event) in shown.iter().enumerate() {
        if left.next_if_eq(&event).is_some() {
            assert!(at == 0 || !is_plainly_usage(event), "{event:?} was not hidden");
        } else {
            assert!(may_be_usage(event), "{event:?} was hidden");
        }
    }
    assert_eq!(left.next(), None, "something was added");
}

fn may_be_usage(event: &Event) -> bool {
    event.data.split(|byte| *byte == b'\n').any(|line| {
        let value: Value = serde_json::from_slice(line.trim_ascii()).unwrap_or_default();
        !value["usage"].is_null() && value["choices"].as_array().is_some_and(Vec::is_empty)
    })
}

/// As every backend writes it: nothing twice, no escapes, whole numbers.
fn is_plainly_usage(event: &Event) -> bool {
    let text = String::from_utf8_lossy(&event.data);
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let counts = ["prompt_tokens", "completion_tokens", "total_tokens"];
    let once = |name: &str| text.matches(&format!("\"{name}\"")).count() == 1;
    !text.contains(['\\', '\n'])
        && value["choices"].as_array().is_some_and(Vec::is_empty)
        && ["usage", "choices"].into_iter().all(once)
        && counts.into_iter().all(|name| once(name) && value["usage"][name].is_u64())
}

fn without_line_ends(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
    &bytes[..end]
}

/// The SDK's events up to `[DONE]` or the end, and whether it was `[DONE]`.
fn parse(chunks: &[&[u8]], limit: usize) -> (Vec<Event>, Result<bool, EventTooLong>) {
    let mut parser = Parser::new(limit);
    let mut events = Vec::new();
    for chunk in chunks.iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => parser.push(chunk),
            None => parser.finish(),
        }
        loop {
            match parser.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Err(error)),
            }
        }
    }
    (events, Ok(parser.saw_done()))
}

/// What [`parse`] has to find.
fn within_limit(text: &[u8], limit: usize) -> (Vec<Event>, Result<bool, EventTooLong>) {
    let mut found = Vec::new();
    for step in steps(text, true) {
        match step {
            Step::Line { length, event } if length > limit || event > limit => {
                return (found, Err(EventTooLong { limit }));
            }
            Step::Line { .. } => {}
            Step::Event(event) if event.data == b"[DONE]" => return (found, Ok(true)),
            Step::Event(event) => found.push(event),
        }
    }
    (found, Ok(false))
}

/// The events of a text that blank lines end. `at_start`: a byte order mark may come first.
fn events(text: &[u8], at_start: bool) -> Vec<Event> {
    let is_event = |step| if let Step::Event(event) = step { Some(event) } else { None };
    steps(text, at_start).into_iter().filter_map(is_event).collect()
}

/// What a reader goes through.
enum Step {
    /// A line of that length, and how long the event is with it.
    Line { length: usize, event: usize },
    /// A blank line behind an event.
    Event(Event),
}

/// <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>, word by word.
fn steps(text: &[u8], at_start: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut name, mut data) = (String::new(), None::<Vec<u8>>);
    for (at, whole) in lines(text).into_iter().enumerate() {
        if whole.is_empty() {
            let name = std::mem::take(&mut name);
            steps.extend(data.take().map(|data| Step::Event(Event { name, data })));
            continue;
        }
        let line = if at == 0 && at_start { whole.strip_prefix(MARK).unwrap_or(whole) } else { whole };
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = colon.map_or((line, &b""[..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match (field, &mut data) {
            (b"data", None) => data = Some(value.to_vec()),
            (b"data", Some(data)) => data.extend([b"\n", value].concat()),
            (b"event", _) => name = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
        let event = name.len() + data.as_ref().map_or(0, Vec::len);
        steps.push(Step::Line { length: whole.len(), event });
    }
    steps
}

/// The lines that have an end.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        lines.push(&rest[..at]);
        let end = if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[at + end..];
    }
    lines
}
