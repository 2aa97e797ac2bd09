//! What is said of a request: by OpenTelemetry's stable conventions for HTTP, in words of our own (`airlock.…`), and where
//! they are switched on by its conventions for GenAI, as of version 1.37.

use airlock_sandbox::Operation;
use opentelemetry::KeyValue;

use crate::ledger::Record;

/// A span's name. It has few values: a model is named where it came to an endpoint.
pub(super) fn name(record: &Record, genai: bool) -> String {
    let model = record.model.as_deref().filter(|_| genai && record.endpoint.is_some());
    match model {
        Some(model) => format!("{} {model}", operation(record.operation)),
        None => format!("POST {}", record.operation.path()),
    }
}

/// A span's attributes.
pub(super) fn span(record: &Record, genai: bool) -> Vec<KeyValue> {
    let mut all = metric(record, genai);
    let texts = [
        ("airlock.request_id", Some(&*record.request_id)),
        ("airlock.tenant", record.tenant.as_deref()),
        ("airlock.user", record.user.as_deref()),
        ("airlock.endpoint", record.endpoint.as_deref()),
    ];
    all.extend(texts.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?.to_owned()))));
    all.push(KeyValue::new("airlock.outcome", record.outcome.as_str()));
    all.push(KeyValue::new("airlock.cause", record.cause.as_str()));
    all.push(KeyValue::new("airlock.cpu_seconds", record.costs.cpu.as_secs_f64()));
    if let (true, Some(usage)) = (genai, record.usage) {
        all.push(KeyValue::new("gen_ai.usage.input_tokens", signed(usage.prompt_tokens)));
        all.push(KeyValue::new("gen_ai.usage.output_tokens", signed(usage.completion_tokens)));
    }
    if let (true, None, Some(model)) = (genai, &record.endpoint, &record.model) {
        all.push(KeyValue::new("gen_ai.request.model", model.clone()));
    }
    all
}

/// A metric's attributes: none that a client chooses.
pub(super) fn metric(record: &Record, genai: bool) -> Vec<KeyValue> {
    let mut all = vec![
        KeyValue::new("http.request.method", "POST"),
        KeyValue::new("http.route", record.operation.path()),
        KeyValue::new("http.response.status_code", i64::from(record.status)),
    ];
    if record.error.is_some() {
        all.push(KeyValue::new("error.type", record.cause.as_str()));
    }
    if genai {
        all.push(KeyValue::new("gen_ai.operation.name", operation(record.operation)));
        let adaptor = record.answerer.as_ref().and_then(|answerer| answerer.adaptor.as_deref());
        all.extend(adaptor.map(|name| KeyValue::new("gen_ai.provider.name", name.to_owned())));
        let model = record.model.as_ref().filter(|_| record.endpoint.is_some());
        all.extend(model.map(|model| KeyValue::new("gen_ai.request.model", model.clone())));
    }
    all
}

/// `gen_ai.operation.name`: the conventions' word where they have one.
fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::ChatCompletions | Operation::Messages | Operation::Responses => "chat",
        Operation::Completions => "text_completion",
        Operation::Embeddings => "embeddings",
        other => other.path(),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
