//! How what a client sent stands in a message: not all of it, for it may be megabytes.

use std::fmt;

/// The number of a list's items.
pub(super) struct Count(pub(super) usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("an empty list"),
            n => write!(f, "a list of {n}"),
        }
    }
}

/// The beginning of a client's string, as it can stand in a message.
pub(super) struct Quoted<'a>(pub(super) &'a str);

/// The beginning of a number, of which there may be megabytes.
pub(super) struct Start<'a>(pub(super) &'a str);

const SHOWN: usize = 40;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, rest) = self.0.split_at(self.0.floor_char_boundary(SHOWN));
        write!(f, "{start:?}{}", if rest.is_empty() { "" } else { "…" })
    }
}

impl fmt::Display for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, rest) = self.0.split_at(self.0.floor_char_boundary(SHOWN));
        write!(f, "{start}{}", if rest.is_empty() { "" } else { "…" })
    }
}
