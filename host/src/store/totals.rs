//! Sums of records by day, and reports of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use sqlx::{Any, Row as _, Transaction, any::AnyRow};

use super::{
    DEFAULT_TENANT, NewRecord, Store, StoreError, TENANT,
    records::{short, signed},
};
use crate::ledger::{Outcome, Record, micros};

/// What can be summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Requests, whatever became of them.
    pub requests: i64,
    /// Those that failed.
    pub errors: i64,
    /// Tokens of prompts.
    pub prompt_tokens: i64,
    /// Tokens of answers.
    pub completion_tokens: i64,
    /// Both, as backends add them up.
    pub total_tokens: i64,
    /// CPU time of adaptors, in microseconds.
    pub cpu_us: i64,
    /// Bytes of bodies that were sent to backends.
    pub egress_bytes: i64,
}

/// What a report can be broken down by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageKey {
    /// The day, in UTC.
    Day,
    /// The caller's tenant.
    Tenant,
    /// The caller's user.
    User,
    /// The model, of requests that came to an endpoint.
    Model,
    /// The endpoint.
    Endpoint,
    /// The API that was called.
    Operation,
}

impl UsageKey {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Day, Self::Tenant, Self::User, Self::Model, Self::Endpoint, Self::Operation];

    /// For people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Tenant => "tenant",
            Self::User => "user",
            Self::Model => "model",
            Self::Endpoint => "endpoint",
            Self::Operation => "operation",
        }
    }

    /// The one of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == text)
    }

    const fn column(self) -> &'static str {
        match self {
            Self::User => "user_id",
            key => key.as_str(),
        }
    }
}

/// Which sums are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// Of this tenant alone. With ` (deleted)` behind its name, of those that had it before and have gone.
    pub tenant: Option<String>,
    /// Of this user alone.
    pub user: Option<String>,
    /// Of this model alone.
    pub model: Option<String>,
    /// From this day on.
    pub from: Option<String>,
    /// Until this day, it included.
    pub to: Option<String>,
    /// Endpoints that another tenant shares are not named.
    pub hides_shared: bool,
    /// What they are broken down by; at least one.
    pub by: Vec<UsageKey>,
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageLine {
    /// The values that it is for, in the order in which they were asked for.
    pub keys: Vec<String>,
    /// Their sums.
    pub sums: Sums,
}

/// Follows the name of a tenant that has gone. No tenant's own name has a blank.
const DELETED: &str = " (deleted)";

/// Of a tenant that had gone before its record was written, so that nobody knows when it was made.
const GONE: i64 = -1;

const ADD: &str = "INSERT INTO usage_totals (day, tenant, user_id, model, endpoint, owner, operation, since,
        requests, errors, prompt_tokens, completion_tokens, total_tokens, cpu_us, egress_bytes)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    ON CONFLICT (day, tenant, since, user_id, model, endpoint, owner, operation) DO UPDATE SET
        requests = usage_totals.requests + excluded.requests,
        errors = usage_totals.errors + excluded.errors,
        prompt_tokens = usage_totals.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = usage_totals.completion_tokens + excluded.completion_tokens,
        total_tokens = usage_totals.total_tokens + excluded.total_tokens,
        cpu_us = usage_totals.cpu_us + excluded.cpu_us,
        egress_bytes = usage_totals.egress_bytes + excluded.egress_bytes";

/// Adds records to the sums of their days. In one order, so that two gateways do not wait for each other. The transaction
/// has written before: in SQLite one that reads first may not write any more.
pub(super) async fn add_totals(
    transaction: &mut Transaction<'_, Any>,
    records: &[NewRecord],
) -> Result<(), sqlx::Error> {
    let made = made(transaction, records).await?;
    let mut totals = BTreeMap::<_, Sums>::new();
    for NewRecord { record, .. } in records {
        totals.entry((keys(record), since(record, &made))).or_default().add(record);
    }
    for ((keys, since), sums) in totals {
        let query = keys.into_iter().fold(sqlx::query(ADD), |query, key| query.bind(key));
        let query = sums.values().into_iter().fold(query.bind(since), |query, sum| query.bind(sum));
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

/// When the tenants of records were made: those that are there now.
async fn made(
    transaction: &mut Transaction<'_, Any>,
    records: &[NewRecord],
) -> Result<HashMap<Arc<str>, Option<i64>>, sqlx::Error> {
    let mut made = HashMap::new();
    for name in records.iter().filter_map(|new| new.record.tenant.as_ref()) {
        if !made.contains_key(name) {
            let select = "SELECT created_at FROM documents WHERE tenant = $1 AND kind = $2 AND name = $3";
            let select = sqlx::query_scalar(select).bind(short(name)).bind(TENANT).bind(short(name));
            made.insert(Arc::clone(name), select.fetch_optional(&mut **transaction).await?);
        }
    }
    Ok(made)
}

/// When the tenant of a record was made. One that is younger than the request is another of the same name.
fn since(record: &Record, made: &HashMap<Arc<str>, Option<i64>>) -> i64 {
    match record.tenant.as_ref() {
        None => 0,
        Some(name) if **name == *DEFAULT_TENANT => 0,
        Some(name) => {
            let made = made.get(name).copied().flatten();
            made.filter(|made| *made <= record.at_millis().div_euclid(1000)).unwrap_or(GONE)
        }
    }
}

/// Names that a client has made up are left out: each would be a row that stays.
fn keys(record: &Record) -> [String; 7] {
    let day = Timestamp::from_millisecond(record.at_millis()).unwrap_or_default();
    let text = |text: Option<&str>| text.map(short).unwrap_or_default();
    let model = record.model.as_deref().filter(|_| record.endpoint.is_some());
    [
        day.strftime("%Y-%m-%d").to_string(),
        text(record.tenant.as_deref()),
        text(record.user.as_deref()),
        text(model),
        text(record.endpoint.as_deref()),
        text(record.answerer.as_ref().and_then(|answerer| answerer.owner.as_deref())),
        record.operation.path().to_owned(),
    ]
}

impl Sums {
    const COLUMNS: [&str; 7] = [
        "requests",
        "errors",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cpu_us",
        "egress_bytes",
    ];

    fn values(self) -> [i64; 7] {
        let Self { requests, errors, prompt_tokens, completion_tokens, total_tokens, cpu_us, egress_bytes } =
            self;
        [requests, errors, prompt_tokens, completion_tokens, total_tokens, cpu_us, egress_bytes]
    }

    fn add(&mut self, record: &Record) {
        let usage = record.usage.unwrap_or_default();
        let sum = |sum: &mut i64, amount: u64| *sum = sum.saturating_add(signed(amount));
        sum(&mut self.requests, 1);
        sum(&mut self.errors, u64::from(record.outcome == Outcome::Failed));
        sum(&mut self.prompt_tokens, usage.prompt_tokens);
        sum(&mut self.completion_tokens, usage.completion_tokens);
        sum(&mut self.total_tokens, usage.total_tokens);
        sum(&mut self.cpu_us, micros(record.costs.cpu));
        sum(&mut self.egress_bytes, record.costs.egress_bytes);
    }

    fn of_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            requests: row.try_get("requests")?,
            errors: row.try_get("errors")?,
            prompt_tokens: row.try_get("prompt_tokens")?,
            completion_tokens: row.try_get("completion_tokens")?,
            total_tokens: row.try_get("total_tokens")?,
            cpu_us: row.try_get("cpu_us")?,
            egress_bytes: row.try_get("egress_bytes")?,
        })
    }
}

