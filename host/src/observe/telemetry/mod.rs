//! Traces and metrics by OTLP (HTTP, protobuf), where a collector is named. A span is made when its request is over; it
//! waits in a bounded queue that a thread of its own sends, and is lost where there is no room or no collector.

mod client;
mod describe;

use std::{fmt::Display, time::Duration};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{Histogram, MeterProvider as _},
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_otlp::{
    MetricExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _},
};

use crate::{
    config::GenAiConventions,
    ledger::{Ledger, Outcome, Record, Trace},
};
use client::Client;
pub use client::authorities;

/// Longest time for a collector to take what is sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is sent to a collector.
pub struct Telemetry {
    spans: BatchSpanProcessor,
    meters: SdkMeterProvider,
    duration: Histogram<f64>,
    genai: Option<GenAi>,
}

/// Metrics of the GenAI conventions.
struct GenAi {
    first_token: Histogram<f64>,
    tokens: Histogram<u64>,
}

impl Telemetry {
    /// For the collector at `endpoint`. Nothing is sent before there is something to send, so that a collector may come later.
    pub fn start(endpoint: &str, conventions: GenAiConventions) -> Result<Self, String> {
        let words = |error: &dyn Display| error.to_string();
        let resource = Resource::builder()
            .with_service_name("airlock")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new("traces"))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(PATIENCE)
            .build()
            .map_err(|e| words(&e))?;
        let mut spans = BatchSpanProcessor::builder(exporter).build();
        spans.set_resource(&resource);
        let exporter = MetricExporter::builder()
            .with_http()
            .with_http_client(Client::new("metrics"))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/metrics"))
            .with_timeout(PATIENCE)
            .build()
            .map_err(|e| words(&e))?;
        let meters =
            SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource).build();
        let meter = meters.meter("airlock");
        let seconds = |name: &'static str| meter.f64_histogram(name).with_unit("s").build();
        let genai = (conventions == GenAiConventions::LatestExperimental).then(|| GenAi {
            first_token: seconds("gen_ai.server.time_to_first_token"),
            tokens: meter.u64_histogram("gen_ai.client.token.usage").with_unit("{token}").build(),
        });
        Ok(Self { duration: seconds("http.server.request.duration"), spans, meters, genai })
    }

    /// Sends what waits, as far as the collector takes it. It blocks for some seconds at most.
    pub fn flush(&self) {
        // Where that fails the client has said so.
        let _ = self.spans.force_flush();
        let _ = self.meters.force_flush();
    }

    fn span(&self, record: &Record, trace: Trace) -> SpanData {
        let sampled = if trace.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        let (id, span) = (TraceId::from(trace.id), SpanId::from(trace.span));
        SpanData {
            span_context: SpanContext::new(id, span, sampled, false, TraceState::default()),
            parent_span_id: trace.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: trace.parent.is_some(),
            span_kind: SpanKind::Server,
            name: describe::name(record, self.genai.is_some()).into(),
            start_time: record.at,
            end_time: record.at + record.duration,
            attributes: describe::span(record, self.genai.is_some()),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: match record.outcome {
                Outcome::Failed if record.status >= 500 => {
                    Status::error(record.error.clone().unwrap_or_default())
                }
                _ => Status::Unset,
            },
            instrumentation_scope: InstrumentationScope::builder("airlock").build(),
        }
    }

    fn measure(&self, record: &Record) {
        let attributes = describe::metric(record, false);
        self.duration.record(record.duration.as_secs_f64(), &attributes);
        // A model is an attribute where it came to an endpoint: else it is the client's choice.
        let Some(genai) = self.genai.as_ref().filter(|_| record.endpoint.is_some()) else { return };
        let mut attributes = describe::metric(record, true);
        if let Some(first) = record.first_byte.filter(|_| record.stream) {
            genai.first_token.record(first.as_secs_f64(), &attributes);
        }
        let usage = record.usage.unwrap_or_default();
        for (kind, tokens) in [("input", usage.prompt_tokens), ("output", usage.completion_tokens)] {
            attributes.push(KeyValue::new("gen_ai.token.type", kind));
            if tokens > 0 {
                genai.tokens.record(tokens, &attributes);
            }
            attributes.pop();
        }
    }
}

impl Ledger for Telemetry {
    fn settle(&self, record: &Record) {
        self.measure(record);
        if let Some(trace) = record.trace.filter(|trace| trace.is_sampled) {
            self.spans.on_end(self.span(record, trace));
        }
    }
}
