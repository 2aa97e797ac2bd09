//! Runs a script against the key-value store and replies `{"results":[…]}`. The script is the array
//! `script` of the task's body, else of the configuration. Its steps, and their results:
//!
//! - `{"op":"get","key":k}` → the value as text, or null
//! - `{"op":"set","key":k,"value":v,"ttl_ms":t?}` → true, or `too-large`, `quota-exceeded`
//! - `{"op":"set-if-absent",…}` → true, false, or one of these errors
//! - `{"op":"delete","key":k}` → null
//!
//! In the place of `key` and `value`, `key_length` and `value_length` make one of that many `x`.

use airlock_adaptor::key_value::{self, StoreError};
use airlock_adaptor::serde_json::{self, Value, json};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::settings;

struct Kv;

impl EndpointAdaptor for Kv {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let body: Value = serde_json::from_slice(&task.body).unwrap_or_default();
        let config = settings(&endpoint);
        let script = body["script"].as_array().or_else(|| config["script"].as_array());
        let results: Vec<Value> = script.into_iter().flatten().map(run).collect();
        Reply::json(&json!({"results": results}))
    }
}

/// Runs one step.
fn run(step: &Value) -> Value {
    let key = text(step, "key");
    let value = || text(step, "value").into_bytes();
    let ttl_ms = step["ttl_ms"].as_u64().map(|milliseconds| milliseconds as u32);
    match step["op"].as_str() {
        Some("get") => key_value::get(&key).map(|value| String::from_utf8_lossy(&value).into_owned()).into(),
        Some("set") => key_value::set(&key, &value(), ttl_ms).map_or_else(refusal, |()| json!(true)),
        Some("set-if-absent") => {
            key_value::set_if_absent(&key, &value(), ttl_ms).map_or_else(refusal, Value::Bool)
        }
        Some("delete") => {
            key_value::delete(&key);
            Value::Null
        }
        other => panic!("op {other:?} is unknown"),
    }
}

fn text(step: &Value, name: &str) -> String {
    match step[format!("{name}_length")].as_u64() {
        Some(length) => "x".repeat(length as usize),
        None => step[name].as_str().unwrap_or_default().to_owned(),
    }
}

fn refusal(error: StoreError) -> Value {
    match error {
        StoreError::TooLarge => json!("too-large"),
        StoreError::QuotaExceeded => json!("quota-exceeded"),
    }
}

airlock_adaptor::export_endpoint!(Kv);
