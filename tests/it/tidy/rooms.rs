//! Which room of the host may use which: requests walk through them one way.

use super::{
    File, Finding,
    rust::{code, is_name},
};

/// Each room, and the rooms that it may name. A room stands below all that it names, so that no circle can
/// be written down; `docs/architecture.md` says why each is as it is.
#[rustfmt::skip]
const ROOMS: &[(&str, &[&str])] = &[
    ("chunks",   &[]),
    ("config",   &[]),
    ("demo",     &[]),
    ("gauge",    &[]),
    ("intake",   &[]),
    ("pulse",    &["gauge"]),
    ("similar",  &[]),
    ("fixtures", &["similar"]),
    ("project",  &["similar"]),
    ("ledger",   &["gauge"]),
    ("store",    &["config", "ledger"]),
    ("accounts", &["ledger", "store"]),
    ("observe",  &["config", "ledger"]),
    ("process",  &["config"]),
    ("auth",     &["config", "store"]),
    ("catalog",  &["auth", "config", "fixtures", "pulse"]),
    ("registry", &["catalog", "intake"]),
    ("relay",    &["chunks", "ledger"]),
    ("routing",  &["auth", "catalog", "config", "ledger", "pulse", "relay"]),
    ("admission", &["auth", "catalog", "config", "ledger", "routing", "store"]),
    ("tenants",  &["catalog", "config", "fixtures", "pulse", "store"]),
    ("gate",     &["catalog", "tenants"]),
    ("trial",    &[]),
    ("jobs",     &["auth", "catalog", "routing"]),
    ("batch",    &["auth", "catalog", "routing", "store", "tenants"]),
    ("gateway",  &["accounts", "admission", "auth", "batch", "catalog", "config", "fixtures", "gate", "gauge", "intake", "jobs", "ledger", "observe", "store", "tenants"]),
    ("api",      &["accounts", "admission", "auth", "batch", "catalog", "chunks", "gate", "gateway", "intake", "jobs", "ledger", "observe", "pulse", "registry", "relay", "routing", "similar", "store", "tenants"]),
    ("server",   &["api", "gateway", "gauge"]),
    ("cli",      &["accounts", "api", "auth", "catalog", "config", "demo", "fixtures", "gate", "gateway", "ledger", "observe", "process", "project", "server", "store", "tenants", "trial"]),
];

/// Single items that a room may name against the order.
const EXCEPTIONS: &[(&str, &str)] = &[
    // A key is made and stored in one step, so that it is never kept anywhere else; what a key is, `auth` says.
    ("store", "auth::NewKey"),
    // What a key may do is stored with it, in words that `auth` knows.
    ("store", "auth::Role"),
    ("store", "auth::Scope"),
    ("store", "auth::Scopes"),
    // Bench only, behind the feature `native-path`: the reference endpoint without a sandbox.
    ("catalog", "routing::native"),
];

const REMEDY: &str = "move the code, or hand the value in from the room that has both; a new way between \
                      rooms is a decision: add it to ROOMS in tests/it/tidy/rooms.rs and to \
                      docs/architecture.md";

/// No room names one that it must not know.
pub(super) fn one_way(file: &File) -> Vec<Finding> {
    let Some(room) = room_of(&file.path) else { return Vec::new() };
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![file.finding(1, format!("`{room}` is no known room"), REMEDY)];
    };
    let may = |path: &str| {
        let first = path.split("::").next().unwrap_or_default();
        let is_inside =
            |item: &str| path == item || path.strip_prefix(item).is_some_and(|p| p.starts_with("::"));
        first == room
            || allowed.contains(&first)
            || EXCEPTIONS.iter().any(|(who, item)| *who == room && is_inside(item))
    };
    paths(&code(&file.text))
        .into_iter()
        .filter(|(_, path)| !may(path))
        .map(|(line, path)| file.finding(line, format!("`{room}` must not name `crate::{path}`"), REMEDY))
        .collect()
}

/// The room of a file of the host; none for the crate's roots.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("host/src/").filter(|path| path.ends_with(".rs"))?;
    let room = inside.split(['/', '.']).next()?;
    (!matches!(inside, "lib.rs" | "main.rs")).then_some(room)
}

