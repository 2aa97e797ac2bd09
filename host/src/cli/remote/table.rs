//! What commands print: a table for people, JSON for programs.

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::cli::{Failure, print};

/// How much of a digest is shown; as a prefix it names a version.
const DIGEST: usize = 12;

/// In which form to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For programs: what the API says, unchanged
    Json,
}

#[derive(Args)]
pub(crate) struct OutputArgs {
    /// The form of the answer; it is the same on a terminal and elsewhere
    #[arg(long, short, value_name = "FORM", value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// A column: its head, and where its cells stand in a row, as a JSON pointer.
pub(crate) type Column = (&'static str, &'static str);

impl Output {
    /// Prints a list.
    pub(crate) fn list(self, columns: &[(&str, &str)], rows: &[Value]) -> Result<(), Failure> {
        match self {
            Self::Table => print(table(columns, rows)),
            Self::Json => json(&Value::Array(rows.to_vec())),
        }
    }

    /// Prints lines for people, or what they were made from.
    pub(super) fn lines(self, value: &Value, lines: &[String]) -> Result<(), Failure> {
        match self {
            Self::Table => print(lines.join("\n")),
            Self::Json => json(value),
        }
    }
}

/// Prints JSON, indented.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    print(serde_json::to_string_pretty(value).map_err(Failure::new)?)
}

fn table(columns: &[(&str, &str)], rows: &[Value]) -> String {
    let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let cells =
        |row: &Value| columns.iter().map(|(_, at)| row.pointer(at).map_or("-".into(), cell)).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows.iter().map(cells)).collect();
    let mut widths = vec![0; columns.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let padded = |line: &Vec<String>| {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect::<Vec<_>>().join("\n")
}

/// A value in as few words as tell it.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => short(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => plain(&other.to_string()),
    }
}

/// A digest by its beginning, anything else as it is.
pub(super) fn short(text: &str) -> String {
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest { text.chars().take(DIGEST).collect() } else { plain(text) }
}

/// Without what would steer a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [
            json!({ "name": "a", "spec": { "live": "0".repeat(64), "list": ["x", "y"] } }),
            json!({ "name": "long-one\u{1b}[2J", "spec": {} }),
        ];
        let shown = table(&[("NAME", "/name"), ("LIVE", "/spec/live"), ("LIST", "/spec/list")], &rows);
        let expected = "NAME          LIVE          LIST\n\
                        a             000000000000  x, y\n\
                        long-one\u{fffd}[2J  -             -";
        assert_eq!(shown, expected);
    }
}
