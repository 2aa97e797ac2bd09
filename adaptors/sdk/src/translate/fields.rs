//! What becomes of each field of a request.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::AdaptorError;
use crate::chat::request::{Fields, is_one_of};
use crate::chat::unsupported;

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// The chat says it in another way.
    Translated,
    /// The chat has a field of that name and meaning.
    Passed,
    /// It asks for nothing that the answer would show.
    Ignored,
    /// At these values it asks for nothing; at others it is refused, with what to do.
    Only(&'static [&'static str], &'static str),
    /// It is refused, with what to do.
    Refused(&'static str),
    /// It is refused with a code that the API's clients act on, and what to do.
    RefusedAs(&'static str, &'static str),
}

/// All fields of an API. One that is not here is refused.
pub(super) type Table = [(&'static str, Rule)];

/// Refuses what cannot be carried. `ignored` is what the operator wants dropped: it goes.
pub(super) fn check(fields: &mut Fields<'_>, table: &Table, ignored: &[String]) -> Result<(), AdaptorError> {
    fields.drop_all(ignored);
    for (name, raw) in fields.entries() {
        let rule = table.iter().find(|(known, _)| *known == name).map(|(_, rule)| *rule);
        match rule {
            Some(Rule::Translated | Rule::Passed | Rule::Ignored) => {}
            Some(Rule::Only(values, _)) if is_one_of(raw, values) => {}
            Some(Rule::Only(_, what) | Rule::Refused(what)) => return Err(unsupported(name, what)),
            Some(Rule::RefusedAs(code, what)) => {
                return Err(AdaptorError { code: code.to_owned(), ..unsupported(name, what) });
            }
            None => return Err(unsupported(name, "leave it out")),
        }
    }
    Ok(())
}

/// The fields that go into the chat as they are.
pub(super) fn passed<'a>(fields: &Fields<'a>, table: &Table) -> BTreeMap<&'static str, &'a RawValue> {
    let passed = table.iter().filter(|(_, rule)| matches!(rule, Rule::Passed));
    passed.filter_map(|(name, _)| Some((*name, fields.raw(name)?))).collect()
}
