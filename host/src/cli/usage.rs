//! `airlock usage`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use serde_json::Value;

use super::{Failure, print, remote, store::StoreArgs, wait};
use crate::{
    accounts::{SUMS, UsageReportLine, usage_csv},
    config::Env,
    store::{Sums, UsageKey, UsageLine, UsageQuery},
};

/// Lines that are read from the store at a time.
const PAGE: u32 = 1000;

#[derive(Args)]
pub(super) struct UsageArgs {
    /// Of this tenant alone; with --url, who is no operator names their own
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// Of this user alone: a member, or the id of a key that was made for none
    #[arg(long, value_name = "U")]
    user: Option<String>,
    /// Of this model alone
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// From this day on, in UTC, such as 2026-01-31
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<String>,
    /// Until this day, it included
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<String>,
    /// What it is broken down by: day, tenant, user, model, endpoint, operation; with commas between
    #[arg(long, value_name = "KEYS", value_delimiter = ',', default_value = "tenant,user,model", value_parser = key)]
    by: Vec<UsageKey>,
    /// The form of the answer; it is the same on a terminal and elsewhere
    #[arg(long, short, value_name = "FORM", value_enum, default_value_t = Form::Table)]
    output: Form,
    /// Over the API of the gateway at this address, instead of from the store; the key for it is in AIRLOCK_KEY
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "data", "database"])]
    url: Option<String>,
    /// A file that holds the key for --url [default: the key in AIRLOCK_KEY]
    #[arg(long, value_name = "FILE", requires = "url")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

/// In which form to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// For programs
    Json,
    /// For spreadsheets: what they would take for a formula has an apostrophe in front
    Csv,
}

pub(super) fn run(args: UsageArgs, env: &Env) -> Result<(), Failure> {
    let UsageArgs { tenant, user, model, from, to, mut by, output, url, key_file, store } = args;
    let mut known = Vec::new();
    by.retain(|key| {
        !known.contains(key) && {
            known.push(*key);
            true
        }
    });
    let query = UsageQuery { tenant, user, model, from, to, by, hides_shared: false };
    let lines = match url {
        Some(url) => of_gateway(&remote::connect(&url, key_file.as_deref(), env)?, &query)?,
        None => wait(of_store(store, &query, env))?,
    };
    show(&query.by, &lines, output)
}

fn show(by: &[UsageKey], lines: &[UsageLine], output: Form) -> Result<(), Failure> {
    let json = || -> Result<Vec<Value>, Failure> {
        let shown = lines.iter().map(|line| serde_json::to_value(UsageReportLine::new(by, line)));
        shown.collect::<Result<_, _>>().map_err(Failure::new)
    };
    match output {
        Form::Csv => print(usage_csv(by, lines).trim_end_matches("\r\n")),
        Form::Json => remote::json(&Value::Array(json()?)),
        Form::Table => {
            let names: Vec<&str> = by.iter().map(|key| key.as_str()).chain(SUMS).collect();
            let heads: Vec<(String, String)> =
                names.iter().map(|name| (name.to_uppercase(), format!("/{name}"))).collect();
            let columns: Vec<(&str, &str)> = heads.iter().map(|(head, at)| (&**head, &**at)).collect();
            remote::Output::Table.list(&columns, &json()?)
        }
    }
}

async fn of_store(store: StoreArgs, query: &UsageQuery, env: &Env) -> Result<Vec<UsageLine>, Failure> {
    let store = store.open(env).await?;
    let mut lines = Vec::<UsageLine>::new();
    loop {
        let after = lines.last().map(|line| line.keys.clone());
        let more = store.usage_report(query, after.as_deref(), PAGE).await.map_err(Failure::new)?;
        if more.is_empty() {
            break;
        }
        lines.extend(more);
    }
    store.close().await;
    Ok(lines)
}

fn of_gateway(client: &remote::Client, query: &UsageQuery) -> Result<Vec<UsageLine>, Failure> {
    let by: Vec<&str> = query.by.iter().map(|key| key.as_str()).collect();
    let by = by.join(",");
    let mut asked = vec![("by", by.as_str())];
    let further = [("user", &query.user), ("model", &query.model), ("from", &query.from), ("to", &query.to)];
    asked.extend(further.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
    let lines = remote::usage_report(client, query.tenant.as_deref(), &asked)?;
    Ok(lines.iter().map(|line| read(&query.by, line)).collect())
}

/// A line of a gateway's report.
fn read(by: &[UsageKey], line: &Value) -> UsageLine {
    let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let count = |name: &str| line.get(name).and_then(Value::as_i64).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "it was whole microseconds")]
    let cpu_us = (line.get("cpu_seconds").and_then(Value::as_f64).unwrap_or_default() * 1e6).round() as i64;
    UsageLine {
        keys: by.iter().map(|key| text(key.as_str())).collect(),
        sums: Sums {
            requests: count("requests"),
            errors: count("errors"),
            prompt_tokens: count("prompt_tokens"),
            completion_tokens: count("completion_tokens"),
            total_tokens: count("total_tokens"),
            cpu_us,
            egress_bytes: count("egress_bytes"),
        },
    }
}

fn key(text: &str) -> Result<UsageKey, String> {
    let words = UsageKey::ALL.map(UsageKey::as_str).join(", ");
    UsageKey::parse(text).ok_or_else(|| format!("it is one of {words}"))
}

fn day(text: &str) -> Result<String, String> {
    let date: Date = text.parse().map_err(|_| "it is a day such as 2026-01-31".to_owned())?;
    Ok(date.to_string())
}
