//! `airlock loaddata` and `airlock dumpdata`: fixtures into the store and out of it, without a gateway.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    entries::{self, Entry},
    print, say,
    store::StoreArgs,
};
use crate::{
    config::Env,
    fixtures::{Fixtures, Mistakes},
    store::{COMMAND_LINE, Change, DEFAULT_TENANT, Document, Expect, NewAudit, Store},
    tenants::{CATALOG_KINDS, Kind},
};

#[derive(Args)]
pub(super) struct LoadArgs {
    /// Fixture files: lists of {"model", "pk", "fields"}
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Whose they become
    #[arg(long, value_name = "T", default_value = DEFAULT_TENANT)]
    tenant: String,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Args)]
pub(super) struct DumpArgs {
    /// Whose
    #[arg(long, value_name = "T", default_value = DEFAULT_TENANT)]
    tenant: String,
    #[command(flatten)]
    store: StoreArgs,
}

/// All entries, or none.
pub(super) async fn load(args: LoadArgs, env: &Env) -> Result<(), Failure> {
    let LoadArgs { files, tenant, store } = args;
    let wanted = entries::read(&files)?;
    let store = store.open(env).await?;
    let there = documents(&store, &tenant).await?;
    for warning in check(&files, &there, &wanted)?.0 {
        say(format_args!("warning: gateways leave this out: {warning}"));
    }
    let new: Vec<&Entry> = wanted.iter().filter(|entry| !is_there(&there, entry)).collect();
    if !new.is_empty() {
        let changes: Vec<Change> = new.iter().map(|entry| put(&tenant, entry)).collect();
        store.apply(&changes, &audit(&tenant, &new)).await.map_err(Failure::new)?;
    }
    store.close().await;
    say(format_args!("{}: {} loaded, {} unchanged", tenant, new.len(), wanted.len() - new.len()));
    Ok(())
}

pub(super) async fn dump(args: DumpArgs, env: &Env) -> Result<(), Failure> {
    let store = args.store.open(env).await?;
    let documents = documents(&store, &args.tenant).await?;
    store.close().await;
    let mut entries = Vec::new();
    for kind in CATALOG_KINDS {
        let own = documents.iter().filter(|document| document.kind == kind.as_str());
        entries.extend(own.zip(1..).map(|(document, pk)| fixture(kind, document, pk)));
    }
    print(serde_json::to_string_pretty(&entries).map_err(Failure::new)?)
}

/// All that the tenant has.
async fn documents(store: &Store, tenant: &str) -> Result<Vec<Document>, Failure> {
    let found = store.documents(Some(tenant), None).await.map_err(Failure::new)?;
    let is_there = found.iter().any(|document| document.kind == Kind::Tenant.as_str());
    if tenant != DEFAULT_TENANT && !is_there {
        return Err(Failure::new(format_args!(
            "there is no tenant {tenant}: `airlock tenant create {tenant}` makes it"
        )));
    }
    Ok(found)
}

fn fields(document: &Document) -> Value {
    serde_json::from_str(&document.body).unwrap_or_default()
}

fn fixture(kind: Kind, document: &Document, pk: u32) -> Value {
    json!({ "model": kind.model(), "pk": pk, "fields": fields(document) })
}

fn is_there(documents: &[Document], entry: &Entry) -> bool {
    let same = documents.iter().find(|d| d.kind == entry.kind.as_str() && d.name == entry.name);
    same.is_some_and(|document| fields(document) == entry.fields)
}

fn put(tenant: &str, entry: &Entry) -> Change {
    Change::Put {
        tenant: tenant.to_owned(),
        kind: entry.kind.as_str().to_owned(),
        name: entry.name.clone(),
        body: entry.fields.to_string(),
        expect: Expect::Any,
    }
}

fn audit(tenant: &str, entries: &[&Entry]) -> NewAudit {
    let names: Vec<String> = entries.iter().map(|e| format!("{} {}", e.kind.as_str(), e.name)).collect();
    NewAudit {
        tenant: tenant.to_owned(),
        actor: COMMAND_LINE.to_owned(),
        action: "load".to_owned(),
        kind: Kind::Tenant.as_str().to_owned(),
        name: tenant.to_owned(),
        detail: json!({ "entries": names }).to_string(),
    }
}

/// Reads the files together with what stays of the store. What is wrong by the rules for an operator's files and by those
/// for tenants is refused. What only tenants may not say, such as the name of a variable, is returned: the store keeps it,
/// as files of a FIRST gateway are full of it, and a gateway leaves it out until it is changed.
fn check(files: &[PathBuf], there: &[Document], wanted: &[Entry]) -> Result<Mistakes, Failure> {
    let replaced = |d: &Document| wanted.iter().any(|e| d.kind == e.kind.as_str() && d.name == e.name);
    let mut texts: Vec<(Arc<Path>, String)> = Vec::new();
    for kind in CATALOG_KINDS {
        let stay = there.iter().filter(|d| d.kind == kind.as_str() && !replaced(d));
        texts.extend(stay.map(|document| {
            let place = Path::new(&format!("{} {}", document.kind, document.name)).into();
            (place, fixture(kind, document, 1).to_string())
        }));
    }
    for file in files {
        let text = std::fs::read_to_string(file).map_err(Failure::new)?;
        texts.push((file.as_path().into(), text));
    }
    let uploaded: BTreeSet<String> =
        there.iter().filter(|d| d.kind == Kind::Adaptor.as_str()).map(|d| d.name.clone()).collect();
    let Err(mut mistakes) = Fixtures::parse_all(&[], &texts, uploaded) else {
        return Ok(Mistakes(Vec::new()));
    };
    // Of what was there before, only a gateway says something.
    mistakes.0.retain(|mistake| files.iter().any(|file| **file == *mistake.place.file));
    let fatal: Vec<_> = match Fixtures::parse(texts) {
        Ok(_) => Vec::new(),
        Err(operators) => mistakes.0.extract_if(.., |mistake| operators.0.contains(mistake)).collect(),
    };
    if fatal.is_empty() { Ok(mistakes) } else { Err(Failure::new(Mistakes(fatal))) }
}
