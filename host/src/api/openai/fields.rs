//! The fields that the gateway knows, with their types and ranges as OpenAI documents them. Others are the
//! backend's business and pass, where the cluster lets them.

use airlock_sandbox::Operation;

use super::{
    further,
    request::Known,
    validation::{
        AUDIO, Check, FUNCTION_CALL, FUNCTIONS, LOGIT_BIAS, MESSAGES, METADATA, PREDICTION, RESPONSE_FORMAT,
        Rule, STOP, STREAM_OPTIONS, TEXTS, TOOL_CHOICE, TOOLS, VOICE, Wrong,
    },
};
use crate::api::error::{ApiError, ErrorKind};

use Operation::{ChatCompletions as Chat, Completions, Embeddings, Speech};

/// One known field.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) of: &'static [Operation],
    pub(super) rule: Rule,
}

const ANY: &[Operation] = &[Chat, Completions, Embeddings];
const EVERY: &[Operation] = &Operation::ALL;
const STREAMED: &[Operation] =
    &[Chat, Completions, Operation::Responses, Operation::Messages, Operation::ImageGenerations];
const GENERATING: &[Operation] = &[Chat, Completions];
const MAX: i64 = i64::MAX;

/// Words that OpenAI adds to now and then, such as a new `reasoning_effort`, are any text.
#[rustfmt::skip]
pub(super) const FIELDS: &[Field] = &[
    Field { name: "model", of: EVERY, rule: Rule::Chars(1, usize::MAX) },
    Field { name: "user", of: ANY, rule: Rule::Text },
    Field { name: "messages", of: &[Chat], rule: MESSAGES },
    Field { name: "prompt", of: &[Completions], rule: Rule::Input(usize::MAX) },
    Field { name: "input", of: &[Embeddings], rule: Rule::Input(2048) },
    Field { name: "stream", of: STREAMED, rule: Rule::Bool },
    Field { name: "stream_options", of: GENERATING, rule: STREAM_OPTIONS },
    Field { name: "temperature", of: GENERATING, rule: Rule::Number(0.0, 2.0) },
    Field { name: "top_p", of: GENERATING, rule: Rule::Number(0.0, 1.0) },
    Field { name: "n", of: GENERATING, rule: Rule::Int(1, 128) },
    Field { name: "max_tokens", of: GENERATING, rule: Rule::Int(0, MAX) },
    Field { name: "max_completion_tokens", of: &[Chat], rule: Rule::Int(1, MAX) },
    Field { name: "presence_penalty", of: GENERATING, rule: Rule::Number(-2.0, 2.0) },
    Field { name: "frequency_penalty", of: GENERATING, rule: Rule::Number(-2.0, 2.0) },
    Field { name: "seed", of: GENERATING, rule: Rule::Int(i64::MIN, MAX) },
    Field { name: "stop", of: GENERATING, rule: STOP },
    Field { name: "logit_bias", of: GENERATING, rule: LOGIT_BIAS },
    Field { name: "logprobs", of: &[Chat], rule: Rule::Bool },
    Field { name: "top_logprobs", of: &[Chat], rule: Rule::Int(0, 20) },
    Field { name: "tools", of: &[Chat], rule: TOOLS },
    Field { name: "tool_choice", of: &[Chat], rule: TOOL_CHOICE },
    Field { name: "parallel_tool_calls", of: &[Chat], rule: Rule::Bool },
    Field { name: "functions", of: &[Chat], rule: FUNCTIONS },
    Field { name: "function_call", of: &[Chat], rule: FUNCTION_CALL },
    Field { name: "response_format", of: &[Chat], rule: RESPONSE_FORMAT },
    Field { name: "modalities", of: &[Chat], rule: TEXTS },
    Field { name: "audio", of: &[Chat], rule: AUDIO },
    Field { name: "prediction", of: &[Chat], rule: PREDICTION },
    Field { name: "reasoning_effort", of: &[Chat], rule: Rule::Text },
    Field { name: "verbosity", of: &[Chat], rule: Rule::Text },
    Field { name: "service_tier", of: &[Chat], rule: Rule::Text },
    Field { name: "store", of: &[Chat], rule: Rule::Bool },
    Field { name: "metadata", of: &[Chat], rule: METADATA },
    Field { name: "safety_identifier", of: &[Chat], rule: Rule::Text },
    Field { name: "prompt_cache_key", of: &[Chat], rule: Rule::Text },
    Field { name: "prompt_cache_retention", of: &[Chat], rule: Rule::Text },
    Field { name: "prompt_cache_options", of: &[Chat], rule: Rule::Object },
    Field { name: "moderation", of: &[Chat], rule: Rule::Object },
    Field { name: "web_search_options", of: &[Chat], rule: Rule::Object },
    Field { name: "logprobs", of: &[Completions], rule: Rule::Int(0, 20) },
    Field { name: "echo", of: &[Completions], rule: Rule::Bool },
    Field { name: "best_of", of: &[Completions], rule: Rule::Int(1, 128) },
    Field { name: "suffix", of: &[Completions], rule: Rule::Text },
    Field { name: "dimensions", of: &[Embeddings], rule: Rule::Int(1, MAX) },
    Field { name: "encoding_format", of: &[Embeddings], rule: Rule::OneOf(&["float", "base64"]) },
    Field { name: "input", of: &[Speech], rule: Rule::Chars(1, usize::MAX) },
    Field { name: "voice", of: &[Speech], rule: VOICE },
    Field { name: "response_format", of: &[Speech], rule: Rule::Text },
    Field { name: "speed", of: &[Speech], rule: Rule::Number(0.25, 4.0) },
    Field { name: "instructions", of: &[Speech], rule: Rule::Text },
    Field { name: "stream_format", of: &[Speech], rule: Rule::OneOf(&["sse", "audio"]) },
];

