//! Which settings count at once when they are read again, and which from the next start on.

use serde_json::{Map, Value};

use super::{EgressSection, LimitsSection, SandboxSection, Settings};

impl Settings {
    /// These, with what counts at once of others. All else shapes what is made once: sockets, threads, pools, stores.
    #[must_use]
    pub fn with_live(&self, new: &Self) -> Self {
        let start = self.clone();
        Self {
            fixtures: new.fixtures.clone(),
            max_form_bytes: new.max_form_bytes,
            max_answer_bytes: new.max_answer_bytes,
            max_stream_bytes: new.max_stream_bytes,
            max_answer_seconds: new.max_answer_seconds,
            client_stall_seconds: new.client_stall_seconds,
            keep_alive_seconds: new.keep_alive_seconds,
            unready_seconds: new.unready_seconds,
            watch_files: new.watch_files,
            drain_seconds: new.drain_seconds,
            maintenance: new.maintenance.clone(),
            routing: new.routing.clone(),
            limits: LimitsSection {
                key: new.limits.key,
                user: new.limits.user,
                tenant: new.limits.tenant,
                ..start.limits
            },
            sandbox: SandboxSection {
                cpu_ms: new.sandbox.cpu_ms,
                wall_seconds: new.sandbox.wall_seconds,
                outbound_calls: new.sandbox.outbound_calls,
                ..start.sandbox
            },
            egress: EgressSection {
                private_addresses: new.egress.private_addresses,
                allow_networks: new.egress.allow_networks.clone(),
                ..start.egress
            },
            ..start
        }
    }

    /// The names of settings that differ from others.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let (own, other) = (flat(self), flat(other));
        let names = own.iter().filter(|(name, value)| other.get(*name) != Some(value)).map(|(name, _)| name);
        names.cloned().collect()
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
    fn some_count_at_once_and_the_others_are_named() {
        let (mut new, start) = (Settings::default(), Settings::default());
        new.sandbox.cpu_ms += 1;
        new.routing.failures += 1;
        new.limits.user.requests_per_second = 3;
        new.maintenance.insert("c".into(), "down".into());
        let live = start.with_live(&new);
        assert_eq!(new.differing(&live), Vec::<String>::new());
        assert_eq!((live.sandbox.cpu_ms, live.limits.user.requests_per_second), (2001, 3));
        new.sandbox.slots += 1;
        new.workers = 7;
        let live = start.with_live(&new);
        assert_eq!(new.differing(&live), ["sandbox.slots", "workers"]);
        assert_eq!(live.workers, start.workers, "not until the next start");
        assert_eq!(
            Settings::default().differing(&live),
            ["limits.user", "maintenance", "routing.failures", "sandbox.cpu_ms"]
        );
    }
}