impl Store {
    /// Lines of a report in the order of their keys, those behind `after`.
    pub async fn usage_report(
        &self,
        query: &UsageQuery,
        after: Option<&[String]>,
        limit: u32,
    ) -> Result<Vec<UsageLine>, StoreError> {
        self.check_file()?;
        let columns: Vec<&str> = query.by.iter().map(|key| key.column()).collect();
        let (statement, values) = report(query, &columns, after, limit);
        let select = values.into_iter().fold(sqlx::query(&statement), |select, value| select.bind(value));
        let line = |row: &AnyRow| {
            let keys = columns.iter().map(|column| row.try_get(*column)).collect::<Result<_, _>>()?;
            Ok::<_, sqlx::Error>(UsageLine { keys, sums: Sums::of_row(row)? })
        };
        let rows = select.persistent(false).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(line).collect::<Result<_, _>>()?)
    }
}

/// Whether a line's tenant is one that is there.
const IS_THERE: &str = "(u.since = 0 OR EXISTS (SELECT 1 FROM documents d WHERE d.tenant = u.tenant
    AND d.kind = 'tenant' AND d.name = u.tenant AND d.created_at = u.since))";

/// The statement of a report, and its values. Names of columns are ours, all else is a value.
fn report(
    query: &UsageQuery,
    columns: &[&str],
    after: Option<&[String]>,
    limit: u32,
) -> (String, Vec<String>) {
    let (mut values, mut terms) = (Vec::new(), vec!["1 = 1".to_owned()]);
    let mut mark = |value: &str| {
        values.push(value.to_owned());
        format!("${}", values.len())
    };
    if let Some(tenant) = &query.tenant {
        let gone = tenant.strip_suffix(DELETED);
        let not = if gone.is_some() { "NOT " } else { "" };
        terms.push(format!("u.tenant = {} AND {not}{IS_THERE}", mark(gone.unwrap_or(tenant))));
    }
    let filters = [
        ("user_id =", &query.user),
        ("model =", &query.model),
        ("day >=", &query.from),
        ("day <=", &query.to),
    ];
    for (term, value) in filters {
        terms.extend(value.as_ref().map(|value| format!("{term} {}", mark(value))));
    }
    let by = columns.join(", ");
    let behind = after.map_or_else(String::new, |after| {
        let marks: Vec<String> = after.iter().map(|key| mark(key)).collect();
        format!("WHERE ({by}) > ({})", marks.join(", "))
    });
    let only = terms.join(" AND ");
    let hidden = if query.hides_shared { "u.owner <> u.tenant" } else { "1 = 0" };
    let sums = Sums::COLUMNS.join(", ");
    let lines = format!(
        "SELECT day, CASE WHEN {IS_THERE} THEN u.tenant ELSE u.tenant || '{DELETED}' END AS tenant, user_id, model,
             CASE WHEN {hidden} THEN '' ELSE u.endpoint END AS endpoint, operation, {sums}
         FROM usage_totals u WHERE {only}"
    );
    // PostgreSQL's sums of whole numbers are of a wider type.
    let sums = Sums::COLUMNS.map(|column| format!("CAST(SUM({column}) AS BIGINT) AS {column}")).join(", ");
    (
        format!(
            "SELECT {by}, {sums} FROM ({lines}) AS lines {behind} GROUP BY {by} ORDER BY {by} LIMIT {limit}"
        ),
        values,
    )
}
