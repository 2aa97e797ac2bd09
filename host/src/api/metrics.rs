//! `/metrics`, in Prometheus' text format: what is counted of requests, and what is read at this moment.

use std::{
    fmt::{Display, Write as _},
    time::Instant,
};

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header};
use serde_json::json;

use super::{
    error::{ApiError, ErrorKind},
    openapi::{About, Api, Components},
};
use crate::{
    gateway::{Gateway, Worker},
    observe::MAX_SERIES,
    pulse::Standing,
};

const MEDIA_TYPE: &str = "text/plain; version=0.0.4";

pub(super) fn routes(api: Api) -> Api {
    let text = |_: &mut Components| json!({ "type": "string" });
    let about = About::open("Metrics, for Prometheus");
    api.get("/metrics", metrics, about.answers_as(StatusCode::OK, "All of them.", &[("text/plain", text)]))
}

async fn metrics(State(worker): State<Worker>) -> Result<impl IntoResponse, ApiError> {
    let gateway = worker.gateway();
    let counted =
        gateway.records().metrics().text().map_err(|error| ApiError::new(ErrorKind::Internal, error))?;
    let mut text = Text::default();
    gauges(&mut text, gateway);
    endpoints(&mut text, gateway);
    counters(&mut text, gateway);
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text.0 + &counted))
}

#[rustfmt::skip]
fn gauges(text: &mut Text, gateway: &Gateway) {
    let sandbox = gateway.sandbox();
    text.gauge("airlock_instances", "Adaptor instances that are alive.", sandbox.live_instances());
    text.gauge("airlock_instances_limit", "Adaptor instances that may be alive.", sandbox.slots());
    text.gauge("airlock_instances_ahead", "Instances that were made ahead and wait for their requests.", sandbox.instances_ahead());
    text.gauge("airlock_slow_calls", "Calls of adaptors that compute for so long that they run at lower priority.", sandbox.slow_calls());
    text.gauge("airlock_compilations_waiting", "Compilations of adaptors that wait for their turn.", sandbox.waiting_compilations());
    text.gauge("airlock_outbound_open", "Calls to backends that are open.", gateway.open_calls());
    text.gauge("airlock_outbound_limit", "Calls to backends that may be open.", gateway.max_open_calls());
    text.gauge("airlock_requests_open", "API requests that are not recorded yet.", gateway.requests().get());
    text.gauge("airlock_connections_open", "Connections of clients, this one too.", gateway.connections().get());
    text.gauge("airlock_keys", "API keys that are active.", gateway.keys().count());
    let version = concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    text.metric("airlock_build_info", "Which version this is.", "gauge", &[(version, 1)]);
}

/// Of each endpoint; where there are very many, of the first.
fn endpoints(text: &mut Text, gateway: &Gateway) {
    let (now, mut open, mut resting) = (Instant::now(), Vec::new(), Vec::new());
    let mut all: Vec<_> = gateway.tenants().all();
    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let of_all =
        all.iter().flat_map(|(tenant, catalog)| catalog.endpoints().map(move |endpoint| (tenant, endpoint)));
    for (tenant, endpoint) in of_all.take(MAX_SERIES) {
        // Both are names that need no escaping.
        let labels = format!("{{tenant=\"{tenant}\",endpoint=\"{}\"}}", endpoint.slug);
        open.push((labels.clone(), endpoint.pulse.open()));
        resting.push((labels, usize::from(endpoint.pulse.standing(now) != Standing::Ready)));
    }
    text.metric(
        "airlock_endpoint_open_requests",
        "Requests that are open at an endpoint.",
        "gauge",
        &samples(&open),
    );
    let help = "1: an endpoint rests after failures, and others are asked before it.";
    text.metric("airlock_endpoint_resting", help, "gauge", &samples(&resting));
}

fn samples<T: Copy>(all: &[(String, T)]) -> Vec<(&str, T)> {
    all.iter().map(|(labels, n)| (labels.as_str(), *n)).collect()
}

#[rustfmt::skip]
fn counters(text: &mut Text, gateway: &Gateway) {
    text.counter("airlock_calls_ahead_total", "Calls that were given an instance that was made ahead.", &[("", gateway.sandbox().calls_ahead())]);
    text.counter("airlock_log_lines_dropped_total", "Lines of the log that were dropped, as it was not read.", &[("", gateway.log_lines_dropped())]);
    let refused = gateway.admission().snapshot().refused;
    let refused: Vec<_> = refused.into_iter().map(|(limit, n)| (format!("{{limit=\"{limit}\"}}"), n)).collect();
    text.counter("airlock_limits_refused_total", "Requests that were refused, by the limit that they met.", &samples(&refused));
    let Some(accounts) = gateway.records().accounts() else { return };
    let found = accounts.whereabouts();
    text.gauge("airlock_ledger_waiting", "Records that are not in the store yet.", found.waiting);
    let states = [("{state=\"written\"}", found.written), ("{state=\"dropped\"}", found.dropped)];
    text.counter("airlock_ledger_records_total", "Records that were written to the store, and that were dropped.", &states);
    text.counter("airlock_ledger_contents_dropped_total", "Prompts and results that were dropped, though their records were not.", &[("", accounts.dropped_contents())]);
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, help, "gauge", &[("", value)]);
    }

    fn counter(&mut self, name: &str, help: &str, samples: &[(&str, u64)]) {
        self.metric(name, help, "counter", samples);
    }

    fn metric(&mut self, name: &str, help: &str, kind: &str, samples: &[(&str, impl Display)]) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_its_help_its_type_and_its_samples() {
        let mut text = Text::default();
        text.gauge("a", "What it is.", 1);
        text.counter("b", "Another.", &[("{x=\"1\"}", 2), ("{x=\"2\"}", 3)]);
        let expected = "# HELP a What it is.\n# TYPE a gauge\na 1\n\
                        # HELP b Another.\n# TYPE b counter\nb{x=\"1\"} 2\nb{x=\"2\"} 3\n";
        assert_eq!(text.0, expected);
    }
}
