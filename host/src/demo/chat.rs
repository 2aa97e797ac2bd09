//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::ApiError;
use super::model_server::{Head, Server, Usage};
use super::request::{ChatRequest, Parsed, choices, limits, wants_usage};
use super::stream::{self, Event};
use super::tools::{self, ToolCall};
use super::{text, tokens};

/// What a message costs beside its text: role and separators.
const TOKENS_PER_MESSAGE: usize = 3;

/// One choice of an answer.
struct Answer {
    content: Content,
    finish: &'static str,
}

enum Content {
    Text(String),
    Calls(Vec<ToolCall>),
}

/// Answers a chat.
pub(super) async fn create(
    State(server): State<Arc<Server>>,
    Parsed(mut request, id): Parsed<ChatRequest>,
) -> Result<Response, ApiError> {
    server.check_model(&request.model)?;
    let answers = answers(&mut request, &id)?;
    let usage =
        Usage { prompt: prompt_tokens(&request), completion: answers.iter().map(Answer::tokens).sum() };
    let head = Head::new(format!("chatcmpl-{id}"), &request.model);
    if request.stream != Some(true) {
        return Ok(Json(whole(&head, &answers, usage)).into_response());
    }
    let usage = wants_usage(request.stream_options.as_ref()).then_some(usage);
    let events = events(head, answers, usage);
    Ok(stream::respond(events, server.config.pace, server.shutdown.clone()))
}

/// The choices: calls of tools, JSON, or text.
fn answers(request: &mut ChatRequest, id: &str) -> Result<Vec<Answer>, ApiError> {
    let n = choices(request.n)?;
    let Some(last) = request.messages.last() else {
        return Err(ApiError::bad_request("'messages' must not be empty.", Some("messages")));
    };
    let results = match last.role.as_str() {
        "tool" | "function" => tool_results(request),
        _ => Vec::new(),
    };
    let users = request.messages.iter().rev().filter(|message| message.role == "user");
    let prompt = users.map(|message| message.text()).next().unwrap_or_default();
    let calls = match results.is_empty() {
        true => tools::calls(request, &prompt, id),
        // Calling again would go round in circles.
        false => Vec::new(),
    };
    let limits = limits(request.stop.take(), request.max_completion_tokens.or(request.max_tokens));
    let format = request.response_format.as_ref();
    let answer = |choice| {
        if !calls.is_empty() {
            return Answer { content: Content::Calls(calls.clone()), finish: "tool_calls" };
        }
        let model = &request.model;
        let text = match text::json_reply(format, model, &prompt) {
            Some(json) => json,
            None if results.is_empty() => text::reply(model, &prompt, choice),
            None => text::reply_to_tools(model, &results, choice),
        };
        let (text, finish) = limits.cut(text);
        Answer { content: Content::Text(text), finish }
    };
    Ok((0..n).map(answer).collect())
}

/// The results since the last call, oldest first.
fn tool_results(request: &ChatRequest) -> Vec<String> {
    let tail = request.messages.iter().rev();
    let results = tail.take_while(|message| matches!(message.role.as_str(), "tool" | "function"));
    let mut results: Vec<_> = results.map(|message| message.text()).collect();
    results.reverse();
    results
}

fn prompt_tokens(request: &ChatRequest) -> usize {
    let messages = request
        .messages
        .iter()
        .map(|message| TOKENS_PER_MESSAGE + tokens::count(&message.text()) + tokens::count(&message.calls()));
    let tools = request.tools.iter().flatten().map(|tool| tokens::count(&tool.to_string()));
    messages.chain(tools).sum()
}

impl Answer {
    fn tokens(&self) -> usize {
        match &self.content {
            Content::Text(text) => tokens::count(text),
            Content::Calls(calls) => calls.iter().map(ToolCall::tokens).sum(),
        }
    }

    fn message(&self) -> Value {
        let mut message = json!({ "role": "assistant", "content": null, "refusal": null });
        let (key, value) = match &self.content {
            Content::Text(text) => ("content", json!(text)),
            Content::Calls(calls) => ("tool_calls", calls.iter().map(ToolCall::to_json).collect()),
        };
        if let Some(message) = message.as_object_mut() {
            message.insert(key.to_owned(), value);
        }
        message
    }

    /// The parts of a streamed message: the role, then tokens.
    fn deltas(self) -> Vec<Delta> {
        match self.content {
            Content::Text(text) => {
                let role = Delta::Role { content: Some("") };
                std::iter::once(role)
                    .chain(tokens::split(&text).map(|token| Delta::Text(token.to_owned())))
                    .collect()
            }
            Content::Calls(calls) => {
                let mut deltas = vec![Delta::Role { content: None }];
                for (index, call) in calls.into_iter().enumerate() {
                    let tokens =
                        tokens::split(&call.arguments).map(|token| Delta::Arguments(index, token.to_owned()));
                    let tokens: Vec<_> = tokens.collect();
                    deltas.push(Delta::Call(index, call));
                    deltas.extend(tokens);
                }
                deltas
            }
        }
    }
}

/// A complete answer.
fn whole(head: &Head, answers: &[Answer], usage: Usage) -> Value {
    let choice = |(index, answer): (usize, &Answer)| {
        json!({
            "index": index,
            "message": answer.message(),
            "logprobs": null,
            "finish_reason": answer.finish,
        })
    };
    let choices = answers.iter().enumerate().map(choice).collect();
    head.body("chat.completion", choices, Some(usage.to_json()))
}

enum Delta {
    Role { content: Option<&'static str> },
    Text(String),
    Call(usize, ToolCall),
    Arguments(usize, String),
    Finish(&'static str),
}

impl Delta {
    fn waits(&self) -> bool {
        !matches!(self, Self::Role { .. } | Self::Finish(_))
    }

    fn to_json(&self, choice: usize) -> Value {
        let (delta, finish) = match self {
            Self::Role { content } => {
                (json!({ "role": "assistant", "content": content, "refusal": null }), None)
            }
            Self::Text(token) => (json!({ "content": token }), None),
            Self::Call(index, call) => {
                let function = json!({ "name": call.name, "arguments": "" });
                let call = json!({ "index": index, "id": call.id, "type": "function", "function": function });
                (json!({ "tool_calls": [call] }), None)
            }
            Self::Arguments(index, token) => {
                let call = json!({ "index": index, "function": { "arguments": token } });
                (json!({ "tool_calls": [call] }), None)
            }
            Self::Finish(reason) => (json!({}), Some(reason)),
        };
        json!({ "index": choice, "delta": delta, "logprobs": null, "finish_reason": finish })
    }
}

/// The chunks of a streamed answer: choice after choice, then the usage if it was asked for.
fn events(head: Head, answers: Vec<Answer>, usage: Option<Usage>) -> impl Iterator<Item = Event> + Send {
    let deltas = answers.into_iter().enumerate().flat_map(|(choice, answer)| {
        let finish = Delta::Finish(answer.finish);
        answer.deltas().into_iter().chain(std::iter::once(finish)).map(move |delta| (choice, delta))
    });
    // With usage asked for, the other chunks say `usage: null`; without, the key is absent.
    let no_usage = usage.is_some().then_some(Value::Null);
    let last = usage
        .map(|usage| head.body("chat.completion.chunk", Value::Array(Vec::new()), Some(usage.to_json())));
    let chunks = deltas.map(move |(choice, delta)| Event {
        waits: delta.waits(),
        data: head.body("chat.completion.chunk", json!([delta.to_json(choice)]), no_usage.clone()),
    });
    chunks.chain(last.map(|data| Event { waits: false, data }))
}
