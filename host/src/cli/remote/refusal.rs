//! The API's errors, in words for a terminal.

use serde_json::Value;

use super::{report, table::plain};
use crate::cli::Failure;

/// What the gateway says against it, and what to do.
pub(super) fn failure(status: u16, body: &Value) -> Failure {
    Failure::new(text(status, body))
}

/// The message, then what the API tells beside it.
pub(super) fn text(status: u16, body: &Value) -> String {
    let error = body.get("error").unwrap_or(&Value::Null);
    let message = error.get("message").and_then(Value::as_str);
    let Some(message) = message else {
        return format!("the answer is {status} and says no more; is this the gateway's address?");
    };
    let details = error.get("details").unwrap_or(&Value::Null);
    let mut lines = vec![plain(message)];
    match (details.get("report"), details.get("mistakes").and_then(Value::as_array)) {
        (Some(report), _) => {
            lines = vec!["the gateway does not take the component:".to_owned()];
            lines.extend(report::checks(report));
        }
        (None, Some(mistakes)) => {
            lines = vec!["this cannot be used:".to_owned()];
            lines.extend(mistakes.iter().flat_map(mistake));
        }
        (None, None) => {}
    }
    if status == 401 {
        lines.push(
            "  the key is taken from AIRLOCK_KEY or --key-file; whoever runs the gateway makes one with `airlock keys \
             create`"
                .to_owned(),
        );
    }
    lines.join("\n")
}

fn mistake(mistake: &Value) -> Vec<String> {
    let text = |key: &str| plain(mistake.get(key).and_then(Value::as_str).unwrap_or_default());
    let first = format!("  {}: {}", text("where"), text("message"));
    let remedy = text("remedy");
    if remedy.is_empty() { vec![first] } else { vec![first, format!("    {remedy}")] }
}
