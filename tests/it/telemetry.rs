//! Traces: taken in from clients, handed out to backends by the host, and sent to a collector with metrics.

use std::collections::BTreeMap;

use airlock::config::GenAiConventions;
use airlock_tests::{
    GatewayBuilder, Seen, TestGateway, Upstream, bytes, chat_body, completion, guest, refused_address, within,
};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value as Any},
    trace::v1::Span,
};
use prost::Message as _;
use serde_json::{Value, json};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn builder(upstream: &Upstream) -> GatewayBuilder {
    TestGateway::builder().endpoint("m", "direct-api", json!({ "api_url": upstream.url() }))
}

/// A collector that takes all.
async fn collector() -> Upstream {
    Upstream::start(|_| async { bytes(200, "application/x-protobuf", "") }).await
}

fn traced(collector: &Upstream, upstream: &Upstream, genai: GenAiConventions) -> GatewayBuilder {
    let endpoint = format!("http://{}", collector.address);
    builder(upstream).settings(move |s| {
        s.telemetry.otlp_endpoint = Some(endpoint);
        s.telemetry.genai_conventions = genai;
    })
}

/// Sends a chat with these headers, and waits for the `n`th record.
async fn ask(gateway: &TestGateway, headers: &[(&str, &str)], n: usize) {
    let request = headers.iter().fold(gateway.chat(), |request, (name, value)| request.header(*name, *value));
    let response = within(request.send()).await.unwrap();
    within(response.bytes()).await.unwrap();
    gateway.ledger.nth(n).await;
}

fn header<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
    seen.headers.get(name).map(|value| value.to_str().unwrap())
}

