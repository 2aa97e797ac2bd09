//! What was used: sums of the ledger's records, by tenant, user, model, day and more.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::{
    OWN,
    access::{Allowed, Wish, allow},
    page::Page,
};
use crate::{
    accounts::{UsageReportLine, usage_csv},
    api::{
        error::{ApiError, ErrorKind},
        openapi::{About, Api, Components, List, named},
    },
    auth::Role,
    gateway::{Gateway, Worker},
    store::{UsageKey, UsageQuery},
};

/// Most lines of an answer as CSV, which has no pages.
const MAX_CSV: u32 = 10_000;
const CSV: &str = "text/csv; charset=utf-8";

pub(super) fn routes(api: Api) -> Api {
    let all =
        about("What all tenants have used").parameter("query", "tenant", "Of this tenant alone.", text());
    api.get("/admin/v1/usage", survey, all).get(
        &format!("{OWN}/usage/report"),
        account,
        about("What a tenant has used, by its users, models and days"),
    )
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn about(summary: &'static str) -> About {
    let day = || json!({ "type": "string", "format": "date" });
    let keys = UsageKey::ALL.map(UsageKey::as_str).join(", ");
    let by = json!({ "type": "string", "default": "tenant,user,model", "description": keys });
    let csv = |_: &mut Components| text();
    About::admin(summary)
        .pages()
        .parameter("query", "by", "What it is broken down by, with commas between.", by)
        .parameter("query", "user", "Of this user alone.", text())
        .parameter("query", "model", "Of this model alone.", text())
        .parameter("query", "from", "From this day on, in UTC.", day())
        .parameter("query", "to", "Until this day, it included.", day())
        .parameter("query", "format", "`csv` has no pages.", json!({ "enum": ["json", "csv"] }))
        .fails(&[ErrorKind::StoreUnavailable])
        .answers_as(
            StatusCode::OK,
            "A page of it.",
            &[("application/json", named::<List<UsageReportLine>>), ("text/csv", csv)],
        )
}

/// `GET /admin/v1/usage`
async fn survey(
    State(worker): State<Worker>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let own = worker.gateway().callers().authenticate(&headers).await?.tenant;
    allow(worker.gateway(), &headers, &own, Wish::Survey).await?;
    Asked::read(query.as_deref(), &headers, None)?.answer(worker.gateway()).await
}

/// `GET …/usage/report`
async fn account(
    State(worker): State<Worker>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Allowed { tenant, caller } = allow(worker.gateway(), &headers, &tenant, Wish::Account).await?;
    let mut asked = Asked::read(query.as_deref(), &headers, Some(tenant))?;
    // What others share is theirs: who uses it sees the model and nothing else.
    asked.query.hides_shared = caller.role != Role::Operator;
    asked.answer(worker.gateway()).await
}

/// A report that is asked for.
struct Asked {
    query: UsageQuery,
    page: Page,
    /// The keys of the line before the page.
    after: Option<Vec<String>>,
    is_csv: bool,
}

impl Asked {
    /// Reads a query. `of` is whose report it is; of all tenants, one may be asked for.
    fn read(text: Option<&str>, headers: &HeaderMap, of: Option<String>) -> Result<Self, ApiError> {
        let is_open = of.is_none();
        let mut query = UsageQuery {
            tenant: of,
            by: vec![UsageKey::Tenant, UsageKey::User, UsageKey::Model],
            ..UsageQuery::default()
        };
        let mut is_csv = accepts_csv(headers);
        let mut paging = url::form_urlencoded::Serializer::new(String::new());
        let mut is_paged = false;
        for (key, value) in url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            match &*key {
                "tenant" if is_open => query.tenant = Some(name(&key, &value)?),
                "user" => query.user = Some(name(&key, &value)?),
                "model" => query.model = Some(name(&key, &value)?),
                "from" => query.from = Some(day(&key, &value)?),
                "to" => query.to = Some(day(&key, &value)?),
                "by" => query.by = keys(&value)?,
                "format" => is_csv = form(&value)?,
                "limit" | "after" => {
                    is_paged = true;
                    paging.append_pair(&key, &value);
                }
                _ => return Err(refuse(&key, format!("A report has no parameter `{key}` here."))),
            }
        }
        if is_csv && is_paged {
            return Err(refuse(
                "format",
                "A report as CSV has no pages: leave out `limit` and `after`.".into(),
            ));
        }
        let page = Page::of(Some(&paging.finish()))?;
        let after = page.after.as_deref().map(|after| place(after, query.by.len())).transpose()?;
        Ok(Self { query, page, after, is_csv })
    }

    async fn answer(self, gateway: &Gateway) -> Result<Response, ApiError> {
        let Self { query, page, after, is_csv } = self;
        let limit = if is_csv { MAX_CSV + 1 } else { page.to_ask() };
        let lines = gateway.store().usage_report(&query, after.as_deref(), limit).await?;
        if !is_csv {
            let next = |line: &crate::store::UsageLine| json!(line.keys).to_string();
            return Ok(Json(page.list(lines, next, |line| json!(UsageReportLine::new(&query.by, line))))
                .into_response());
        }
        if lines.len() > MAX_CSV as usize {
            let message =
                format!("The report has more than {MAX_CSV} lines: ask for fewer days with `from` and `to`.");
            return Err(refuse("from", message));
        }
        let name = "attachment; filename=\"usage.csv\"";
        let headers = [(header::CONTENT_TYPE, CSV), (header::CONTENT_DISPOSITION, name)];
        Ok((headers, usage_csv(&query.by, &lines)).into_response())
    }
}

fn refuse(param: &str, message: String) -> ApiError {
    ApiError::new(ErrorKind::InvalidValue, message).param(param)
}

fn accepts_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/csv"))
}

fn form(value: &str) -> Result<bool, ApiError> {
    match value {
        "csv" => Ok(true),
        "json" => Ok(false),
        _ => Err(refuse("format", "`format` is `json` or `csv`.".into())),
    }
}

/// PostgreSQL's text cannot hold a NUL.
fn name(key: &str, value: &str) -> Result<String, ApiError> {
    if value.contains('\0') {
        return Err(refuse(key, format!("`{key}` holds a NUL: nothing has such a name.")));
    }
    Ok(value.to_owned())
}

fn day(key: &str, value: &str) -> Result<String, ApiError> {
    let day: Result<Date, _> = value.parse();
    day.map(|day| day.to_string()).map_err(|_| refuse(key, format!("`{key}` is a day such as 2026-01-31.")))
}

fn keys(value: &str) -> Result<Vec<UsageKey>, ApiError> {
    let mut found = Vec::new();
    for word in value.split(',') {
        let key = UsageKey::parse(word.trim()).filter(|key| !found.contains(key));
        found.push(key.ok_or_else(|| {
            let words = UsageKey::ALL.map(UsageKey::as_str).join(", ");
            refuse("by", format!("`by` is some of {words}, each once, with commas between."))
        })?);
    }
    Ok(found)
}

/// The `next` of a page: the keys of its last line.
fn place(after: &str, keys: usize) -> Result<Vec<String>, ApiError> {
    let place: Option<Vec<String>> = serde_json::from_str(after).ok();
    place
        .filter(|place| place.len() == keys && !place.iter().any(|key| key.contains('\0')))
        .ok_or_else(|| refuse("after", "`after` is the `next` of a page of this report.".into()))
}
