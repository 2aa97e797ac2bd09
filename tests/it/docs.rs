//! Documents that are made from the code, or have to keep up with it.

use std::fmt::Write as _;

use airlock::{api::error::ErrorKind, config::Settings};
use serde_json::Value;

use crate::tidy::root;

const HOW: &str = "run `./just docs`, read the difference and commit it";

/// Compares a document with what the code says, or writes it where `UPDATE_DOCS` is set.
fn check(path: &str, expected: &str) {
    let file = root().join(path);
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the gateway")]
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| !value.is_empty()) {
        std::fs::write(file, expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(found == expected, "{path} differs from the code: {HOW}");
}

#[test]
fn the_errors_are_documented() {
    check("docs/errors.md", &errors());
}

fn errors() -> String {
    let mut text = String::from(
        "<!-- Made from host/src/api/error/table.rs by `./just docs`: change it there. -->\n\n\
         # Errors\n\n\
         Every error, on every path, has OpenAI's body and an `x-request-id` header that the log knows:\n\n\
         ```json\n\
         {\"error\": {\"message\": \"…\", \"type\": \"…\", \"param\": null, \"code\": \"…\"}}\n\
         ```\n\n\
         `param` names the field that is wrong, where one is. Every 429 and 503 has a `Retry-After` of at \
         most 120 seconds. Inside a stream an error is one `data:` event with this body, and no `[DONE]` \
         follows it; where events have names it is the event `error`, with these fields also beside `error`.\n\n\
         On the routes of `messages` errors have Anthropic's body, with the type that belongs to the status; the \
         code is where Anthropic's clients look for it:\n\n\
         ```json\n\
         {\"type\": \"error\", \"error\": {\"type\": \"…\", \"message\": \"…\", \"details\": {\"error_code\": \"…\"}}, \"request_id\": \"…\"}\n\
         ```\n\n\
         | `code` | status | `type` | when, and what to do |\n\
         |---|---|---|---|\n",
    );
    for kind in ErrorKind::ALL {
        let row = kind.row();
        let (status, when) = (row.status.as_u16(), row.when.replace('|', "\\|"));
        let (code, kind) = (row.code, row.kind);
        writeln!(text, "| `{code}` | {status} | `{kind}` | {when} |").unwrap();
    }
    text.push_str(
        "\n`upstream_error` and `adaptor_error` stand for errors of others: their status, `code` and `type` \
         are the backend's or the adaptor's where it gave any. A backend's 401 and 403 never reach a client: \
         they concern the gateway's key (`upstream_auth_error`).\n\n\
         To the official clients 401 is `AuthenticationError`, 404 `NotFoundError`, 429 `RateLimitError` and \
         anything from 500 `InternalServerError`; they retry 408, 409, 429 and 5xx by themselves.\n",
    );
    text
}

/// Every setting stands in the guide with its name, its variable and its default.
#[test]
fn the_settings_are_documented() {
    let guide = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let settings = serde_json::to_value(Settings::default()).unwrap();
    for (name, default) in flat("", &settings) {
        let row = guide.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/operations.md has no row for the setting `{name}`"));
        let variable = format!("AIRLOCK_{}", name.replace('.', "__").to_uppercase());
        assert!(row.contains(&format!("`{variable}`")), "the row of `{name}` does not name {variable}");
        let default = match default {
            Value::Null => "unset".to_owned(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        assert!(row.contains(&format!("| {default} |")), "the row of `{name}` does not say {default}");
    }
}

/// `{"a": {"b": 1}}` as `a.b`, 1.
fn flat(prefix: &str, value: &Value) -> Vec<(String, Value)> {
    let Value::Object(fields) = value else { return vec![(prefix.to_owned(), value.clone())] };
    let dot = if prefix.is_empty() { "" } else { "." };
    fields.iter().flat_map(|(name, value)| flat(&format!("{prefix}{dot}{name}"), value)).collect()
}

/// Every threat names the tests that attack its guard, and they exist.
#[test]
fn the_guards_are_tested() {
    let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| ") && l.contains("::")).collect();
    assert_eq!(rows.len(), 47, "47 threats");
    for row in rows {
        let tests = row.split('|').nth(5).unwrap().split('`').filter(|part| part.contains("::"));
        for test in tests {
            let (module, name) = test.split_once("::").unwrap();
            let file = root().join(format!("tests/it/{module}.rs"));
            let source = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{test}: no such module"));
            assert!(
                source.contains(&format!("fn {name}(")),
                "docs/security.md names {test}, which is not there"
            );
        }
    }
}
