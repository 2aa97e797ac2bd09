//! The task of a run, as a client would send it.

use std::sync::Arc;

use airlock_sandbox::{Data, Operation, Takes, Task};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A task, with the operation by its path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskText {
    /// Its id.
    pub id: String,
    /// Which API is called: the path below `/v1/`.
    pub operation: String,
    /// The model as the client names it.
    pub model: String,
    /// Whether events are wanted.
    pub stream: bool,
    /// The client's JSON object.
    pub body: Data,
}

/// What is wrong with a task.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// There is no such operation.
    #[error("there is no operation {name:?}: name one of {known}")]
    Operation {
        /// What was named.
        name: String,
        /// All that there are.
        known: String,
    },
    /// It is sent as a form.
    #[error("{0} takes a form, which passes through the gateway unread: a run has JSON tasks alone")]
    Form(&'static str),
    /// It has no streams.
    #[error("{0} has no streams: leave out --stream, and `stream` in the task")]
    NoStream(&'static str),
    /// The body is no JSON object.
    #[error("the task is not one JSON object: {0}")]
    Body(String),
}

/// The operation with this path, where a run can have it.
fn operation(path: &str) -> Result<Operation, TaskError> {
    let is_json = |operation: &&Operation| operation.takes() == Takes::Json;
    match Operation::ALL.iter().find(|operation| operation.path() == path.trim_matches('/')) {
        Some(operation) if is_json(&operation) => Ok(*operation),
        Some(operation) => Err(TaskError::Form(operation.path())),
        None => {
            let known: Vec<&str> = Operation::ALL.iter().filter(is_json).map(|o| o.path()).collect();
            Err(TaskError::Operation { name: path.to_owned(), known: known.join(", ") })
        }
    }
}

impl TaskText {
    /// A chat of one message.
    pub fn message(text: &str) -> Vec<u8> {
        json!({ "messages": [{ "role": "user", "content": text }] }).to_string().into()
    }

    /// Reads a client's body. The model is the one named, or else the body's; `is_stream` asks for events as if the body did.
    pub fn read(body: Vec<u8>, path: &str, model: Option<&str>, is_stream: bool) -> Result<Self, TaskError> {
        let operation = operation(path)?;
        let mut fields: Map<String, Value> =
            serde_json::from_slice(&body).map_err(|error| TaskError::Body(error.to_string()))?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let given = fields.get("model").and_then(text);
        let model = model.map(str::to_owned).or_else(|| given.clone()).unwrap_or_else(|| "model".into());
        let wanted = fields.get("stream").and_then(Value::as_bool).unwrap_or_default();
        let stream = is_stream || wanted;
        if stream && operation.events().is_none() {
            return Err(TaskError::NoStream(operation.path()));
        }
        let has_model = given.as_ref() == Some(&model);
        let counts = stream && matches!(operation, Operation::ChatCompletions | Operation::Completions);
        // A body that says all of it is handed on byte for byte.
        if has_model && wanted == stream && !counts {
            return Ok(Self::new(operation, model, stream, body));
        }
        fields.insert("model".into(), model.as_str().into());
        if stream {
            fields.insert("stream".into(), true.into());
        }
        if counts {
            // As the gateway does: usage is counted always.
            let options = fields.entry("stream_options").or_insert_with(|| json!({}));
            if let Some(options) = options.as_object_mut() {
                options.insert("include_usage".into(), true.into());
            }
        }
        Ok(Self::new(operation, model, stream, Value::Object(fields).to_string().into()))
    }

    fn new(operation: Operation, model: String, stream: bool, body: Vec<u8>) -> Self {
        Self { id: "trial".into(), operation: operation.path().into(), model, stream, body: body.into() }
    }

    /// Whether it can be run.
    pub(super) fn check(&self) -> Result<(), TaskError> {
        operation(&self.operation).map(drop)
    }

    pub(super) fn task(&self) -> Arc<Task> {
        Arc::new(Task {
            id: self.id.as_str().into(),
            // Checked where it comes from.
            operation: operation(&self.operation).unwrap_or(Operation::ChatCompletions),
            model: self.model.clone(),
            stream: self.stream,
            user: None,
            body: self.body.0.clone(),
            form: None,
            headers: HeaderMap::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, path: &str, stream: bool) -> Result<TaskText, TaskError> {
        TaskText::read(body.into(), path, None, stream)
    }

    #[test]
    fn a_body_that_says_everything_is_handed_on_byte_for_byte() {
        let body = r#"{ "model":"m",  "input":"x" }"#;
        assert_eq!(read(body, "embeddings", false).unwrap().body.as_text(), Some(body));
        assert_eq!(read(body, "/embeddings/", false).unwrap().model, "m");
    }

    #[test]
    fn a_stream_is_asked_for_with_its_usage_as_the_gateway_does() {
        let task = read(r#"{"model":"m","messages":[]}"#, "chat/completions", true).unwrap();
        let body: Value = serde_json::from_slice(&task.body.0).unwrap();
        assert!(task.stream && body["stream"] == true && body["stream_options"]["include_usage"] == true);
    }

    #[test]
    fn what_cannot_be_run_is_told() {
        for (body, path, stream, says) in [
            ("{}", "chat", false, "name one of chat/completions"),
            ("{}", "audio/transcriptions", false, "takes a form"),
            ("{}", "embeddings", true, "has no streams"),
            ("[]", "chat/completions", false, "not one JSON object"),
        ] {
            let told = read(body, path, stream).unwrap_err().to_string();
            assert!(told.contains(says), "{told}");
        }
    }
}
