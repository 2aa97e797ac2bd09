//! A report of what was used, as programs and spreadsheets read it.

use serde::Serialize;
use utoipa::ToSchema;

use super::csv::{Cell, csv};
use crate::store::{Sums, UsageKey, UsageLine};

/// Sums of requests. It has those of `day` to `operation` that the report is broken down by; an empty one stands for what is
/// not known, such as the tenant of a request with a wrong key, or the model of one that came to no endpoint.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UsageReportLine {
    /// `usage_line`
    object: &'static str,
    /// In UTC, such as `2026-01-31`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    day: Option<String>,
    /// The caller's. Behind the name of one that is there no more stands ` (deleted)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant: Option<String>,
    /// The member, or the key's id where it was made for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    /// As clients name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    model: Option<String>,
    /// Its slug; empty also where another tenant shares it, unless an operator asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    endpoint: Option<String>,
    /// Such as `chat/completions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    operation: Option<String>,
    /// Whatever became of them.
    requests: i64,
    /// Those that failed.
    errors: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    /// As backends add them up.
    total_tokens: i64,
    /// CPU time of adaptors.
    cpu_seconds: f64,
    /// Bytes of bodies that were sent to backends.
    egress_bytes: i64,
}

impl UsageReportLine {
    /// A line of a report that is broken down by these.
    pub fn new(by: &[UsageKey], line: &UsageLine) -> Self {
        let value = |wanted: UsageKey| {
            let at = by.iter().position(|key| *key == wanted)?;
            line.keys.get(at).cloned()
        };
        let Sums { requests, errors, prompt_tokens, completion_tokens, total_tokens, cpu_us, egress_bytes } =
            line.sums;
        Self {
            object: "usage_line",
            day: value(UsageKey::Day),
            tenant: value(UsageKey::Tenant),
            user: value(UsageKey::User),
            model: value(UsageKey::Model),
            endpoint: value(UsageKey::Endpoint),
            operation: value(UsageKey::Operation),
            requests,
            errors,
            prompt_tokens,
            completion_tokens,
            total_tokens,
            cpu_seconds: seconds(cpu_us),
            egress_bytes,
        }
    }
}

/// What every line has, behind what it is for.
pub const SUMS: [&str; 7] = [
    "requests",
    "errors",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cpu_seconds",
    "egress_bytes",
];

/// The same as CSV.
pub fn usage_csv(by: &[UsageKey], lines: &[UsageLine]) -> String {
    let heads: Vec<&str> = by.iter().map(|key| key.as_str()).chain(SUMS).collect();
    csv(&heads, lines.iter().map(cells))
}

fn cells(line: &UsageLine) -> Vec<Cell> {
    let s = line.sums;
    let counts = [s.requests, s.errors, s.prompt_tokens, s.completion_tokens, s.total_tokens];
    let sums = counts.iter().map(i64::to_string);
    let sums = sums.chain([seconds(s.cpu_us).to_string(), s.egress_bytes.to_string()]).map(Cell::Number);
    line.keys.iter().cloned().map(Cell::Text).chain(sums).collect()
}

#[expect(clippy::cast_precision_loss, reason = "it is exact for 285 years of microseconds")]
fn seconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1e6
}