/// Every path below `crate::`, with its line; `use crate::{a::{b, c}, d}` is three.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, root) in code.match_indices("crate::") {
        let follows_name = at > 0 && (is_name(code.as_bytes()[at - 1]) || code.as_bytes()[at - 1] == b'$');
        if !follows_name {
            let line = code[..at].matches('\n').count() + 1;
            let mut paths = Vec::new();
            tree(&code[at + root.len()..], "", &mut paths);
            found.extend(paths.into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// Reads one path or group of paths, and returns what follows it.
fn tree<'a>(text: &'a str, prefix: &str, found: &mut Vec<String>) -> &'a str {
    let mut text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = tree(rest, prefix, found).trim_start_matches(|c| c != ',' && c != '}');
            let Some(more) = rest.strip_prefix(',') else { return rest.get(1..).unwrap_or_default() };
            rest = more;
        }
    }
    let length = text.bytes().take_while(|byte| is_name(*byte)).count();
    let (name, rest) = text.split_at(length);
    text = rest;
    let separator = if prefix.is_empty() || name.is_empty() { "" } else { "::" };
    let path = format!("{prefix}{separator}{name}");
    match text.strip_prefix("::") {
        Some(more) if !name.is_empty() => tree(more, &path, found),
        _ => {
            let after_last_comma = name.is_empty() && text.starts_with('}');
            if !after_last_comma {
                found.push(path);
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::assert_bites, *};

    #[test]
    fn the_table_has_no_circle() {
        for (at, (room, allowed)) in ROOMS.iter().enumerate() {
            for other in *allowed {
                assert!(ROOMS[..at].iter().any(|(name, _)| name == other), "{room} → {other}");
            }
        }
    }

    #[test]
    fn a_room_may_not_name_every_other() {
        let bad = [
            ("host/src/relay/mod.rs", "use crate::api::error::ApiError;"),
            ("host/src/relay/mod.rs", "fn f() -> crate::api::ApiError {}"),
            ("host/src/ledger/mod.rs", "use crate::{\n    config::Env,\n};"),
            ("host/src/store/keys.rs", "use crate::auth::{Caller, NewKey};"),
            ("host/src/store/keys.rs", "use crate::auth::NewKeyring;"),
            ("host/src/fixtures/read.rs", "use crate::{catalog::Catalog, fixtures::Fixtures};"),
            ("host/src/gateway.rs", "use crate::{auth::{Keys, a::{b}}, server::serve};"),
            ("host/src/catalog/mod.rs", "use crate::routing::dispatch;"),
            ("host/src/catalog/mod.rs", "use crate::*;"),
            ("host/src/attic/mod.rs", ""),
        ];
        for (path, text) in bad {
            let says = if path.contains("attic") { "no known room" } else { "must not name" };
            assert_bites(&one_way(&File::new(path, text)), &format!("{path}:1"), says);
        }
    }

    #[test]
    fn what_the_table_allows_passes() {
        let good = [
            (
                "host/src/api/openai/tasks.rs",
                "use crate::{api::{edge, error::{A, B}}, gateway::Worker, relay::{self, Plan}};",
            ),
            ("host/src/store/keys.rs", "use crate::auth::NewKey;"),
            ("host/src/catalog/build.rs", "crate::routing::native::NativeEndpoint::new(url)"),
            ("host/src/relay/mod.rs", "// crate::api is not for us\nlet s = \"crate::api\";"),
            ("host/src/lib.rs", "pub use crate::api;"),
            ("host/sandbox/src/call.rs", "use crate::egress::Egress;"),
        ];
        for (path, text) in good {
            let found = one_way(&File::new(path, text));
            assert!(found.is_empty(), "{path}: {found:?}");
        }
    }

    #[test]
    fn groups_are_taken_apart() {
        let found =
            paths("use crate::{\n    a::{self, b::C as D, e::*},\n    f,\n};\nx(crate::g::h::<u8>())");
        let names: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
        assert_eq!(names, ["a::self", "a::b::C", "a::e", "f", "g::h"]);
        assert_eq!(found.last().unwrap().0, 5);
    }
}
