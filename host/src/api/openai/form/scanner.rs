//! Walks along a form in whatever pieces it comes: finds the model, and that all of it is as RFC 2046 has it.

use std::ops::Range;

use airlock_sandbox::FormFault;
use memchr::memmem::{self, Finder};

use super::{malformed, of_model, part::Part};

/// Longest head of a part.
const MAX_HEAD: usize = 8 << 10;
/// Longest name of a model, in bytes.
const MAX_MODEL: usize = 1 << 10;

/// Walks along a form. Only what cannot be decided yet is kept: at most a head, a model's name or a boundary.
pub(super) struct Scanner {
    /// `--` and the boundary.
    delimiter: Finder<'static>,
    state: State,
    kept: Vec<u8>,
    /// How much lies before what is kept.
    passed: usize,
    model: Option<Model>,
}

/// The model, and where in the form its name stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) place: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Start,
    /// Right behind a boundary.
    Behind,
    /// In a part's head.
    Head,
    /// In a part of no interest.
    Other,
    /// In the field `model`.
    Model,
    /// Behind the last boundary.
    End,
}

impl Scanner {
    /// For forms with this boundary.
    pub(super) fn new(boundary: &str) -> Self {
        let delimiter = Finder::new(&format!("--{boundary}")).into_owned();
        Self { delimiter, state: State::Start, kept: Vec::new(), passed: 0, model: None }
    }

    /// The model, as soon as it is known.
    pub(super) fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), FormFault> {
        self.kept.extend_from_slice(piece);
        let mut at = 0;
        while let Some((length, next)) = self.step(at)? {
            at += length;
            if self.state == next {
                break; // it goes on like this
            }
            self.state = next;
        }
        self.kept.drain(..at);
        self.passed += at;
        Ok(())
    }

    /// The form is over.
    pub(super) fn finish(&self) -> Result<(), FormFault> {
        match (self.state, &self.model) {
            (State::End, Some(_)) => Ok(()),
            (State::End, None) => {
                Err(of_model("The form has no text field `model`, which says who is asked. Add it."))
            }
            _ => Err(malformed("it ends before its last boundary")),
        }
    }

    /// How much of what is kept is done with from `at` on, and what follows; none until more has come.
    fn step(&mut self, at: usize) -> Result<Option<(usize, State)>, FormFault> {
        let text = self.kept.get(at..).unwrap_or_default();
        match self.state {
            State::Start => {
                let line_end: &[u8] = if text.starts_with(b"\r") { b"\r\n" } else { b"" };
                let expected = [line_end, self.delimiter.needle()].concat();
                Ok(begins_with(text, &expected)?.then_some((expected.len(), State::Behind)))
            }
            State::Behind => match text {
                [b'\r', b'\n', ..] => Ok(Some((2, State::Head))),
                [b'-', b'-', ..] => Ok(Some((2, State::End))),
                [] | [b'\r' | b'-'] => Ok(None),
                _ => Err(malformed("behind a boundary stands neither a line end nor `--`")),
            },
            State::Head => self.head(text),
            State::Other => self.content(text),
            State::Model => self.name(at),
            State::End if b"\r\n".starts_with(text) => Ok(None),
            State::End => Err(malformed("something follows its last boundary")),
        }
    }

    fn head(&self, text: &[u8]) -> Result<Option<(usize, State)>, FormFault> {
        let too_long = || malformed(&format!("the head of a part is longer than {MAX_HEAD} bytes"));
        let end = match memmem::find(text, b"\r\n\r\n") {
            Some(end) if end <= MAX_HEAD => end,
            None if text.len() <= MAX_HEAD + 3 => return Ok(None),
            _ => return Err(too_long()),
        };
        let part = Part::read(text.get(..end).unwrap_or_default())?;
        let next = match part {
            Part { name, is_file: false } if name == b"model" => {
                if self.model.is_some() {
                    return Err(of_model("The form has the field `model` twice. Send it once."));
                }
                State::Model
            }
            Part { name, .. } if name == b"model" => {
                return Err(of_model("The field `model` is a file. Send it as text, without a file name."));
            }
            _ => State::Other,
        };
        Ok(Some((end + 4, next)))
    }

    /// Up to the next boundary, or as far as there is none for sure.
    fn content(&self, text: &[u8]) -> Result<Option<(usize, State)>, FormFault> {
        let needle = self.delimiter.needle().len();
        match self.delimiter.find(text) {
            Some(end) if text.get(..end).is_some_and(|content| content.ends_with(b"\r\n")) => {
                Ok(Some((end + needle, State::Behind)))
            }
            // Some take any line end before it for one.
            Some(_) => Err(malformed("its boundary stands within a part")),
            // The two bytes before the next boundary are looked at with it.
            None => Ok(Some((text.len().saturating_sub(needle + 1), State::Other))),
        }
    }

    /// The whole model's name.
    fn name(&mut self, at: usize) -> Result<Option<(usize, State)>, FormFault> {
        let text = self.kept.get(at..).unwrap_or_default();
        let needle = self.delimiter.needle().len();
        let too_long = || of_model(&format!("The field `model` is longer than {MAX_MODEL} bytes."));
        let Some((length, next)) = self.content(text)?.filter(|(_, next)| *next == State::Behind) else {
            return if text.len() > MAX_MODEL + 2 + needle { Err(too_long()) } else { Ok(None) };
        };
        let name = text.get(..length - needle - 2).unwrap_or_default();
        match name.len() {
            0 => return Err(of_model("The field `model` is empty. It says who is asked.")),
            1..=MAX_MODEL => {}
            _ => return Err(too_long()),
        }
        let start = self.passed + at;
        let place = start..start + name.len();
        let name = std::str::from_utf8(name)
            .map_err(|error| of_model(&format!("The field `model` is not UTF-8: {error}.")))?;
        self.model = Some(Model { name: name.to_owned(), place });
        Ok(Some((length, next)))
    }
}

/// Whether a text begins with this one; an error where it cannot any more.
fn begins_with(text: &[u8], expected: &[u8]) -> Result<bool, FormFault> {
    if text.starts_with(expected) {
        return Ok(true);
    }
    if expected.starts_with(text) {
        return Ok(false);
    }
    Err(malformed("it does not begin with the boundary that `Content-Type` names"))
}
