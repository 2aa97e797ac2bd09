//! Tables as CSV (RFC 4180), for spreadsheets too: what one of them would take for a formula is written as text.

use csv::{Terminator, WriterBuilder};

/// One cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// A number, written by the gateway.
    Number(String),
    /// A name, of somebody's choice.
    Text(String),
}

/// A table with its heads.
pub(super) fn csv(heads: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> String {
    let mut out = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory does not fail, nor do rows of one length.
    let _ = out.write_record(heads);
    for row in rows {
        let _ = out.write_record(row.into_iter().map(Cell::written));
    }
    String::from_utf8(out.into_inner().unwrap_or_default()).unwrap_or_default()
}

impl Cell {
    /// OWASP's advice: an apostrophe in front.
    fn written(self) -> String {
        match self {
            Self::Number(number) => number,
            Self::Text(text) if is_formula(&text) => format!("'{text}"),
            Self::Text(text) => text,
        }
    }
}

/// What spreadsheets compute when they open a file. Some pass over spaces before it, and know its wide forms.
fn is_formula(text: &str) -> bool {
    let is_space = |letter: char| {
        letter == ' ' || (!letter.is_ascii() && letter.is_whitespace()) || letter == '\u{feff}'
    };
    let first = text.trim_start_matches(is_space).chars().next();
    first.is_some_and(|first| "=+-@|%\t\r\n＝＋－＠".contains(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> String {
        csv(&["a"], [vec![Cell::Text(text.into())]]).split_off("a\r\n".len())
    }

    #[test]
    fn names_are_never_formulas() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "|cmd", "\u{feff}=1"] {
            let written = cell(bad);
            assert!(written.starts_with('\'') || written.starts_with("\"'"), "{bad:?}: {written:?}");
        }
        assert_eq!(csv(&["n"], [vec![Cell::Number("-1".into())]]), "n\r\n-1\r\n");
    }

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        assert_eq!(cell("m"), "m\r\n");
        assert_eq!(cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"\r\n");
        assert_eq!(csv(&["a", "b"], []), "a,b\r\n");
    }
}
