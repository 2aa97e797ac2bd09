//! Fixture files: what is taken is in order, and what is not says where and why.

use std::{collections::HashSet, path::Path, sync::Arc};

use airlock::fixtures::{Fixtures, Mistakes, Place};
use serde_json::Value;

use super::{assert_one_line, json};

/// Between the files of an input.
const NEXT_FILE: &str = "\n---\n";
/// No message may repeat a configuration's value; those of the corpus hold this.
const SECRET: &str = "s3cr3t";

/// `data` is the text of one file or of several.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let name = |at: usize| Arc::from(Path::new(&format!("no-such-folder/{at}.json")));
    let texts = text.split(NEXT_FILE).enumerate();
    let files: Vec<(Arc<Path>, String)> = texts.map(|(at, text)| (name(at), text.to_owned())).collect();
    match Fixtures::parse(files.clone()) {
        Ok(fixtures) => check_taken(&fixtures, &files),
        Err(mistakes) => check_mistakes(&mistakes, &files),
    }
}

fn check_mistakes(mistakes: &Mistakes, files: &[(Arc<Path>, String)]) {
    assert!(!mistakes.0.is_empty(), "refused for nothing");
    let mut order = Vec::new();
    for mistake in &mistakes.0 {
        assert_one_line("message", &mistake.message);
        assert_one_line("remedy", &mistake.remedy);
        order.push((check_place(&mistake.place, files), mistake.place.line, mistake.place.column));
    }
    assert!(order.is_sorted(), "not in the order of the files: {order:?}");
    let shown = mistakes.to_string();
    assert_eq!(shown.lines().count(), 2 * mistakes.0.len() + 1, "{shown}");
    if files.iter().all(|(_, text)| secrets_are_in_configurations(text)) {
        assert!(!shown.contains(SECRET), "a configuration's value is repeated: {shown}");
    }
}

/// The number of the file that the place is in.
fn check_place(place: &Place, files: &[(Arc<Path>, String)]) -> usize {
    let file = files.iter().position(|(name, _)| *name == place.file).expect("one of the files");
    let line = place.line.checked_sub(1).and_then(|at| files[file].1.split('\n').nth(at));
    let length = line.unwrap_or_else(|| panic!("{place} is no line")).chars().count();
    assert!((1..=length + 1).contains(&place.column), "{place} is outside of its line");
    file
}

/// Whether every secret stands in a value of a `config`, where messages must not repeat it.
fn secrets_are_in_configurations(text: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return !text.contains(SECRET) };
    let entries = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
    let configs = entries.iter().filter_map(|entry| entry.pointer("/fields/config"));
    text.matches(SECRET).count() == configs.map(secrets).sum::<usize>()
}

fn secrets(value: &Value) -> usize {
    match value {
        Value::String(text) => text.matches(SECRET).count(),
        Value::Array(items) => items.iter().map(secrets).sum(),
        Value::Object(fields) => fields.values().map(secrets).sum(),
        _ => 0,
    }
}

fn check_taken(fixtures: &Fixtures, files: &[(Arc<Path>, String)]) {
    let Fixtures { clusters, endpoints, federated } = fixtures;
    if let Some(entries) = files.iter().map(|(_, text)| entries_in(text)).sum::<Option<usize>>() {
        assert_eq!(clusters.len() + endpoints.len() + federated.len(), entries, "an entry is lost");
    }
    let mut slugs = HashSet::new();
    for endpoint in endpoints {
        check_place(&endpoint.place, files);
        assert!(slugs.insert(&endpoint.slug), "{:?} is there twice", endpoint.slug);
        let cluster = clusters.iter().find(|cluster| cluster.name == endpoint.cluster);
        let frameworks = &cluster.expect("the endpoint's cluster").frameworks;
        assert!(frameworks.is_empty() || frameworks.contains(&endpoint.framework));
        endpoint.config_places.keys.values().for_each(|place| {
            check_place(place, files);
        });
    }
    for cluster in clusters {
        check_place(&cluster.place, files);
        assert!(!cluster.name.is_empty() && !cluster.name.contains(['/', '?', '#', '%', ' ']));
    }
    for target in federated.iter().flat_map(|federated| &federated.targets) {
        check_place(&target.place, files);
        assert!(slugs.contains(&target.endpoint_slug), "{:?} is no endpoint", target.endpoint_slug);
    }
}

/// The number of entries as another reader sees them.
fn entries_in(text: &str) -> Option<usize> {
    let value = json(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    Some(value.as_array().map_or(1, Vec::len))
}
