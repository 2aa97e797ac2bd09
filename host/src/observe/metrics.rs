//! What is counted of requests, once for each, when its last byte is gone. No label is of a client's choice: endpoints,
//! models and adaptors are those that were configured, tenants those that there are, and of each there is a bounded number.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    sync::{PoisonError, RwLock},
    time::Duration,
};

use prometheus::{
    CounterVec, Error, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::ledger::{Ledger, Record};

/// Most combinations of labels of one metric that come from configuration. Those beyond are counted together.
pub const MAX_SERIES: usize = 1000;
/// What stands in the place of their labels.
const OTHER: &str = "other";

const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
const FIRST_TOKEN: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
const PER_TOKEN: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
const MEBIBYTES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// What is counted of requests by one gateway.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    tenant_requests: IntCounterVec,
    tenant_tokens: IntCounterVec,
    endpoint_requests: IntCounterVec,
    tokens: IntCounterVec,
    first_token: HistogramVec,
    per_token: HistogramVec,
    egress: IntCounterVec,
    cpu: CounterVec,
    memory: HistogramVec,
    tenants: Bounded,
    endpoints: Bounded,
    adaptors: Bounded,
}

/// Makes metrics and puts them on a registry.
struct Maker(Registry);

impl Maker {
    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        let made = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, Error> {
        let made = CounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: Vec<f64>,
    ) -> Result<HistogramVec, Error> {
        let made = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }
}

impl Metrics {
    /// With nothing counted.
    pub fn new() -> Result<Self, String> {
        Self::make().map_err(|error| error.to_string())
    }

    #[rustfmt::skip]
    fn make() -> Result<Self, Error> {
        let maker = Maker(Registry::new());
        let endpoint = ["tenant", "endpoint"];
        Ok(Self {
            requests: maker.counter("airlock_requests_total", "API requests that are over.", &["operation", "outcome", "cause"])?,
            duration: maker.histogram("airlock_request_duration_seconds", "Time from a request's arrival to its last byte.", &["operation"], SECONDS.to_vec())?,
            tenant_requests: maker.counter("airlock_tenant_requests_total", "API requests that are over, by the caller's tenant.", &["tenant", "cause"])?,
            tenant_tokens: maker.counter("airlock_tenant_tokens_total", "Tokens, by the caller's tenant.", &["tenant", "direction"])?,
            endpoint_requests: maker.counter("airlock_endpoint_requests_total", "API requests that came to an endpoint, by the tenant that has it.", &["tenant", "endpoint", "outcome", "cause"])?,
            tokens: maker.counter("airlock_tokens_total", "Tokens that backends have counted.", &["tenant", "endpoint", "model", "direction"])?,
            first_token: maker.histogram("airlock_time_to_first_token_seconds", "Time from a streamed request's arrival to the first byte of its answer.", &endpoint, FIRST_TOKEN.to_vec())?,
            per_token: maker.histogram("airlock_time_per_output_token_seconds", "Mean time between two tokens of a streamed answer.", &endpoint, PER_TOKEN.to_vec())?,
            egress: maker.counter("airlock_egress_bytes_total", "Bytes of bodies that were sent to backends.", &endpoint)?,
            cpu: maker.seconds("airlock_adaptor_cpu_seconds_total", "CPU time of an adaptor's instances.", &["tenant", "adaptor"])?,
            memory: maker.histogram("airlock_adaptor_memory_bytes", "The most memory that an instance had, for each request.", &["tenant", "adaptor"], MEBIBYTES.iter().map(|n| n * 1024.0 * 1024.0).collect())?,
            tenants: Bounded::default(),
            endpoints: Bounded::default(),
            adaptors: Bounded::default(),
            registry: maker.0,
        })
    }

    /// All of them, in Prometheus' text format.
    pub fn text(&self) -> Result<String, String> {
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(|error| error.to_string())
    }

    fn note_tenant(&self, record: &Record, tenant: &str) {
        let [tenant] = self.tenants.admit([tenant]);
        self.tenant_requests.with_label_values(&[tenant, record.cause.as_str()]).inc();
        for (direction, tokens) in tokens(record) {
            self.tenant_tokens.with_label_values(&[tenant, direction]).inc_by(tokens);
        }
    }

