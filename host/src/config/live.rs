//! Which settings count at once when they are read again, and which from the next start on.

use serde_json::{Map, Value};

use super::Settings;

/// Those that are asked for whenever they count. All others shape what is made once: sockets, threads, pools, stores.
const LIVE: &[&str] = &[
    "fixtures",
    "max_body_bytes",
    "max_form_bytes",
    "max_answer_bytes",
    "max_stream_bytes",
    "max_answer_seconds",
    "client_stall_seconds",
    "keep_alive_seconds",
    "unready_seconds",
    "drain_seconds",
    "maintenance",
    "routing",
    "limits.key",
    "limits.user",
    "limits.tenant",
    "sandbox.cpu_ms",
    "sandbox.wall_seconds",
    "sandbox.outbound_calls",
    "egress.private_addresses",
    "egress.allow_networks",
];

impl Settings {
    /// The names of settings that differ from those that are in force, and count from the next start on.
    pub fn fixed_beside(&self, in_force: &Self) -> Vec<String> {
        let (own, other) = (flat(self), flat(in_force));
        let names = own.iter().filter(|(name, value)| other.get(*name) != Some(value)).map(|(name, _)| name);
        let is_live = |name: &str| {
            LIVE.iter().any(|live| {
                name.strip_prefix(live).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        names.filter(|name| !is_live(name)).cloned().collect()
    }
}

/// Every setting by its full name, `sandbox.slots`.
fn flat(settings: &Settings) -> Map<String, Value> {
    let mut flat = Map::new();
    let Ok(Value::Object(fields)) = serde_json::to_value(settings) else { return flat };
    for (name, value) in fields {
        match value {
            Value::Object(section) if name != "maintenance" => {
                flat.extend(section.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => drop(flat.insert(name, value)),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_from_the_next_start_on_is_named() {
        let (mut new, old) = (Settings::default(), Settings::default());
        new.sandbox.cpu_ms += 1;
        new.routing.failures += 1;
        new.maintenance.insert("c".into(), "down".into());
        assert_eq!(new.fixed_beside(&old), Vec::<String>::new());
        new.sandbox.slots += 1;
        new.workers = 7;
        assert_eq!(new.fixed_beside(&old), ["sandbox.slots", "workers"]);
    }

    #[test]
    fn every_live_setting_is_one() {
        let names = flat(&Settings::default());
        for live in LIVE {
            assert!(names.keys().any(|name| name == live || name.starts_with(&format!("{live}."))), "{live}");
        }
    }
}
