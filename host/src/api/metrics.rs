//! `/metrics`: the gauges, in Prometheus' text format.

use std::fmt::Write as _;

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header};
use serde_json::json;

use super::openapi::{About, Api, Components};
use crate::gateway::Worker;

const MEDIA_TYPE: &str = "text/plain; version=0.0.4";

pub(super) fn routes(api: Api) -> Api {
    let text = |_: &mut Components| json!({ "type": "string" });
    let about = About::open("Gauges, for Prometheus");
    api.get("/metrics", metrics, about.answers_as(StatusCode::OK, "All of them.", &[("text/plain", text)]))
}

async fn metrics(State(worker): State<Worker>) -> impl IntoResponse {
    let gateway = worker.gateway();
    let gauges = [
        ("airlock_instances", "Adaptor instances that are alive.", gateway.sandbox().live_instances()),
        (
            "airlock_slow_calls",
            "Calls of adaptors that compute for so long that they run at lower priority.",
            gateway.sandbox().slow_calls(),
        ),
        ("airlock_outbound_open", "Calls to backends that are open.", gateway.open_calls()),
        ("airlock_requests_open", "API requests that are not recorded yet.", gateway.requests().get()),
        ("airlock_connections_open", "Connections of clients, this one too.", gateway.connections().get()),
    ];
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], render(&gauges))
}

fn render(gauges: &[(&str, &str, usize)]) -> String {
    gauges.iter().fold(String::new(), |mut text, (name, help, value)| {
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_three_lines() {
        let text = render(&[("a", "What it is.", 1), ("b", "Another.", 0)]);
        let expected = "# HELP a What it is.\n# TYPE a gauge\na 1\n# HELP b Another.\n# TYPE b gauge\nb 0\n";
        assert_eq!(text, expected);
    }
}
