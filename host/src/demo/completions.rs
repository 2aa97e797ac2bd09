//! `POST /v1/completions`, the older operation that continues a text.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::ApiError;
use super::model_server::{Head, Server, Usage};
use super::request::{CompletionRequest, Parsed, choices, limits, wants_usage};
use super::stream::{self, Event};
use super::{text, tokens};

/// What the model reads when there is no prompt, as OpenAI documents it.
const NO_PROMPT: &str = "<|endoftext|>";

struct Choice {
    text: String,
    /// The tokens that the model made; an echoed prompt is not counted twice.
    tokens: usize,
    finish: &'static str,
}

/// Completes one or several prompts, `n` times each.
pub(super) async fn create(
    State(server): State<Arc<Server>>,
    Parsed(request, id): Parsed<CompletionRequest>,
) -> Result<Response, ApiError> {
    server.check_model(&request.model)?;
    let n = choices(request.n)?;
    // OpenAI stops after 16 tokens unless told otherwise; a demo that breaks off would only puzzle.
    let limits = limits(request.stop, request.max_tokens);
    let prompts = match request.prompt {
        Some(input) => input.into_prompts(),
        None => super::request::Input::Text(NO_PROMPT.to_owned()).into_prompts(),
    };
    let mut made = Vec::new();
    for prompt in &prompts {
        for choice in 0..n {
            let (text, finish) = limits.cut(text::reply(&request.model, &prompt.text, choice));
            let tokens = tokens::count(&text);
            let text = match request.echo {
                Some(true) => format!("{}{text}", prompt.text),
                _ => text,
            };
            made.push(Choice { text, tokens, finish });
        }
    }
    let usage = Usage {
        prompt: prompts.iter().map(|prompt| prompt.tokens).sum(),
        completion: made.iter().map(|choice| choice.tokens).sum(),
    };
    let head = Head::new(format!("cmpl-{id}"), &request.model);
    if request.stream == Some(true) {
        let usage = wants_usage(request.stream_options.as_ref()).then_some(usage);
        return Ok(stream::respond(events(head, made, usage), server.config.pace, server.shutdown.clone()));
    }
    let choices =
        made.iter().enumerate().map(|(index, choice)| part(index, &choice.text, Some(choice.finish)));
    Ok(Json(head.body("text_completion", choices.collect(), Some(usage.to_json()))).into_response())
}

fn part(index: usize, text: &str, finish: Option<&str>) -> Value {
    json!({ "index": index, "text": text, "logprobs": null, "finish_reason": finish })
}

/// The chunks: tokens of each choice, then an empty one with its end; the usage last, if asked for.
fn events(head: Head, made: Vec<Choice>, usage: Option<Usage>) -> impl Iterator<Item = Event> + Send {
    let parts = made.into_iter().enumerate().flat_map(|(index, choice)| {
        let tokens: Vec<_> = tokens::split(&choice.text).map(|token| (token.to_owned(), None)).collect();
        let end = (String::new(), Some(choice.finish));
        tokens.into_iter().chain(std::iter::once(end)).map(move |(text, finish)| (index, text, finish))
    });
    let no_usage = usage.is_some().then_some(Value::Null);
    let last =
        usage.map(|usage| head.body("text_completion", Value::Array(Vec::new()), Some(usage.to_json())));
    let chunks = parts.enumerate().map(move |(position, (index, text, finish))| Event {
        waits: position > 0 && finish.is_none(),
        data: head.body("text_completion", json!([part(index, &text, finish)]), no_usage.clone()),
    });
    chunks.chain(last.map(|data| Event { waits: false, data }))
}
