//! Golden cases in both directions, and what the tables of fields promise.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::{Rule, Table};
use super::*;
use crate::chat::golden::{check_cases, error_json};
use crate::sse::{DEFAULT_EVENT_LIMIT, Parser};

/// A case: what the client sends and the backend answers.
#[derive(Deserialize)]
struct Case {
    request: Value,
    #[serde(default)]
    ignored_fields: Vec<String>,
    backend_answer: Option<Value>,
    backend_events: Option<Vec<Value>>,
    /// The backend's stream ends without `[DONE]`.
    #[serde(default)]
    is_truncated: bool,
}

fn head() -> Head {
    Head { id: "chatcmpl-1".into(), created: 1_700_000_000, model: "m".into() }
}

fn task(operation: &Operation, request: &Value) -> Task {
    Task {
        id: "1".into(),
        operation: operation.clone(),
        model: "m".into(),
        stream: request["stream"] == true,
        user: None,
        body: request.to_string().into_bytes(),
    }
}

fn begin(
    operation: &Operation,
    request: &Value,
    ignored: &[String],
) -> Result<(Value, Translation), AdaptorError> {
    let mut task = task(operation, request);
    let translation = Translation::with_head(&mut task, ignored, head())?.unwrap();
    assert_eq!(task.operation, Operation::ChatCompletions);
    Ok((serde_json::from_slice(&task.body).unwrap(), translation))
}

/// The chunks of a stream that comes in pieces.
struct Chunks {
    pieces: std::vec::IntoIter<Vec<u8>>,
    parser: Parser,
}

impl Chunks {
    fn new(case: &Case, size: usize) -> Self {
        let chunks = case.backend_events.iter().flatten().map(|chunk| format!("data: {chunk}\n\n"));
        let done = if case.is_truncated { "" } else { "data: [DONE]\n\n" };
        let text = chunks.collect::<String>() + done;
        let pieces: Vec<Vec<u8>> = text.into_bytes().chunks(size).map(<[u8]>::to_vec).collect();
        Self { pieces: pieces.into_iter(), parser: Parser::new(DEFAULT_EVENT_LIMIT) }
    }
}

impl EventSource for Chunks {
    fn next(&mut self) -> Result<Option<Vec<u8>>, AdaptorError> {
        loop {
            if let Some(event) = self.parser.next_event()? {
                return Ok(Some(event.data));
            }
            match self.pieces.next() {
                Some(piece) => self.parser.push(&piece),
                None if self.parser.saw_done() => return Ok(None),
                None => return Err(AdaptorError::bad_upstream("upstream_bad_response", "broke off")),
            }
        }
    }
}

fn events(operation: &Operation, case: &Case, size: usize) -> (Vec<Value>, Option<Value>) {
    let (_, translation) = begin(operation, &case.request, &case.ignored_fields).unwrap();
    let mut source = translation.events(Chunks::new(case, size));
    let mut events = Vec::new();
    loop {
        match source.next() {
            Ok(Some(event)) => events.push(serde_json::from_slice(&event).unwrap()),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error_json(&error))),
        }
    }
}

fn run(operation: &Operation, case: &Case) -> Value {
    let (chat, translation) = match begin(operation, &case.request, &case.ignored_fields) {
        Ok(begun) => begun,
        Err(error) => return json!({ "error": error_json(&error) }),
    };
    let mut made = json!({ "backend_request": chat });
    if let Some(answer) = &case.backend_answer {
        match translation.answer(answer.to_string().as_bytes()) {
            Ok(answer) => made["answer"] = serde_json::from_slice(&answer).unwrap(),
            Err(error) => made["error"] = error_json(&error),
        }
    } else if case.backend_events.is_some() {
        let (all, error) = events(operation, case, usize::MAX);
        for size in [1, 7] {
            assert_eq!(events(operation, case, size), (all.clone(), error.clone()), "by {size}");
        }
        made["events"] = Value::Array(all);
        if let Some(error) = error {
            made["error"] = error;
        }
    }
    made
}

