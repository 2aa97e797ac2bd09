//! Golden cases of a backend, in both directions: a folder of JSON files, each with what the client sends, what the
//! backend gets, what it answers and what the client gets.
//!
//! `UPDATE_GOLDEN=1 cargo test` writes what comes out into the files, for a person to read.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails at the line that is wrong"
)]

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::adaptor::outgoing;
use super::stream::{ChatStream, Source};
use super::{Backend, Chunks, Failure, Head};
use crate::{AdaptorError, EndpointInfo, EventSource};

/// What a case says; what should come out is compared as JSON.
#[derive(Deserialize)]
struct Case {
    /// The request of the client.
    request: Value,
    /// Further configuration.
    #[serde(default)]
    config: Map<String, Value>,
    /// The status of the backend's answer.
    #[serde(default = "ok")]
    backend_status: u16,
    /// Headers of the backend's answer.
    #[serde(default)]
    backend_headers: Map<String, Value>,
    /// The backend's answer, where it is complete.
    backend_answer: Option<Value>,
    /// The events of the backend's stream.
    #[serde(default)]
    backend_events: Vec<BackendEvent>,
    /// The bytes of the backend's stream, in hexadecimal, where its events are not server-sent ones.
    backend_bytes: Option<String>,
}

#[derive(Deserialize)]
struct BackendEvent {
    #[serde(default)]
    event: String,
    data: Value,
}

fn ok() -> u16 {
    200
}

/// Runs every case in `folder`; gives how many there are.
///
/// # Panics
///
/// Where a case comes out otherwise than it is written.
#[track_caller]
pub fn check<B: Backend>(folder: &Path, config: &Value) -> usize {
    check_cases(folder, &["path", "backend_request", "answer", "events", "error"], |case| {
        serde_json::from_value(case.clone()).map(|case| run::<B>(&case, config))
    })
}

/// Runs every case in `folder` by `run`, which gives what comes out under these keys; gives how many cases there are.
#[track_caller]
pub(crate) fn check_cases(
    folder: &Path,
    keys: &[&str],
    run: impl Fn(&Value) -> serde_json::Result<Value>,
) -> usize {
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests")]
    let update = std::env::var("UPDATE_GOLDEN").is_ok();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wrong = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let found: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let made = run(&found).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut expected = found.clone();
        for key in keys {
            match made.get(key) {
                Some(value) => expected[key] = value.clone(),
                None => drop(expected.as_object_mut().unwrap().remove(*key)),
            }
        }
        if expected == found {
            continue;
        }
        if update {
            std::fs::write(file, format!("{expected:#}\n")).unwrap();
        } else {
            wrong.push(format!("{}:\n{made:#}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{} case(s) came out otherwise:\n{}", wrong.len(), wrong.join("\n"));
    files.len()
}

/// All that comes out of a case.
fn run<B: Backend>(case: &Case, config: &Value) -> Value {
    let mut config = config.as_object().unwrap().clone();
    config.extend(case.config.clone());
    let endpoint = EndpointInfo {
        slug: "c-api-m".into(),
        cluster: "c".into(),
        framework: "api".into(),
        model: "backend-model".into(),
        config: Value::Object(config).to_string(),
    };
    let mut made = json!({});
    let backend = B::new(&endpoint).unwrap();
    let stream = case.request["stream"] == true;
    let sent = match outgoing(&backend, &endpoint, case.request.to_string().as_bytes(), stream) {
        Ok(sent) => sent,
        Err(error) => {
            made["error"] = error_json(&error);
            return made;
        }
    };
    made["path"] = json!(sent.path);
    made["backend_request"] = serde_json::from_slice(&sent.body).unwrap();
    let head = Head { id: "chatcmpl-1".into(), created: 1_700_000_000, model: "m".into() };
    let answer = case.backend_answer.clone().unwrap_or_default().to_string().into_bytes();
    if case.backend_status != 200 {
        let headers = case.backend_headers.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()));
        let failure = Failure { status: case.backend_status, headers: headers.collect(), body: answer };
        made["error"] = error_json(&backend.refused(&failure));
    } else if stream {
        let (events, error) = streamed(&backend, &case.stream_bytes(), &head);
        made["events"] = Value::Array(events);
        if let Some(error) = error {
            made["error"] = error_json(&error);
        }
    } else {
        match backend.answer(&answer) {
            Ok(answer) => made["answer"] = answer.to_json(&head),
            Err(error) => made["error"] = error_json(&error),
        }
    }
    made
}

impl Case {
    fn stream_bytes(&self) -> Vec<u8> {
        if let Some(hex) = &self.backend_bytes {
            let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).expect("hexadecimal") as u8).collect();
            return digits
                .chunks(2)
                .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
                .collect();
        }
        let event = |event: &BackendEvent| match event.event.as_str() {
            "" => format!("data: {}\n\n", event.data),
            name => format!("event: {name}\ndata: {}\n\n", event.data),
        };
        self.backend_events.iter().map(event).collect::<String>().into_bytes()
    }
}

struct Pieces(std::vec::IntoIter<Vec<u8>>);

impl Source for Pieces {
    fn read(&mut self) -> Result<Option<Vec<u8>>, AdaptorError> {
        Ok(self.0.next())
    }
}

/// A stream's chunks, the same however its bytes are split, and the error at its end.
fn streamed<B: Backend>(backend: &B, bytes: &[u8], head: &Head) -> (Vec<Value>, Option<AdaptorError>) {
    let mut outcomes = [1, 7, bytes.len().max(1)].map(|size| {
        let pieces: Vec<Vec<u8>> = bytes.chunks(size).map(<[u8]>::to_vec).collect();
        let chunks = Chunks::new(head.clone());
        let mut stream = ChatStream::new(Pieces(pieces.into_iter()), backend.stream(), chunks);
        let mut events = Vec::new();
        loop {
            match stream.next() {
                Ok(Some(event)) => events.push(serde_json::from_slice(&event).unwrap()),
                Ok(None) => return (events, None),
                Err(error) => return (events, Some(error)),
            }
        }
    });
    let whole = std::mem::take(outcomes.last_mut().unwrap());
    for outcome in outcomes.iter().take(2) {
        assert_eq!(outcome, &whole, "the stream depends on how it is split");
    }
    whole
}

pub(crate) fn error_json(error: &AdaptorError) -> Value {
    let mut json = json!({ "status": error.status, "code": error.code, "message": error.message });
    if let Some(wait) = error.retry_after_ms {
        json["retry_after_ms"] = json!(wait);
    }
    json
}
