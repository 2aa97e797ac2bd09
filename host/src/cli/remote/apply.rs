//! `airlock apply`

use std::path::PathBuf;

use clap::Args;
use http::{Method, header};
use serde_json::{Value, json};

use super::{
    Own, RemoteArgs,
    client::Answer,
    refusal,
    table::{Output, OutputArgs},
};
use crate::{
    cli::{
        Failure,
        entries::{self, Entry},
        print, say,
    },
    config::Env,
    tenants::Kind,
};

#[derive(Args)]
pub(crate) struct ApplyArgs {
    /// Fixture files: lists of {"model", "pk", "fields"}
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    form: OutputArgs,
}

/// Every entry is tried, so that all that is wrong is told at once.
pub(crate) fn run(args: &ApplyArgs, env: &Env) -> Result<(), Failure> {
    let wanted = entries::read(&args.files)?;
    let own = args.remote.open(env)?;
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for entry in &wanted {
        let (kind, name) = (entry.kind.as_str(), &entry.name);
        let result = match put(&own, entry)? {
            Ok(result) => result,
            Err(answer) => {
                refused.push(format!("{kind} {name}: {}", refusal::text(answer.status, &answer.body)));
                "refused"
            }
        };
        if args.form.output == Output::Table {
            print(format_args!("{kind} {name}: {result}"))?;
        }
        done.push(json!({ "kind": kind, "name": name, "result": result }));
    }
    if args.form.output == Output::Json {
        super::table::json(&Value::Array(done))?;
    }
    if refused.is_empty() {
        return Ok(());
    }
    let left = wanted.len() - refused.len();
    say(format_args!("{left} of {} are as the files say; the others are as they were", wanted.len()));
    Err(Failure::new(refused.join("\n")))
}

/// Makes a gateway have what an entry says. What somebody else changes at this moment is not written over.
fn put(own: &Own, entry: &Entry) -> Result<Result<&'static str, Answer>, Failure> {
    let path = [list_of(entry.kind), &entry.name];
    let found = own.ask(Method::GET, &path).send()?;
    let ask = own.ask(Method::PUT, &path).json(&entry.fields);
    let (ask, done) = match found.status {
        404 => (ask.header(header::IF_NONE_MATCH, "*"), "created"),
        200 if found.body.get("spec") == Some(&entry.fields) => return Ok(Ok("unchanged")),
        200 => {
            let revision = found.body.get("revision").and_then(Value::as_i64).unwrap_or_default();
            (ask.header(header::IF_MATCH, &format!("\"{revision}\"")), "replaced")
        }
        _ => return Ok(Err(found)),
    };
    let answer = ask.send()?;
    Ok(if answer.is_good() { Ok(done) } else { Err(answer) })
}

/// The API's word for the list of a kind.
const fn list_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "clusters",
        Kind::Endpoint => "endpoints",
        _ => "federated",
    }
}
