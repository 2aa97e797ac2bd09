//! What must hold for every input, and where inputs come from.
//!
//! The targets in `fuzz/` look for an input that breaks a property, guided by coverage; `it/fuzz.rs` tries the
//! corpus and mutations of it. Both call what is here. A property that is broken panics.

pub mod fixtures;
pub mod loader;
mod mutate;
pub mod request;
pub mod sse;

use std::{fs, path::Path};

use serde_json::Value;

pub use mutate::Mutator;

/// A file of the corpus.
pub struct Seed {
    /// Its path from the repository's root.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The corpus of a target, sorted by name.
pub fn corpus(target: &str) -> Vec<Seed> {
    let folder = format!("fuzz/corpus/{target}");
    let entries = fs::read_dir(root().join(&folder)).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let seed = |name: String| {
        let path = format!("{folder}/{name}");
        Seed { bytes: fs::read(root().join(&path)).unwrap(), path }
    };
    names.into_iter().map(seed).collect()
}

/// The words of a target's dictionary, which libFuzzer reads too: a `"word"` a line, with `\xNN`, `\"`, `\\`.
pub fn tokens(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(root().join(format!("fuzz/dict/{target}.dict"))).unwrap();
    let words = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    words.map(unescaped).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                bytes.push(*escaped);
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Messages stand in logs and on terminals: one line each, without anything that moves a cursor.
#[track_caller]
fn assert_one_line(what: &str, text: &str) {
    assert!(!text.trim().is_empty(), "the {what} is empty");
    assert!(!text.contains(char::is_control), "the {what} holds a control character: {text:?}");
}

/// What was taken as JSON, by another reader; none where it is JSON by its grammar, but no value that this
/// reader can hold.
#[track_caller]
fn json(text: &str) -> Option<Value> {
    const BEYOND: [&str; 4] =
        ["recursion limit", "number out of range", "lone leading surrogate", "unexpected end of hex escape"];
    let is_beyond = |error: &serde_json::Error| BEYOND.iter().any(|known| error.to_string().contains(known));
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) if is_beyond(&error) => None,
        Err(error) => panic!("what was taken is no JSON: {error}"),
    }
}
