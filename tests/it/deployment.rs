//! What `ops/` says of the gateway is so.

use std::{collections::BTreeSet, path::PathBuf};

fn ops(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ops").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A variable that is misspelt would keep the gateway from starting.
#[test]
fn every_variable_that_deployments_set_is_documented() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let documented = std::fs::read_to_string(path).unwrap();
    let text = ["docker/Dockerfile", "docker/compose.yaml"].map(ops).concat();
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let names: BTreeSet<&str> =
        text.split(|c: char| !is_part(c)).filter(|name| name.starts_with("AIRLOCK_")).collect();
    assert!(names.contains("AIRLOCK_DATABASE") && names.contains("AIRLOCK_LISTEN"), "{names:?}");
    for name in names {
        assert!(documented.contains(&format!("`{name}`")), "{name}");
    }
}

/// Whoever stops it waits for as long as it may drain.
#[test]
fn deployments_leave_time_to_drain() {
    let settings = airlock::config::Settings::default();
    let needed = settings.unready_seconds + settings.drain_seconds;
    for (file, key) in
        [("systemd/airlock.service", "TimeoutStopSec="), ("docker/compose.yaml", "stop_grace_period: ")]
    {
        let text = ops(file);
        let value = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
        assert!(value.trim_end_matches('s').parse::<u64>().unwrap() > needed, "{file}: {value}");
    }
}
