//! The manifest: read over HTTP, and remembered for a moment.

use std::fmt;

use airlock_adaptor::coalescing::{Pace, Ticket};
use airlock_adaptor::serde::de::{MapAccess, Visitor};
use airlock_adaptor::serde::{Deserialize, Deserializer, Serialize};
use airlock_adaptor::serde_json::{self, Map, Value};
use airlock_adaptor::{AdaptorError, debug, key_value, shared, upstream, warn};

use crate::settings::Source;

/// How long a manifest is good for.
pub(crate) const SUCCESS_MS: u32 = 60_000;

/// How long a failure is good for: a status server that is down is not waited for by every task.
pub(crate) const FAILURE_MS: u32 = 10_000;

/// How much longer than its fetching a manifest is waited for where another task fetches it.
const GRACE_MS: u32 = 1_000;

/// What the manifest is called in errors.
const WHAT: &str = "the status manifest";

/// One entry of the manifest, as far as it matters here. Its key and its endpoint's id stay behind.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
pub(crate) struct Entry {
    /// The model's name, or several with commas between them.
    pub(crate) model: String,
    #[serde(default = "Entry::unknown")]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) model_version: Value,
    /// Further names that the entry answers to.
    #[serde(default)]
    pub(crate) experts: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) url: Option<String>,
}

impl Entry {
    fn unknown() -> String {
        "Unknown".to_owned()
    }

    /// True where tasks can be sent to it.
    pub(crate) fn is_live(&self) -> bool {
        self.status == "Live"
    }

    /// True where it answers to this name.
    pub(crate) fn serves(&self, model: &str) -> bool {
        self.model.split(',').any(|name| name.trim() == model)
            || self.experts.iter().flatten().any(|name| name == model)
    }
}

/// What the key-value store keeps of a manifest.
#[derive(Deserialize, Serialize)]
#[serde(crate = "airlock_adaptor::serde")]
enum Remembered {
    Entries(Vec<Entry>),
    Failure { status: u16, code: String, message: String },
}

/// The manifest's entries as they were at most a minute ago. Of many tasks that find none, one fetches it.
pub(crate) fn known(source: &Source) -> Result<Vec<Entry>, AdaptorError> {
    if let Some(known) = remembered(source) {
        return known;
    }
    let pace = Pace { gather_ms: 0, interval_ms: 0, max_items: u32::MAX, budget: None };
    let fetch = |tickets: &[Ticket]| {
        // Another may have been quicker between the look and the group.
        let read = remembered(source).unwrap_or_else(|| fetch(source));
        let read = read.map(|entries| serde_json::to_vec(&entries).unwrap_or_default());
        tickets.iter().map(|_| Some(read.clone())).collect()
    };
    let wait = source.timeout_ms.saturating_add(GRACE_MS);
    let read = shared::call(&key(source), b"", &pace, wait, fetch)?;
    let entries = read.and_then(|read| serde_json::from_slice(&read).ok());
    entries.ok_or_else(|| AdaptorError::new(504, "upstream_timeout", format!("{WHAT} did not come in time")))
}

fn remembered(source: &Source) -> Option<Result<Vec<Entry>, AdaptorError>> {
    let value = key_value::get(&key(source))?;
    match serde_json::from_slice(&value).ok()? {
        Remembered::Entries(entries) => Some(Ok(entries)),
        Remembered::Failure { status, code, message } => Some(Err(AdaptorError::new(status, code, message))),
    }
}

/// The manifest's entries as they are now.
pub(crate) fn fetch(source: &Source) -> Result<Vec<Entry>, AdaptorError> {
    let read = upstream::get_json(WHAT, &source.url, source.timeout_ms).and_then(entries);
    remember(source, &read);
    read
}

fn key(source: &Source) -> String {
    format!("metis {}", source.url)
}