fn check(operation: &Operation) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(operation.path());
    check_cases(&folder, &["backend_request", "answer", "events", "error"], |case| {
        serde_json::from_value(case.clone()).map(|case| run(operation, &case))
    })
}

#[test]
fn golden_cases_come_out_as_they_are_written() {
    assert!(check(&Operation::Responses) >= 20);
    assert!(check(&Operation::Messages) >= 20);
}

/// What a request with a further field is refused with.
fn refused(operation: &Operation, name: &str, value: &Value) -> Option<AdaptorError> {
    let mut request =
        json!({ "model": "m", "max_tokens": 1, "messages": [{ "role": "user", "content": "a" }] });
    if *operation == Operation::Responses {
        request = json!({ "model": "m", "input": "a" });
    }
    request[name] = value.clone();
    begin(operation, &request, &[]).err()
}

#[test]
fn what_the_tables_refuse_is_refused_by_its_name() {
    let tables: [(_, &Table); 2] =
        [(Operation::Responses, responses::FIELDS), (Operation::Messages, messages::FIELDS)];
    for (operation, table) in tables {
        for (name, rule) in table {
            if let Rule::Refused(what) | Rule::RefusedAs(_, what) | Rule::Only(_, what) = rule {
                let error = refused(&operation, name, &json!("x")).expect(name);
                let code = if let Rule::RefusedAs(code, _) = rule { code } else { "unsupported_parameter" };
                assert_eq!((error.status, error.code.as_str()), (400, code), "{name}");
                assert_eq!(
                    error.message,
                    format!("`{name}` is not supported by this model's backend: {what}")
                );
            }
            if let Rule::Only(values, _) = rule {
                for value in *values {
                    let value = serde_json::from_str(value).unwrap();
                    assert_eq!(refused(&operation, name, &value), None, "{name}");
                }
            }
        }
        let error = refused(&operation, "new_field", &json!(1)).unwrap();
        assert!(error.message.starts_with("`new_field` is not supported"), "{}", error.message);
        assert_eq!(refused(&operation, "new_field", &Value::Null), None);
    }
}

/// The rows of the document's table, as its second column has them.
fn documented(rule: Rule) -> &'static str {
    match rule {
        Rule::Translated => "translated",
        Rule::Passed => "passed",
        Rule::Ignored => "ignored",
        Rule::Only(..) => "refused but for",
        Rule::Refused(_) | Rule::RefusedAs(..) => "refused",
    }
}

#[test]
fn the_document_says_of_each_field_what_becomes_of_it() {
    let document = include_str!("../../../../docs/adaptors.md");
    for (section, table) in [("### Responses", responses::FIELDS), ("### Messages", messages::FIELDS)] {
        let (_, section) = document.split_once(section).expect(section);
        let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
        for (name, rule) in table {
            let row =
                section.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
            let row = row.unwrap_or_else(|| panic!("`{name}` has no row"));
            let what = row.split('|').nth(2).unwrap().trim();
            assert_eq!(what, documented(*rule), "{row}");
        }
    }
}

#[test]
fn an_answer_is_bounded() {
    let request = json!({ "model": "m", "input": "a" });
    let (_, translation) = begin(&Operation::Responses, &request, &[]).unwrap();
    let message = json!({ "content": "x".repeat(5 << 20) });
    let answer = json!({ "choices": [{ "message": message, "finish_reason": "stop" }] });
    let error = translation.answer(answer.to_string().as_bytes()).unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (502, "response_too_large"));
}

#[test]
fn other_operations_are_left_alone() {
    for path in ["chat/completions", "embeddings", "rerank"] {
        let operation = Operation::from_path(path);
        let mut task = task(&operation, &json!({ "x": 1 }));
        assert!(Translation::begin(&mut task, &[]).unwrap().is_none());
        assert_eq!((task.operation, task.body.as_slice()), (operation, br#"{"x":1}"#.as_slice()));
    }
}
