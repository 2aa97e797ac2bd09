//! The gate's report as JUnit XML, which every CI shows: a suite for the component, a case for each check.

use std::fmt::Write as _;

use crate::gate::{Check, Report};

/// The document.
pub(super) fn document(name: &str, report: &Report) -> String {
    let count = |is: fn(&Check) -> bool| report.checks.iter().filter(|check| is(check)).count();
    let took: u64 = report.checks.iter().map(|check| check.took_ms).sum();
    let cases: String = report.checks.iter().map(|check| case(name, check)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" \
         errors=\"0\" skipped=\"{}\" time=\"{}\">\n{cases}</testsuite>\n</testsuites>\n",
        escaped(name),
        report.checks.len(),
        count(|check| !check.passed),
        count(|check| check.skipped),
        seconds(took),
    )
}

fn case(name: &str, check: &Check) -> String {
    let remedy = check.remedy.as_deref().unwrap_or_default();
    let message = escaped(&check.message);
    let outcome = match (check.passed, check.skipped) {
        (false, _) => format!("<failure message=\"{message}\">{}</failure>", escaped(remedy)),
        (true, true) => format!("<skipped message=\"{message}\">{}</skipped>", escaped(remedy)),
        (true, false) => format!("<system-out>{message}</system-out>"),
    };
    let warnings: String = check.warnings.iter().fold(String::new(), |mut text, warning| {
        let _ = writeln!(text, "<system-err>{}</system-err>", escaped(warning));
        text
    });
    format!(
        "<testcase classname=\"{}\" name=\"{}\" time=\"{}\">\n{outcome}\n{warnings}</testcase>\n",
        escaped(name),
        escaped(&check.name),
        seconds(check.took_ms),
    )
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// Text as it stands in an attribute or element. What XML cannot say at all becomes the replacement character.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // As they are, an attribute would make spaces of them.
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\r' => escaped.push_str("&#13;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}')
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_component_says_stays_text() {
        assert_eq!(
            escaped("a<b> & \"c\"\n\u{1b}[2J\0"),
            "a&lt;b&gt; &amp; &quot;c&quot;&#10;\u{fffd}[2J\u{fffd}"
        );
        assert_eq!(seconds(12_034), "12.034");
    }
}
