//! Entries of fixture files, as `apply` and `loaddata` put them somewhere.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::Failure;
use crate::tenants::Kind;

/// An entry.
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) fields: Value,
}

/// All entries of these files: first clusters, then endpoints, then federated endpoints, so that what others name is there
/// before them.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for file in files {
        entries.extend(read_file(file)?);
    }
    entries.sort_by_key(|entry| entry.kind);
    let mut seen = BTreeSet::new();
    if let Some(twice) = entries.iter().find(|entry| !seen.insert((entry.kind, &entry.name))) {
        let (kind, name) = (twice.kind.as_str(), &twice.name);
        return Err(Failure::new(format_args!("the files define the {kind} {name} twice: take one out")));
    }
    Ok(entries)
}

fn read_file(file: &Path) -> Result<Vec<Entry>, Failure> {
    let fail = |why: &dyn std::fmt::Display| Failure::new(format_args!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| fail(&error))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| fail(&format_args!("this is no JSON: {error}")))?;
    let items = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    let entries = items
        .into_iter()
        .enumerate()
        .map(|(at, item)| entry(item).map_err(|why| fail(&format_args!("entry {}: {why}", at + 1))));
    entries.collect()
}

fn entry(mut item: Value) -> Result<Entry, String> {
    let model = item.get("model").and_then(Value::as_str).unwrap_or_default();
    let kind = Kind::of_model(model).ok_or_else(|| {
        format!(
            "there is no kind of entry {model:?}: `model` is resource_server_async.cluster, …endpoint or \
             …federatedendpoint"
        )
    })?;
    let fields = item.get_mut("fields").map(Value::take).unwrap_or_default();
    let name = kind.name_of(&fields).ok_or_else(|| {
        let needs = match kind {
            Kind::Cluster => "`cluster_name`",
            Kind::Endpoint => "`cluster`, `framework` and `model`",
            _ => "`slug` or `name`",
        };
        format!("a {} needs {needs} in its `fields`", kind.as_str())
    })?;
    Ok(Entry { kind, name, fields })
}
