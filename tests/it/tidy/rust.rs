//! Rust's source without what is not code.

/// The same text, line for line, with comments and the insides of literals blanked.
pub(super) fn code(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let after_name = at > 0 && is_name(text.as_bytes()[at - 1]);
        let length = opaque(&text.as_bytes()[at..], after_name);
        for byte in &mut bytes[at..at + length] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += length.max(1);
    }
    String::from_utf8(bytes).unwrap()
}

pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `word` stands in `line` as a name of its own.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).map(|before| line.as_bytes()[before]);
        let after = line.as_bytes().get(at + word.len());
        !before.is_some_and(is_name) && !after.copied().is_some_and(is_name)
    })
}

/// The length of the comment or literal that begins here; 0 where there is none.
fn opaque(rest: &[u8], after_name: bool) -> usize {
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => 1 + text_until(&rest[1..], b'"'),
        [b'r', b'"' | b'#', ..] if !after_name => raw(&rest[1..]).map_or(0, |length| 1 + length),
        [b'b', b'r', b'"' | b'#', ..] if !after_name => raw(&rest[2..]).map_or(0, |length| 2 + length),
        [b'\'', b'\\', _, more @ ..] => 3 + text_until(more, b'\''),
        [b'\'', more @ ..] => character(more).map_or(0, |length| 1 + length),
        _ => 0,
    }
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Up to and with the first `end` that is not escaped.
fn text_until(rest: &[u8], end: u8) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != end {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `#"…"#` with any number of `#`.
fn raw(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|b| **b == b'#').count();
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let inside = rest.get(hashes..)?.strip_prefix(b"\"")?;
    let length = inside.windows(end.len()).position(|window| window == end)?;
    Some(hashes + 1 + length + end.len())
}

/// `x'`; a lifetime has no quote behind its first character.
fn character(rest: &[u8]) -> Option<usize> {
    let length = match rest.first()? {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    };
    (rest.get(length) == Some(&b'\'')).then_some(length + 1)
}

#[test]
fn comments_and_literals_are_blanked_and_nothing_else() {
    let text = "a // bad\nb /* bad /* bad */ bad */ c\nd \"bad \\\" bad\" e\nf r#\"bad \" bad\"# g\n\
                h '\"' i '\\'' j 'é' k<'a> for<'b> \"bad\" l br\"bad\" m";
    let code = code(text);
    assert!(!code.contains("bad"), "{code}");
    let names: String = code.chars().filter(|c| c.is_alphabetic()).collect();
    assert_eq!(names, "abcdefghijkaforblm");
    assert_eq!(code.lines().count(), text.lines().count());
}