    fn note_endpoint(&self, record: &Record, endpoint: &str) {
        let owner =
            record.answerer.as_ref().and_then(|answerer| answerer.owner.as_deref()).unwrap_or_default();
        // A model that came to an endpoint is one that was configured.
        let model = record.model.as_deref().unwrap_or_default();
        let [owner, endpoint, model] = self.endpoints.admit([owner, endpoint, model]);
        let (outcome, cause) = (record.outcome.as_str(), record.cause.as_str());
        self.endpoint_requests.with_label_values(&[owner, endpoint, outcome, cause]).inc();
        self.egress.with_label_values(&[owner, endpoint]).inc_by(record.costs.egress_bytes);
        for (direction, tokens) in tokens(record) {
            self.tokens.with_label_values(&[owner, endpoint, model, direction]).inc_by(tokens);
        }
        if let Some(first) = record.first_byte.filter(|_| record.stream) {
            self.first_token.with_label_values(&[owner, endpoint]).observe(first.as_secs_f64());
            if let Some(time) = per_token(record, first) {
                self.per_token.with_label_values(&[owner, endpoint]).observe(time.as_secs_f64());
            }
        }
    }

    fn note_adaptor(&self, record: &Record, owner: &str, adaptor: &str) {
        let [owner, adaptor] = self.adaptors.admit([owner, adaptor]);
        self.cpu.with_label_values(&[owner, adaptor]).inc_by(record.costs.cpu.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "no memory is so large")]
        let memory = record.costs.peak_memory as f64;
        self.memory.with_label_values(&[owner, adaptor]).observe(memory);
    }
}

impl Ledger for Metrics {
    fn settle(&self, record: &Record) {
        let operation = record.operation.path();
        let (outcome, cause) = (record.outcome.as_str(), record.cause.as_str());
        self.requests.with_label_values(&[operation, outcome, cause]).inc();
        self.duration.with_label_values(&[operation]).observe(record.duration.as_secs_f64());
        if let Some(tenant) = &record.tenant {
            self.note_tenant(record, tenant);
        }
        if let Some(endpoint) = &record.endpoint {
            self.note_endpoint(record, endpoint);
        }
        if let Some(answerer) = &record.answerer
            && let (Some(owner), Some(adaptor)) = (&answerer.owner, &answerer.adaptor)
        {
            self.note_adaptor(record, owner, adaptor);
        }
    }
}

/// Backends may say any number, and a sum must not wrap around.
fn tokens(record: &Record) -> [(&'static str, u64); 2] {
    let usage = record.usage.unwrap_or_default();
    [("input", usage.prompt_tokens), ("output", usage.completion_tokens)]
        .map(|(name, n)| (name, n.min(1 << 36)))
}

/// The first token is there with the first byte.
fn per_token(record: &Record, first: Duration) -> Option<Duration> {
    let further = record.usage?.completion_tokens.checked_sub(1).filter(|n| *n > 0)?;
    let further = u32::try_from(further).ok()?;
    Some(record.duration.saturating_sub(first) / further)
}

/// Combinations of labels that are known. Two that have the same hash count as one.
#[derive(Default)]
struct Bounded {
    hasher: RandomState,
    known: RwLock<HashSet<u64>>,
}

impl Bounded {
    /// These labels, or others in their place where there are too many.
    fn admit<'a, const N: usize>(&self, labels: [&'a str; N]) -> [&'a str; N] {
        let hash = self.hasher.hash_one(labels);
        if self.known.read().unwrap_or_else(PoisonError::into_inner).contains(&hash) {
            return labels;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_SERIES && !known.contains(&hash) {
            return [OTHER; N];
        }
        known.insert(hash);
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted_together() {
        let bounded = Bounded::default();
        let names: Vec<String> = (0..MAX_SERIES).map(|n| n.to_string()).collect();
        for name in &names {
            assert_eq!(bounded.admit([name, "x"]), [name, "x"]);
        }
        assert_eq!(bounded.admit(["new", "x"]), [OTHER, OTHER]);
        assert_eq!(bounded.admit(["0", "x"]), ["0", "x"]);
    }
}
