//! The bounded run of the fuzzer: each target's property over its corpus and over mutations of it, the same
//! ones in every run. `fuzz/README.md` tells how to look further, guided by coverage.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
    panic::{AssertUnwindSafe, catch_unwind},
};

use airlock_tests::fuzz::{Mutator, Seed, corpus, fixtures, loader, request, sse, tokens};

/// How many inputs are made of each file of a corpus.
const MUTATIONS: usize = 40;

#[test]
fn event_streams() {
    run("sse", sse::check);
}

#[test]
fn fixture_files() {
    run("fixtures", fixtures::check);
}

#[test]
fn components() {
    run("loader", loader::check);
}

#[test]
fn request_bodies() {
    run("request", request::check);
}

fn run(target: &str, check: fn(&[u8])) {
    let seeds = corpus(target);
    assert!(seeds.len() >= 8, "only {} files were found for {target}", seeds.len());
    let bytes: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.bytes.clone()).collect();
    for seed in &seeds {
        try_one(check, &seed.path, &seed.bytes);
        for input in mutations(seed, &bytes, tokens(target)) {
            try_one(check, &format!("made of {}", seed.path), &input);
        }
    }
}

/// They depend on the file alone, and on what it is crossed with.
fn mutations(seed: &Seed, others: &[Vec<u8>], tokens: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut hasher = DefaultHasher::new();
    seed.path.hash(&mut hasher);
    let mut mutator = Mutator::new(hasher.finish(), others.to_vec(), tokens);
    (0..MUTATIONS).map(|_| mutator.mutated(&seed.bytes)).collect()
}

/// What breaks the property is printed, so that it can be put into the corpus, whatever it is.
fn try_one(check: fn(&[u8]), from: &str, input: &[u8]) {
    if let Err(cause) = catch_unwind(AssertUnwindSafe(|| check(input))) {
        let why = cause.downcast_ref::<String>().map(String::as_str);
        let why = why.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        panic!("{why}\nthe input is {from}; it is written by\nprintf %b '{}' > FILE", printable(input));
    }
}

/// The bytes in a form that the shell's `printf %b` turns into them.
fn printable(input: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'\'' | b'\\' | 0..=0x1f | 0x7f.. => format!("\\x{byte:02x}"),
        byte => char::from(*byte).to_string(),
    };
    input.iter().map(one).collect()
}

#[test]
fn a_broken_property_shows_the_input_that_breaks_it() {
    let dislikes = |input: &[u8]| assert!(!input.contains(&b'!'), "it shouts");
    try_one(dislikes, "a file", b"quiet");
    let caught = catch_unwind(|| try_one(dislikes, "a file", b"it's\n!")).unwrap_err();
    let text = caught.downcast_ref::<String>().unwrap();
    assert!(text.contains("it shouts") && text.contains(r"printf %b 'it\x27s\x0a!'"), "{text}");
}

#[test]
fn mutations_are_many_and_the_same_each_time() {
    let seed = || Seed { path: "a".into(), bytes: b"data: 1\n\n".to_vec() };
    let others = [b"event: x\n".to_vec()];
    let first = mutations(&seed(), &others, vec![b"[DONE]".to_vec()]);
    assert_eq!(first, mutations(&seed(), &others, vec![b"[DONE]".to_vec()]));
    let mut different = first.clone();
    different.sort();
    different.dedup();
    assert!(different.len() > MUTATIONS * 3 / 4, "{} different ones", different.len());
    assert!(first.iter().any(|input| input.windows(6).any(|w| w == b"[DONE]")));
}
