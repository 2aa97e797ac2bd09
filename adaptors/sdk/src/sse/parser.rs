//! The parser of server-sent events. It names nothing else of this crate, so that it is fuzzed as it stands.

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event:` field, empty where there is none.
    pub name: String,
    /// The `data:` lines, joined by line feeds.
    pub data: Vec<u8>,
}

/// An event, or one line of a stream, that is longer than the parser takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTooLong {
    /// The most bytes that it takes.
    pub limit: usize,
}

/// The parser behind [`super::Events`], for bytes that come from elsewhere.
#[derive(Debug)]
pub struct Parser {
    buffer: Vec<u8>,
    /// Up to where the buffer is used up.
    start: usize,
    /// Up to where it is known to hold no line end.
    scanned: usize,
    /// The last line ended with a carriage return: a line feed that follows belongs to it.
    after_carriage_return: bool,
    first_line: bool,
    event: Event,
    has_data: bool,
    done: bool,
    limit: usize,
}

impl Parser {
    /// A parser that refuses events longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            after_carriage_return: false,
            first_line: true,
            event: Event::default(),
            has_data: false,
            done: false,
            limit,
        }
    }

    /// Adds bytes; how they are split does not matter.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Says that no more bytes will come. Some backends leave out the blank line after their last
    /// event; it counts nevertheless.
    pub fn finish(&mut self) {
        self.push(b"\n\n\n");
    }

    /// True once `[DONE]` was read. Nothing behind it is looked at.
    pub fn saw_done(&self) -> bool {
        self.done
    }

    /// The next complete event in the bytes so far.
    pub fn next_event(&mut self) -> Result<Option<Event>, EventTooLong> {
        while !self.done {
            let Some((from, to)) = self.next_line() else { break };
            let is_first = std::mem::take(&mut self.first_line);
            if from < to {
                self.field(from, to, is_first)?;
                continue;
            }
            let event = std::mem::take(&mut self.event);
            if !std::mem::take(&mut self.has_data) {
                continue;
            }
            if event.data == b"[DONE]" {
                self.done = true;
                break;
            }
            return Ok(Some(event));
        }
        if !self.done && self.buffer.len() - self.start > self.limit {
            return Err(self.too_long());
        }
        Ok(None)
    }

    /// The bounds of the next complete line, without its end.
    fn next_line(&mut self) -> Option<(usize, usize)> {
        if self.after_carriage_return && self.start < self.buffer.len() {
            self.after_carriage_return = false;
            if self.buffer.get(self.start) == Some(&b'\n') {
                self.start += 1;
                self.scanned = self.scanned.max(self.start);
            }
        }
        let unseen = self.buffer.get(self.scanned..)?;
        let Some(length) = unseen.iter().position(|&byte| byte == b'\n' || byte == b'\r') else {
            self.scanned = self.buffer.len();
            return None;
        };
        let (from, to) = (self.start, self.scanned + length);
        self.after_carriage_return = self.buffer.get(to) == Some(&b'\r');
        self.start = to + 1;
        self.scanned = self.start;
        Some((from, to))
    }

    /// Takes one line that is not blank. One that is too long is refused whether it came in pieces or whole.
    fn field(&mut self, from: usize, to: usize, is_first: bool) -> Result<(), EventTooLong> {
        if to - from > self.limit {
            return Err(self.too_long());
        }
        let mut line = self.buffer.get(from..to).unwrap_or_default();
        if is_first {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if self.has_data {
                    self.event.data.push(b'\n');
                }
                self.has_data = true;
                self.event.data.extend_from_slice(value);
            }
            b"event" => self.event.name = String::from_utf8_lossy(value).into_owned(),
            // Comments, `id`, `retry` and unknown fields.
            _ => {}
        }
        if self.event.data.len() + self.event.name.len() > self.limit {
            return Err(self.too_long());
        }
        Ok(())
    }

    fn too_long(&self) -> EventTooLong {
        EventTooLong { limit: self.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every event's data, fed in pieces of `size` bytes.
    fn read(text: &[u8], size: usize) -> (Vec<String>, bool) {
        let mut parser = Parser::new(64);
        let mut events = Vec::new();
        for piece in text.chunks(size) {
            parser.push(piece);
            while let Some(event) = parser.next_event().unwrap() {
                events.push(String::from_utf8(event.data).unwrap());
            }
        }
        parser.finish();
        while let Some(event) = parser.next_event().unwrap() {
            events.push(String::from_utf8(event.data).unwrap());
        }
        (events, parser.saw_done())
    }

    fn check(text: &str, expected: &[&str], done: bool) {
        for size in 1..=text.len() {
            let (events, saw_done) = read(text.as_bytes(), size);
            assert_eq!(
                (events, saw_done),
                (expected.iter().map(ToString::to_string).collect(), done),
                "by {size}"
            );
        }
    }

    #[test]
    fn events_are_found_however_they_are_split() {
        check("data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n", &[r#"{"a":1}"#, r#"{"b":2}"#], true);
    }

    #[test]
    fn all_three_line_ends_are_taken() {
        check("data: 1\r\n\r\ndata: 2\r\rdata: 3\n\n", &["1", "2", "3"], false);
        check("data: 1\r\ndata: 2\r\n\r\n", &["1\n2"], false);
    }

    #[test]
    fn lines_of_data_are_joined_and_other_fields_skipped() {
        check(": hello\nid: 7\nretry: 10\ndata: a\ndata\ndata:b\nother: x\n\n", &["a\n\nb"], false);
        check("event: ping\n\n\n\n: only a comment\n\n", &[], false);
    }

    #[test]
    fn nothing_behind_done_is_read() {
        check("data: 1\n\ndata: [DONE]\n\ndata: 2\n\n", &["1"], true);
    }

    #[test]
    fn the_last_event_needs_no_blank_line() {
        check("data: 1\n\ndata: 2", &["1", "2"], false);
        check("data: 1\n\ndata: [DONE]", &["1"], true);
    }

    #[test]
    fn names_and_a_byte_order_mark_are_understood() {
        let mut parser = Parser::new(64);
        parser.push(b"\xef\xbb\xbfevent: delta\ndata:  x\n\n");
        let event = parser.next_event().unwrap().unwrap();
        assert_eq!((event.name.as_str(), event.data.as_slice()), ("delta", b" x".as_slice()));
        // The mark comes first or is none.
        check("\n\u{feff}data: 1\ndata: 2\n\n", &["2"], false);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = Parser::new(64);
        parser.push(&[b'x'; 65]);
        assert_eq!(parser.next_event(), Err(EventTooLong { limit: 64 }));
        let mut parser = Parser::new(64);
        let result = (0..20).try_for_each(|_| {
            parser.push(b"data: 12345\n");
            parser.next_event().map(drop)
        });
        assert_eq!(result, Err(EventTooLong { limit: 64 }));
        for size in [1, 66, 100] {
            let mut parser = Parser::new(64);
            let line = [&[b':'; 65][..], b"\n\n"].concat();
            let refused = line.chunks(size).any(|piece| {
                parser.push(piece);
                parser.next_event().is_err()
            });
            assert!(refused, "by {size}");
        }
    }

    #[test]
    fn what_follows_done_may_be_long() {
        let mut parser = Parser::new(64);
        parser.push(&[&b"data: [DONE]\n\n"[..], &[b'x'; 65]].concat());
        assert_eq!(parser.next_event(), Ok(None));
        assert!(parser.saw_done());
    }
}