/// The fields that an operation knows.
pub(super) fn of(operation: Operation) -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().chain(further::FIELDS).filter(move |field| field.of.contains(&operation))
}

/// The fields that an operation needs.
pub(super) const fn required(operation: Operation) -> &'static [&'static str] {
    match operation {
        Chat => &["model", "messages"],
        Completions => &["model", "prompt"],
        Embeddings => &["model", "input"],
        // What is asked may stand in a conversation, or in a prompt that is kept there.
        Operation::Responses => &["model"],
        Operation::Messages => &["model", "max_tokens", "messages"],
        Operation::CountTokens => &["model", "messages"],
        Operation::Moderations => &["model", "input"],
        Operation::Rerank => &["model", "query", "documents"],
        Operation::ImageGenerations => &["model", "prompt"],
        Operation::ImageEdits
        | Operation::ImageVariations
        | Operation::Transcriptions
        | Operation::Translations => &["model"],
        Speech => &["model", "input", "voice"],
    }
}

/// Checks all known fields of an operation. Of some, `check` knows already.
pub(super) fn check(operation: Operation, known: &Known<'_>, check: Check) -> Result<(), ApiError> {
    if let Some(name) = required(operation).iter().find(|name| !known.has(name)) {
        return Err(missing(name));
    }
    for field in of(operation) {
        if let Some(raw) = known.get(field.name) {
            check.text(field.name, &field.rule, raw).map_err(|e| {
                ApiError::new(ErrorKind::InvalidJson, format!("`{}`: {e}", field.name)).param(field.name)
            })?;
        }
    }
    check.finish().map_err(|fault| match fault.wrong {
        Wrong::Missing => missing(&fault.param),
        Wrong::Value { is, must } => {
            invalid(&fault.param, &format!("is {is}, and must be {must}: correct it, or leave it out"))
        }
    })?;
    // The same names mean other things elsewhere.
    if ANY.contains(&operation) { check_together(known) } else { Ok(()) }
}

/// Rules over more than one field.
fn check_together(known: &Known<'_>) -> Result<(), ApiError> {
    let is_true = |name| known.get_as::<bool>(name) == Some(true);
    let number = |name| known.get_as::<f64>(name);
    if known.has("stream_options") && !is_true("stream") {
        let must = "is only allowed when `stream` is true: set that, or leave it out";
        return Err(invalid("stream_options", must));
    }
    // None at all are wanted by 0.
    if number("top_logprobs").is_some_and(|n| n > 0.0) && !is_true("logprobs") {
        let must = "is only allowed when `logprobs` is true: set that, or leave it out";
        return Err(invalid("top_logprobs", must));
    }
    if let Some(best) = number("best_of")
        && best < number("n").unwrap_or(1.0)
    {
        return Err(invalid("best_of", "is less than `n`: of so many, `n` are to be chosen"));
    }
    Ok(())
}

fn missing(param: &str) -> ApiError {
    let message = format!("Missing required parameter: `{param}`. Add it.");
    ApiError::new(ErrorKind::MissingParameter, message).param(param)
}

fn invalid(param: &str, why: &str) -> ApiError {
    ApiError::new(ErrorKind::InvalidValue, format!("Invalid value: `{param}` {why}.")).param(param)
}