fn remember(source: &Source, read: &Result<Vec<Entry>, AdaptorError>) {
    let value = match read {
        Ok(entries) => Remembered::Entries(entries.clone()),
        Err(AdaptorError { status, code, message, .. }) => {
            Remembered::Failure { status: *status, code: code.clone(), message: message.clone() }
        }
    };
    let text = serde_json::to_vec(&value).unwrap_or_default();
    let stored = match read {
        Ok(_) => key_value::set(&key(source), &text, Some(SUCCESS_MS)).is_ok(),
        // What is known already is better than a failure, for as long as it is good.
        Err(_) => key_value::set_if_absent(&key(source), &text, Some(FAILURE_MS)).is_ok(),
    };
    if !stored {
        debug!("{WHAT} does not fit into the key-value store, and is read for every task");
    }
}

/// The entries that can be read. One that cannot does not hide the others.
fn entries(manifest: Manifest) -> Result<Vec<Entry>, AdaptorError> {
    let (entries, skipped) = sort_out(manifest);
    for (key, why) in &skipped {
        warn!("{WHAT}: the entry `{key}` is skipped: {why}");
    }
    if entries.is_empty() && !skipped.is_empty() {
        let message = format!("{WHAT} holds no entry that can be read: each needs at least a `model`");
        return Err(AdaptorError::bad_upstream("upstream_bad_response", message));
    }
    Ok(entries)
}

/// Entries, and keys of what is none with the reason.
fn sort_out(Manifest(all): Manifest) -> (Vec<Entry>, Vec<(String, String)>) {
    let (mut entries, mut skipped) = (Vec::new(), Vec::new());
    for (key, value) in all {
        match Map::deserialize(value).and_then(|object| serde_json::from_value(Value::Object(object))) {
            Ok(entry) => entries.push(entry),
            Err(why) => skipped.push((key, why.to_string())),
        }
    }
    (entries, skipped)
}

/// A JSON object's values with their keys, in the order of the text.
struct Manifest(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Manifest;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of entries")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Manifest, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Manifest(all))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Entry>, Vec<(String, String)>) {
        sort_out(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn entries_keep_the_manifests_order() {
        let (entries, skipped) = read(
            r#"{"z": {"model": "b", "status": "Live", "url": "https://h/v1", "experts": ["x"], "endpoint_id": "e",
                "description": "D", "model_version": 4}, "a": {"model": "a", "experts": null}}"#,
        );
        assert!(skipped.is_empty());
        let [b, a] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((b.model.as_str(), b.url.as_deref(), b.is_live()), ("b", Some("https://h/v1"), true));
        assert_eq!((a.model.as_str(), a.status.as_str(), a.is_live()), ("a", "Unknown", false));
    }

    #[test]
    fn an_entry_that_cannot_be_read_hides_no_other() {
        let (entries, skipped) = read(
            r#"{"1": 7, "2": {"status": "Live"}, "3": {"model": "m", "status": 1}, "4": ["m", "Live"], "5": {"model": "ok"}}"#,
        );
        assert_eq!(entries.iter().map(|entry| entry.model.as_str()).collect::<Vec<_>>(), ["ok"]);
        let keys: Vec<&str> = skipped.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["1", "2", "3", "4"]);
        assert!(skipped[1].1.contains("`model`"), "{skipped:?}");
    }

    #[test]
    fn what_is_no_object_is_no_manifest() {
        for text in ["[]", "\"x\"", "null", "3"] {
            let error = serde_json::from_str::<Manifest>(text).map(drop).unwrap_err();
            assert!(error.to_string().contains("expected an object of entries"), "{text}: {error}");
        }
        assert_eq!(entries(serde_json::from_str("{}").unwrap()).unwrap(), []);
    }

    #[test]
    fn an_entry_answers_to_its_models_and_experts() {
        let (entries, _) = read(r#"{"1": {"model": "a, b", "experts": ["c"]}}"#);
        let answers = |name: &&str| entries[0].serves(name);
        assert_eq!(["a", "b", "c", "a, b", "d", ""].iter().filter(|name| answers(name)).count(), 3);
    }

    #[test]
    fn what_is_remembered_is_what_was_read() {
        let (entries, _) =
            read(r#"{"1": {"model": "m", "status": "Live", "url": "u", "model_version": "2"}}"#);
        let text = serde_json::to_vec(&Remembered::Entries(entries.clone())).unwrap();
        let Ok(Remembered::Entries(again)) = serde_json::from_slice(&text) else { panic!("not entries") };
        assert_eq!(again, entries);
    }
}
