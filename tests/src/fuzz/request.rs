//! Bodies of requests: what is taken is a JSON object that says what the gateway read in it.

use airlock::api::ParsedRequest;
use airlock_sandbox::{Answers, Events, Operation, Takes};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{assert_one_line, json};

/// `data` is a body, for each of the operations that take JSON.
pub fn check(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for operation in Operation::ALL.into_iter().filter(|operation| operation.takes() == Takes::Json) {
        match ParsedRequest::read(operation, body.clone()) {
            Ok(request) => check_taken(operation, &request, data),
            Err(error) => {
                assert_eq!(error.status(), 400, "{error:?}");
                let shown: Value = serde_json::from_slice(&error.body()).expect("an error is JSON");
                assert_one_line("message", shown["error"]["message"].as_str().expect("a message"));
            }
        }
    }
}

fn check_taken(operation: Operation, request: &ParsedRequest, data: &[u8]) {
    assert!(!request.model.is_empty());
    let asks_for_usage = request.stream && !request.show_usage;
    assert!(asks_for_usage || request.body == data, "the client's bytes were changed");
    let (Some(mut sent), Some(mut passed)) = (object(data), object(&request.body)) else { return };
    assert_eq!(sent["model"], request.model.as_str());
    let streams = match operation.answers() {
        Answers::Audio => sent["stream_format"] == "sse",
        Answers::Json | Answers::Text => sent["stream"] == true && operation.events().is_some(),
    };
    assert_eq!(request.stream, streams);
    if request.stream && operation.events() == Some(Events::Plain) {
        assert_eq!(passed["stream_options"]["include_usage"], true, "usage is not asked for");
        assert!(!request.show_usage || sent["stream_options"]["include_usage"] == true);
    }
    for body in [&mut sent, &mut passed] {
        let stands = body["stream_options"].is_object();
        body["stream_options"] =
            if stands { body["stream_options"].take() } else { Value::Object(Map::new()) };
        body["stream_options"]["include_usage"] = true.into();
    }
    assert_eq!(sent, passed, "more was changed than the wish for usage");
}

/// The object as another reader sees it.
fn object(body: &[u8]) -> Option<Value> {
    let value = json(std::str::from_utf8(body).expect("JSON is UTF-8"))?;
    assert!(value.is_object(), "no object was taken");
    Some(value)
}