/// All spans that were sent.
async fn spans(gateway: &TestGateway, collector: &Upstream) -> Vec<Span> {
    within(gateway.gateway.settle()).await.unwrap();
    let sent = collector.seen().into_iter().filter(|seen| seen.uri.path() == "/v1/traces");
    let requests = sent.map(|seen| ExportTraceServiceRequest::decode(seen.body).unwrap());
    let resources = requests.flat_map(|request| request.resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    all.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

#[tokio::test]
async fn a_request_is_a_span_of_the_clients_trace_and_the_backend_is_told_of_it() {
    let (collector, upstream) = (collector().await, Upstream::json(completion()).await);
    let gateway = traced(&collector, &upstream, GenAiConventions::LatestExperimental).start().await;
    ask(&gateway, &[("traceparent", PARENT), ("tracestate", "vendor=1"), ("x-request-id", "one")], 1).await;
    let [span] = spans(&gateway, &collector).await.try_into().unwrap();
    assert_eq!(hex::encode(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex::encode(&span.parent_span_id), "b7ad6b7169203331");
    let own = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", hex::encode(&span.span_id));
    let told = upstream.only();
    assert_eq!((header(&told, "traceparent"), header(&told, "tracestate")), (Some(&*own), Some("vendor=1")));
    assert!(span.end_time_unix_nano > span.start_time_unix_nano && span.name == "chat m", "{span:?}");
    let said = attributes(&span.attributes);
    let expected = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "m"),
        ("gen_ai.usage.input_tokens", "3"),
        ("gen_ai.usage.output_tokens", "4"),
        ("http.response.status_code", "200"),
        ("airlock.request_id", "one"),
        ("airlock.tenant", "default"),
        ("airlock.endpoint", "c-api-m"),
        ("airlock.cause", "none"),
    ];
    for (key, value) in expected {
        assert_eq!(said.get(key).map(String::as_str), Some(value), "{key}: {said:?}");
    }
    let metrics = collector.seen().into_iter().filter(|seen| seen.uri.path() == "/v1/metrics");
    let metrics: Vec<_> =
        metrics.map(|seen| ExportMetricsServiceRequest::decode(seen.body).unwrap()).collect();
    let metrics = format!("{metrics:?}");
    for name in ["http.server.request.duration", "gen_ai.client.token.usage"] {
        assert!(metrics.contains(name), "{metrics}");
    }
}

#[tokio::test]
async fn without_the_switch_nothing_is_said_by_the_genai_conventions() {
    let (collector, upstream) = (collector().await, Upstream::json(completion()).await);
    let gateway = traced(&collector, &upstream, GenAiConventions::Off).start().await;
    ask(&gateway, &[], 1).await;
    let [span] = spans(&gateway, &collector).await.try_into().unwrap();
    assert_eq!(span.name, "POST chat/completions");
    assert!(span.parent_span_id.is_empty());
    let said = attributes(&span.attributes);
    assert!(said.keys().all(|key| !key.starts_with("gen_ai.")), "{said:?}");
    let sent: Vec<u8> = collector.seen().into_iter().flat_map(|seen| seen.body.to_vec()).collect();
    assert!(!String::from_utf8_lossy(&sent).contains("gen_ai."));
}

#[tokio::test]
async fn a_trace_that_its_client_does_not_want_is_not_sent_and_goes_on() {
    let (collector, upstream) = (collector().await, Upstream::json(completion()).await);
    let gateway = traced(&collector, &upstream, GenAiConventions::Off).start().await;
    ask(&gateway, &[("traceparent", &PARENT.replace("-01", "-00"))], 1).await;
    assert!(spans(&gateway, &collector).await.is_empty());
    let told = upstream.only();
    let told = header(&told, "traceparent").unwrap();
    assert!(told.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && told.ends_with("-00"), "{told}");
    assert!(!told.contains("b7ad6b7169203331"), "{told}");
}

#[tokio::test]
async fn without_a_collector_a_trace_passes_as_it_came() {
    let upstream = Upstream::json(completion()).await;
    let gateway = builder(&upstream).start().await;
    ask(&gateway, &[("traceparent", PARENT), ("tracestate", "vendor=1")], 1).await;
    ask(&gateway, &[], 2).await;
    let [with, without] = upstream.seen().try_into().unwrap();
    assert_eq!((header(&with, "traceparent"), header(&with, "tracestate")), (Some(PARENT), Some("vendor=1")));
    assert_eq!((header(&without, "traceparent"), header(&without, "tracestate")), (None, None));
}

#[tokio::test]
async fn what_is_malformed_or_huge_reaches_nobody() {
    let (collector, upstream) = (collector().await, Upstream::json(completion()).await);
    let huge = format!("a={}", "x".repeat(8000));
    let bad = [
        [("traceparent", "00-zz"), ("tracestate", "vendor=1")],
        [("traceparent", &*huge), ("tracestate", "vendor=1")],
        [("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"), ("tracestate", "a=1")],
    ];
    for gateway in [builder(&upstream), traced(&collector, &upstream, GenAiConventions::Off)] {
        let gateway = gateway.start().await;
        for (n, headers) in bad.iter().enumerate() {
            ask(&gateway, headers, n + 1).await;
        }
        ask(&gateway, &[("traceparent", PARENT), ("tracestate", &*huge)], 4).await;
    }
    for seen in upstream.seen() {
        assert_eq!(header(&seen, "tracestate"), None);
        assert!(header(&seen, "traceparent").is_none_or(|parent| parent.len() == 55), "{:?}", seen.headers);
    }
}

#[tokio::test]
async fn an_adaptor_cannot_forge_a_trace() {
    let upstream = Upstream::json(completion()).await;
    let gateway = TestGateway::with(guest("requests"), json!({ "api_url": upstream.url() })).await;
    for header in ["traceparent", "TraceState"] {
        let headers = json!([[header, PARENT]]);
        let mut body = chat_body(false);
        body["requests"] = json!([
            { "method": "POST", "url": upstream.url(), "headers": headers },
            { "method": "POST", "scheme": "http", "authority": upstream.address.to_string(), "path": "/v1", "headers": headers },
        ]);
        let response = within(gateway.post("/v1/chat/completions", &body).send()).await.unwrap();
        let told: Value = within(response.json()).await.unwrap();
        let outcomes = told["outcomes"].as_array().unwrap();
        assert!(outcomes.len() == 2 && outcomes.iter().all(|one| one.get("status").is_none()), "{told}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let upstream = Upstream::json(completion()).await;
    let endpoint = format!("http://{}", refused_address());
    let gateway = builder(&upstream).settings(|s| s.telemetry.otlp_endpoint = Some(endpoint)).start().await;
    for n in 1..=20 {
        ask(&gateway, &[], n).await;
    }
    within(gateway.gateway.settle()).await.unwrap();
    assert_eq!(gateway.gateway.records().accounts().unwrap().whereabouts().written, 20);
}

#[tokio::test]
async fn an_address_that_is_none_is_told_at_start() {
    let upstream = Upstream::json(completion()).await;
    let bad = builder(&upstream).settings(|s| s.telemetry.otlp_endpoint = Some("localhost:4318".into()));
    let error = bad.try_start().await.map(drop).unwrap_err();
    assert!(error.contains("telemetry.otlp_endpoint"), "{error}");
    let by_variable = builder(&upstream).env("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://x");
    let error = by_variable.try_start().await.map(drop).unwrap_err();
    assert!(error.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{error}");
}
