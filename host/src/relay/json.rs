//! JSON that is checked as it comes in. Each piece costs what it is long, so that an answer of many megabytes holds up
//! nobody at its end.

use memchr::memchr2;

use super::usage::parse_usage;
use crate::ledger::Usage;

/// As deep as `serde_json` goes.
const MAX_DEPTH: u8 = 127;
/// Longest `usage` that is read; any real one has some hundred bytes.
const MAX_USAGE: usize = 16 << 10;
const USAGE: &[u8] = b"usage";

/// What is wrong with an answer, as the end of a sentence.
type Flaw = String;

/// Where in the text the next byte is.
#[derive(Clone, Copy)]
enum At {
    /// Before the object.
    Start,
    Value,
    /// After `[`: a value, or the end.
    Element,
    /// After `{`: a key, or the end.
    Member,
    /// After a comma in an object.
    Key,
    Colon,
    AfterValue,
    /// Within a string, a key or not.
    String(bool),
    Escape(bool),
    /// So many hexadecimal digits are still to come.
    Hex(bool, u8),
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
    Number(Number),
    /// After the object.
    End,
}

#[derive(Clone, Copy)]
enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// Checks that what it is given, piece by piece, is one JSON object, and reads its `usage`.
pub(super) struct Checker {
    at: At,
    /// One bit for each open container, the innermost last: 1 for an object.
    open: u128,
    depth: u8,
    seen: u64,
    /// How much of the word `usage` the present key of the object itself has matched.
    key: Option<usize>,
    usage: Vec<u8>,
    is_usage: bool,
}

impl Default for Checker {
    fn default() -> Self {
        Self { at: At::Start, open: 0, depth: 0, seen: 0, key: None, usage: Vec::new(), is_usage: false }
    }
}

