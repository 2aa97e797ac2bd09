//! How long things may be, and how files look.

use super::{File, Finding};

/// Longest file, and the one of tests and guests, whose cases are better kept together.
const FILE: usize = 400;
const TEST_FILE: usize = 450;
/// Longer ones, with their reason.
const LONG_FILES: &[(&str, usize)] = &[];
const FUNCTION: usize = 80;

/// A file is read as a whole.
pub(super) fn files_are_short(file: &File) -> Vec<Finding> {
    const REMEDY: &str = "split it where it speaks of two things";
    let is_script = file.text.starts_with("#!");
    if !(is_script || file.has_extension(&["rs", "py", "mjs", "sh"])) {
        return Vec::new();
    }
    let own = LONG_FILES.iter().find(|(path, _)| *path == file.path).map(|(_, limit)| *limit);
    let is_test = ["tests/it/", "tests/guests/"].iter().any(|folder| file.path.starts_with(folder));
    let limit = own.unwrap_or(if is_test { TEST_FILE } else { FILE });
    let length = file.text.lines().count();
    let too_long = length > limit;
    too_long
        .then(|| file.finding(length, format!("{length} lines; {limit} at most"), REMEDY))
        .into_iter()
        .collect()
}

/// Relies on rustfmt: a function's last line is the first one that is a `}` as far to the right as its `fn`.
pub(super) fn functions_are_short(file: &File) -> Vec<Finding> {
    const REMEDY: &str = "take a part out and give it a name";
    if !file.is_rust() {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let too_long = |(at, line): (usize, &&str)| {
        let indent = line.len() - line.trim_start().len();
        if !begins_function(line) {
            return None;
        }
        let ends = |line: &str| {
            line.split_at_checked(indent).is_some_and(|(before, rest)| {
                before.trim().is_empty() && (rest == "}" || ends_declaration(rest))
            })
        };
        let last = lines[at..].iter().position(|line| ends(line))?;
        let length = last + 1;
        let rule = format!("a function of {length} lines; {FUNCTION} at most");
        (length > FUNCTION).then(|| file.finding(at + 1, rule, REMEDY))
    };
    lines.iter().enumerate().filter_map(too_long).collect()
}

fn begins_function(line: &str) -> bool {
    const BEFORE: [&str; 6] = ["pub", "const", "async", "unsafe", "extern", "fn"];
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    BEFORE.iter().any(|word| first == *word || first.starts_with("pub("))
        && (first == "fn" || words.any(|word| word == "fn"))
        && !line.trim_end().ends_with(';')
}

/// The last line of a declaration without a body.
fn ends_declaration(line: &str) -> bool {
    line.starts_with(')') && line.ends_with(';')
}

/// The first line of a file says what it is for. Unit tests in a file of their own need none.
pub(super) fn files_say_what_they_are(file: &File) -> Vec<Finding> {
    const REMEDY: &str = "begin it with `//!` and one sentence on what it is for";
    let is_exempt = !file.is_rust() || file.path.ends_with("/tests.rs");
    let says = is_exempt || file.text.starts_with("//!");
    (!says).then(|| file.finding(1, "no `//!` on the first line", REMEDY)).into_iter().collect()
}

/// Spaces, line feeds, and neither at the wrong end.
pub(super) fn white_space(file: &File) -> Vec<Finding> {
    const REMEDY: &str = "use spaces, end lines with a line feed alone, and end the file with one";
    // Figures are written by programs, and what a fuzzer reads is as it is.
    let is_exempt = ["bench/results/", "fuzz/corpus/"].iter().any(|folder| file.path.starts_with(folder));
    if file.is_foreign() || is_exempt {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = file
        .text
        .split('\n')
        .enumerate()
        .filter_map(|(at, line)| {
            let rule = if line.contains('\t') {
                "a TAB"
            } else if line.ends_with([' ', '\r']) {
                "white space at the end of the line"
            } else {
                return None;
            };
            Some(file.finding(at + 1, rule, REMEDY))
        })
        .collect();
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        let last = file.text.lines().count();
        findings.push(file.finding(last, "the file does not end with exactly one line feed", REMEDY));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::assert_bites, *};

    #[test]
    fn long_files_are_found() {
        let lines = |n| "x\n".repeat(n);
        for (path, limit) in [
            ("host/src/a.rs", 400),
            ("tests/clients/python/a.py", 400),
            ("tests/clients/node/a.mjs", 400),
            ("tests/it/a.rs", 450),
            ("tests/guests/guests/a.rs", 450),
        ] {
            assert!(files_are_short(&File::new(path, &lines(limit))).is_empty());
            let found = files_are_short(&File::new(path, &lines(limit + 1)));
            assert_bites(&found, &format!("{path}:{}", limit + 1), "at most");
        }
        assert_eq!(files_are_short(&File::new("run", &format!("#!/bin/sh\n{}", lines(400)))).len(), 1);
        assert!(files_are_short(&File::new("Cargo.lock", &lines(5000))).is_empty());
    }

    #[test]
    fn long_functions_are_found() {
        let body = |n: usize| "        x(\n        );\n".repeat(n / 2);
        let heads = [
            "pub(super) async fn f() {",
            "const fn f()\nwhere\n    A: B,\n{",
            "fn f(\n    a: u8,\n) -> u8 {",
        ];
        for head in heads {
            let text = format!("impl A {{\n    //\n}}\n{head}\n{}}}\n", body(80));
            assert_bites(&functions_are_short(&File::new("a.rs", &text)), "a.rs:4", "a function of");
        }
        let short = format!("fn f() {{\n{}}}\nfn g() {{\n{}}}\n", body(78), body(78));
        assert!(functions_are_short(&File::new("a.rs", &short)).is_empty());
        let declared =
            format!("trait A {{\n    fn f();\n    fn g(\n        a: u8,\n    ) -> u8;\n{}}}\n", body(90));
        assert!(functions_are_short(&File::new("a.rs", &declared)).is_empty());
    }

    #[test]
    fn a_file_without_a_word_about_itself_is_found() {
        let rule = files_say_what_they_are;
        assert_bites(&rule(&File::new("host/src/a.rs", "use b;\n")), "host/src/a.rs:1", "//!");
        assert!(rule(&File::new("host/src/a.rs", "//! Says.\n")).is_empty());
        assert!(rule(&File::new("host/src/a/tests.rs", "use b;\n")).is_empty());
    }

    #[test]
    fn white_space_in_wrong_places_is_found() {
        for (text, line) in [("a\tb\n", 1), ("a\nb \n", 2), ("a\r\n", 1), ("a", 1), ("a\n\n", 2)] {
            let found = white_space(&File::new("docs/a.md", text));
            assert_bites(&found, &format!("docs/a.md:{line}"), "");
        }
        assert!(white_space(&File::new("docs/a.md", "a\n\n  b\n")).is_empty());
        assert!(white_space(&File::new("wit/deps/a.wit", "a\t\n")).is_empty());
        assert!(white_space(&File::new("fuzz/corpus/sse/a", "a\t\r")).is_empty());
    }
}
