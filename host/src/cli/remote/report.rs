//! The gate's report, in words for a terminal.

use serde_json::Value;

use super::table::plain;

/// What was found out about a component.
pub(in crate::cli) fn lines(report: &Value) -> Vec<String> {
    let text = |key: &str| report.get(key).map(super::table::cell).unwrap_or_default();
    let digest = report.get("digest").and_then(Value::as_str).unwrap_or_default();
    let mut lines = vec![
        format!("digest  sha256:{}", plain(digest)),
        format!("size    {} bytes", text("size")),
        format!("roles   {}", text("roles")),
        "checks".to_owned(),
    ];
    lines.extend(checks(report));
    let may = capabilities(report);
    lines.push(if may.is_empty() { "it may do nothing but compute".to_owned() } else { "it may".to_owned() });
    lines.extend(may);
    lines.extend(cost(report));
    lines
}

/// Every check with what it found, and what to do about the one that failed.
pub(super) fn checks(report: &Value) -> Vec<String> {
    let checks = report.get("checks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    checks.iter().flat_map(check).collect()
}

fn check(check: &Value) -> Vec<String> {
    let text = |key: &str| plain(check.get(key).and_then(Value::as_str).unwrap_or_default());
    let mark = if check.get("passed") == Some(&Value::Bool(true)) { "✓" } else { "✗" };
    let took = check.get("took_ms").and_then(Value::as_u64).unwrap_or_default();
    let mut lines = vec![format!("  {mark} {:<13} {} ({took} ms)", text("name"), text("message"))];
    if check.get("remedy").is_some_and(Value::is_string) {
        lines.push(format!("    {}", text("remedy")));
    }
    let warnings = check.get("warnings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    lines.extend(
        warnings.iter().filter_map(Value::as_str).map(|text| format!("    warning: {}", plain(text))),
    );
    lines
}

/// What one request takes, where it was run.
fn cost(report: &Value) -> Option<String> {
    let number = |key: &str| report.pointer(&format!("/cost/{key}")).and_then(Value::as_u64);
    let (compiled, cpu, memory) =
        (number("compile_ms")?, number("request_cpu_us")?, number("peak_memory_bytes")?);
    let memory = memory.div_ceil(1 << 10);
    Some(format!(
        "a request takes {cpu} µs of CPU and {memory} KiB of memory; it was compiled in {compiled} ms"
    ))
}

fn capabilities(report: &Value) -> Vec<String> {
    let found = report.get("capabilities").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |one: &Value, key: &str| plain(one.get(key).and_then(Value::as_str).unwrap_or_default());
    let width = found.iter().map(|one| text(one, "import").len()).max().unwrap_or_default();
    found.iter().map(|one| format!("  {:width$}  {}", text(one, "import"), text(one, "lets"))).collect()
}
