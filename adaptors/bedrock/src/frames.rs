//! The binary frames of `application/vnd.amazon.eventstream`, as they arrive.
//!
//! A frame is: its length and that of its headers (4 bytes each), the CRC-32 of these eight bytes, the headers, the
//! payload, and the CRC-32 of all before. Numbers have their highest byte first.

use std::fmt;

/// The longest frame that is taken, in bytes. Without a bound a backend decides how much memory we use.
const LIMIT: usize = 4 << 20;
/// Both lengths and their checksum.
const PRELUDE: usize = 12;
/// The checksum at the end.
const TRAILER: usize = 4;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Headers that are strings, as all are that say something here.
    headers: Vec<(String, String)>,
    /// What it carries.
    pub(crate) payload: Vec<u8>,
}

/// Why bytes are no frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// A checksum does not fit: a byte was changed or lost on the way.
    Checksum,
    /// The lengths contradict each other, or are above the limit.
    Length(usize),
    /// The headers are not what their own lengths say.
    Headers,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum => f.write_str("a frame's checksum does not fit"),
            Self::Length(length) => write!(f, "a frame cannot be {length} bytes long"),
            Self::Headers => f.write_str("a frame's headers are malformed"),
        }
    }
}

/// Finds frames in bytes; how they are split does not matter.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
    /// Up to where the buffer is used up.
    start: usize,
}

impl Frames {
    /// Adds bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether there is no frame that has begun.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// The next complete frame.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let Some(prelude) = rest.get(..PRELUDE) else { return Ok(None) };
        let (lengths, checksum) = prelude.split_at(8);
        // Before the lengths are believed.
        if number(checksum) != Some(crc32fast::hash(lengths)) {
            return Err(FrameError::Checksum);
        }
        let size = |at: usize| number(lengths.get(at..at + 4)?).and_then(|size| usize::try_from(size).ok());
        let (Some(length), Some(headers)) = (size(0), size(4)) else { return Err(FrameError::Headers) };
        let payload = length.checked_sub(PRELUDE + TRAILER).and_then(|inside| inside.checked_sub(headers));
        if length > LIMIT || payload.is_none() {
            return Err(FrameError::Length(length));
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let (body, checksum) = frame.split_at(length - TRAILER);
        if number(checksum) != Some(crc32fast::hash(body)) {
            return Err(FrameError::Checksum);
        }
        let inside = body.get(PRELUDE..).unwrap_or_default();
        let (headers, payload) = inside.split_at_checked(headers).ok_or(FrameError::Headers)?;
        let frame = Frame { headers: parse(headers).ok_or(FrameError::Headers)?, payload: payload.to_vec() };
        self.start += length;
        Ok(Some(frame))
    }
}

impl Frame {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// The headers that are strings. Each is a name with its length in one byte, a type, and a value whose length depends on
/// it.
fn parse(mut rest: &[u8]) -> Option<Vec<(String, String)>> {
    const STRING: u8 = 7;
    let mut headers = Vec::new();
    while let Some((&length, after)) = rest.split_first() {
        let (name, after) = after.split_at_checked(length.into())?;
        let (&kind, after) = after.split_first()?;
        let (length, after) = match kind {
            0 | 1 => (0, after), // true, false
            2 => (1, after),     // byte
            3 => (2, after),     // 16 bits
            4 => (4, after),     // 32 bits
            5 | 8 => (8, after), // 64 bits, a time
            6 | STRING => (usize::from(u16::from_be_bytes(*after.first_chunk()?)), after.get(2..)?),
            9 => (16, after), // a UUID
            _ => return None,
        };
        let (value, after) = after.split_at_checked(length)?;
        if kind == STRING {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
            headers.push((text(name)?, text(value)?));
        }
        rest = after;
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with one string header, made by hand.
    fn frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
        let length = PRELUDE + headers.len() + payload.len() + TRAILER;
        let mut bytes = [(length as u32).to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes.extend_from_slice(headers);
        bytes.extend_from_slice(payload);
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    const HEADER: &[u8] = b"\x01a\x07\x00\x02xy";

    fn read(bytes: &[u8], size: usize) -> Result<Vec<Frame>, FrameError> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(size) {
            frames.push(piece);
            while let Some(frame) = frames.next()? {
                found.push(frame);
            }
        }
        assert!(frames.is_empty() || frames.next() == Ok(None));
        Ok(found)
    }

    /// The example of AWS's own description, an empty message with its checksums.
    #[test]
    fn the_smallest_frame_is_that_of_the_description() {
        let bytes = [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
        assert_eq!(frame(b"", b""), bytes);
        assert_eq!(read(&bytes, 16).unwrap(), [Frame { headers: Vec::new(), payload: Vec::new() }]);
    }

    #[test]
    fn frames_are_found_however_they_are_split() {
        let bytes = [frame(HEADER, b"one"), frame(b"", b"two")].concat();
        for size in 1..=bytes.len() {
            let found = read(&bytes, size).unwrap();
            assert_eq!(found.len(), 2, "by {size}");
            assert_eq!((found[0].header("a"), &*found[0].payload), (Some("xy"), b"one".as_slice()));
            assert_eq!((found[1].header("a"), &*found[1].payload), (None, b"two".as_slice()));
        }
    }

    #[test]
    fn no_byte_can_be_changed() {
        let bytes = frame(HEADER, b"payload");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(read(&changed, bytes.len()), Err(FrameError::Checksum), "at {at}");
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        for (length, headers) in
            [(15_u32, 0_u32), (16, 1), (0, 0), (u32::MAX, 0), (LIMIT as u32 + 1, 0), (20, u32::MAX)]
        {
            let mut bytes = [length.to_be_bytes(), headers.to_be_bytes()].concat();
            bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
            let mut frames = Frames::default();
            frames.push(&bytes);
            assert_eq!(frames.next(), Err(FrameError::Length(length as usize)));
        }
    }

    #[test]
    fn headers_of_every_type_are_passed_over_and_broken_ones_refused() {
        let every =
            b"\x01t\x00\x01f\x01\x01b\x02\x09\x01s\x03\x00\x01\x01i\x04\0\0\0\x01\x01l\x05\0\0\0\0\0\0\0\x01\
            \x01y\x06\x00\x01z\x01m\x08\0\0\0\0\0\0\0\0\x01u\x090123456789abcdef\x01a\x07\x00\x02xy";
        assert_eq!(read(&frame(every, b""), 64).unwrap()[0].header("a"), Some("xy"));
        for broken in [
            &b"\x05a"[..],
            b"\x01a",
            b"\x01a\x0a",
            b"\x01a\x07\x00",
            b"\x01a\x07\x00\x05x",
            b"\x01a\x07\x00\x01\xff",
        ] {
            assert_eq!(read(&frame(broken, b""), 64), Err(FrameError::Headers), "{broken:?}");
        }
    }
}