impl Checker {
    /// The next piece.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Flaw> {
        let mut rest = piece;
        while let Some((&byte, after)) = rest.split_first() {
            let was_usage = self.is_usage;
            let left = if let At::String(is_key) = self.at {
                self.string(rest, is_key)?
            } else if self.byte(byte)? {
                after
            } else {
                rest // a number ended: the byte is for what comes next
            };
            let read = rest.len() - left.len();
            if was_usage || self.is_usage {
                let room = MAX_USAGE.saturating_sub(self.usage.len());
                self.usage.extend(rest.iter().take(read.min(room)));
            }
            self.seen += read as u64;
            rest = left;
        }
        Ok(())
    }

    /// Nothing more comes: the usage, where there is one.
    pub(super) fn finish(self) -> Result<Option<Usage>, Flaw> {
        match self.at {
            At::End => parse_usage(&self.usage).map_err(|error| format!("not usable JSON (usage: {error})")),
            At::Start => Err("not a JSON object".into()),
            _ => Err(format!("not usable JSON (it ends after {} bytes, within the object)", self.seen)),
        }
    }

    fn flaw(&self) -> Flaw {
        format!("not usable JSON (at byte {})", self.seen)
    }

    /// The part of a string that is here: what is left after it.
    fn string<'a>(&mut self, rest: &'a [u8], is_key: bool) -> Result<&'a [u8], Flaw> {
        let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let (text, left) = rest.split_at(end);
        if text.iter().fold(false, |found, byte| found | (*byte < 0x20)) {
            return Err(self.flaw());
        }
        if is_key {
            self.match_key(text);
        }
        let Some((mark, left)) = left.split_first() else { return Ok(left) };
        self.at = match (mark, is_key) {
            (b'\\', _) => At::Escape(is_key),
            (_, true) => At::Colon,
            (_, false) => self.end_value(),
        };
        Ok(left)
    }

    fn match_key(&mut self, text: &[u8]) {
        let matched = self.key.filter(|known| USAGE.get(*known..).is_some_and(|rest| rest.starts_with(text)));
        self.key = matched.map(|known| known + text.len());
    }

    /// One byte outside a string. `false`: it is not used up.
    fn byte(&mut self, byte: u8) -> Result<bool, Flaw> {
        if let At::Number(number) = self.at {
            return self.number(number, byte);
        }
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at = match self.at {
            At::Escape(is_key) => {
                self.key = None; // nobody spells `usage` so
                match byte {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => At::String(is_key),
                    b'u' => At::Hex(is_key, 4),
                    _ => return Err(self.flaw()),
                }
            }
            At::Hex(is_key, left) if byte.is_ascii_hexdigit() => {
                if left > 1 {
                    At::Hex(is_key, left - 1)
                } else {
                    At::String(is_key)
                }
            }
            At::Word(rest) => match rest.split_first() {
                Some((next, [])) if *next == byte => self.end_value(),
                Some((next, more)) if *next == byte => At::Word(more),
                _ => return Err(self.flaw()),
            },
            at if is_space && !matches!(at, At::Hex(..)) => at,
            At::Start if byte == b'{' => self.enter(true)?,
            At::Start => return Err("not a JSON object".into()),
            At::Element if byte == b']' => self.leave(false)?,
            At::Member if byte == b'}' => self.leave(true)?,
            At::Member | At::Key if byte == b'"' => {
                self.key = (self.depth == 1).then_some(0);
                At::String(true)
            }
            At::Colon if byte == b':' => {
                self.begin_usage();
                At::Value
            }
            At::Value | At::Element => self.value(byte)?,
            At::AfterValue => match byte {
                b',' if self.is_in_object() => At::Key,
                b',' => At::Value,
                b'}' => self.leave(true)?,
                b']' => self.leave(false)?,
                _ => return Err(self.flaw()),
            },
            _ => return Err(self.flaw()),
        };
        Ok(true)
    }

    fn value(&mut self, byte: u8) -> Result<At, Flaw> {
        Ok(match byte {
            b'{' => self.enter(true)?,
            b'[' => self.enter(false)?,
            b'"' => At::String(false),
            b't' => At::Word(b"rue"),
            b'f' => At::Word(b"alse"),
            b'n' => At::Word(b"ull"),
            b'-' => At::Number(Number::Minus),
            b'0' => At::Number(Number::Zero),
            b'1'..=b'9' => At::Number(Number::Integer),
            _ => return Err(self.flaw()),
        })
    }

    fn number(&mut self, number: Number, byte: u8) -> Result<bool, Flaw> {
        use Number::{Exponent, ExponentDigits, ExponentSign, Fraction, Integer, Minus, Point, Zero};
        let next = match (number, byte) {
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') | (Integer, b'0'..=b'9') => Integer,
            (Zero | Integer, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Integer | Fraction, b'e' | b'E') => Exponent,
            (Exponent, b'+' | b'-') => ExponentSign,
            (Exponent | ExponentSign | ExponentDigits, b'0'..=b'9') => ExponentDigits,
            (Zero, b'0'..=b'9') | (Minus | Point | Exponent | ExponentSign, _) => return Err(self.flaw()),
            (Zero | Integer | Fraction | ExponentDigits, _) => {
                self.at = self.end_value();
                return Ok(false);
            }
        };
        self.at = At::Number(next);
        Ok(true)
    }

    fn is_in_object(&self) -> bool {
        self.open & 1 == 1
    }

    fn enter(&mut self, is_object: bool) -> Result<At, Flaw> {
        if self.depth == MAX_DEPTH {
            return Err(format!("not usable JSON (nested more than {MAX_DEPTH} deep)"));
        }
        self.depth += 1;
        self.open = self.open << 1 | u128::from(is_object);
        Ok(if is_object { At::Member } else { At::Element })
    }

    fn leave(&mut self, is_object: bool) -> Result<At, Flaw> {
        if self.is_in_object() != is_object {
            return Err(self.flaw());
        }
        self.depth -= 1;
        self.open >>= 1;
        Ok(self.end_value())
    }

    fn begin_usage(&mut self) {
        if self.depth == 1 && self.key == Some(USAGE.len()) {
            self.is_usage = true;
            self.usage.clear(); // of two the last one counts
        }
    }

    fn end_value(&mut self) -> At {
        if self.depth <= 1 {
            self.is_usage = false;
        }
        if self.depth == 0 { At::End } else { At::AfterValue }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::de::IgnoredAny;
    use serde_json::Value;

    use super::*;

    fn check(text: &[u8], piece: usize) -> Result<Option<Usage>, Flaw> {
        let mut checker = Checker::default();
        text.chunks(piece).try_for_each(|piece| checker.push(piece))?;
        checker.finish()
    }

    /// Deterministic, and different on each call.
    fn noise(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 8) as usize
    }

    const GOOD: [&str; 4] = [
        r#"{"id":"c-1","choices":[{"index":0,"message":{"content":"a\"b\\cé\n"},"n":null}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}"#,
        " {\n\t\"a\" : [ ] , \"b\":{ },\"c\":[-0.5e+10 , 0,12,1E3 , 7.25],\"d\":[true,false , null]\r\n} ",
        r#"{"usage":null,"x":[[[{"usage":{"prompt_tokens":1}}]]]}"#,
        "{}",
    ];

    #[test]
    fn it_agrees_with_serde_about_what_is_one_object() {
        let (mut state, mut good, mut bad) = (0x5eed_u64, 0, 0);
        for turn in 0..60_000 {
            let mut text = GOOD[turn % GOOD.len()].as_bytes().to_vec();
            for _ in 0..turn % 4 {
                let at = noise(&mut state) % text.len().max(1);
                let bytes = b"{}[]:,\"\\ 01-+.eEtrufalsn\x07\x1f/x";
                let byte = bytes[noise(&mut state) % bytes.len()];
                match noise(&mut state) % 3 {
                    0 if !text.is_empty() => drop(text.remove(at)),
                    1 => text.insert(at, byte),
                    _ => text.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
                }
            }
            let is_object = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(&text).is_ok();
            let found = check(&text, 1 + noise(&mut state) % 20);
            // A usage that is none, and keys that serde reads as text.
            if found.as_ref().is_err_and(|why| why.contains("usage:")) || is_odd_text(&text) {
                continue;
            }
            assert_eq!(found.is_ok(), is_object, "{found:?}: {}", String::from_utf8_lossy(&text));
            *(if is_object { &mut good } else { &mut bad }) += 1;
        }
        assert!(good > 5_000 && bad > 5_000, "{good} {bad}");
    }

    fn is_odd_text(text: &[u8]) -> bool {
        !std::str::from_utf8(text).is_ok_and(|text| !text.contains("\\u"))
    }

    #[test]
    fn usage_is_found_wherever_pieces_end() {
        let usage = Some(Usage { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 });
        for piece in 1..200 {
            assert_eq!(check(GOOD[0].as_bytes(), piece), Ok(usage), "{piece}");
            for without in &GOOD[1..] {
                assert_eq!(check(without.as_bytes(), piece), Ok(None), "{piece}");
            }
        }
        let twice = r#"{"usage":{"prompt_tokens":1},"usages":5,"usag":1,"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}"#;
        assert_eq!(check(twice.as_bytes(), 7), Ok(usage));
        let last = r#"{"usage" :{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8},"x":"usage"}"#;
        assert_eq!(check(last.as_bytes(), 3), Ok(usage));
        assert!(check(br#"{"usage":"lots"}"#, 4).unwrap_err().contains("usage"));
    }

    #[test]
    fn depth_has_serdes_limit() {
        for (depth, is_good) in [(126, true), (127, false)] {
            let text = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(serde_json::from_str::<Value>(&text).is_ok(), is_good, "serde at {depth}");
            assert_eq!(check(text.as_bytes(), 10).is_ok(), is_good, "{depth}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, says) in [
            ("", "not a JSON object"),
            ("  [1]", "not a JSON object"),
            ("<html>", "not a JSON object"),
            (r#"{"a":1"#, "ends after 6 bytes"),
            (r#"{"a":tru}"#, "at byte 8"),
            (r#"{"a":1}x"#, "at byte 7"),
        ] {
            let why = check(text.as_bytes(), 2).unwrap_err();
            assert!(why.contains(says), "{text}: {why}");
        }
    }
}
