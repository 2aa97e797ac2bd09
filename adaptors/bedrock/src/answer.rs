//! A complete answer of the Converse API as OpenAI's.

use airlock_adaptor::chat::{Answer, Call, Finish, Usage};
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::serde_json::value::RawValue;
use airlock_adaptor::{AdaptorError, serde_json};

use crate::unreadable;

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct ConverseResponse {
    output: Output,
    stop_reason: String,
    usage: TokenUsage,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Output {
    message: Message,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Message {
    content: Vec<Block>,
}

/// A block of an answer: one of these is there, or one that is not known.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct Block {
    text: Option<String>,
    tool_use: Option<ToolUse>,
    reasoning_content: Option<ReasoningContent>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct ToolUse {
    tool_use_id: String,
    name: String,
    input: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct ReasoningContent {
    reasoning_text: Option<ReasoningText>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct ReasoningText {
    text: String,
}

/// Tokens as the API counts them: those of the prompt in three disjoint parts.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
pub(crate) struct TokenUsage {
    input_tokens: u64,
    output_tokens: u64,
    #[serde(default)]
    cache_read_input_tokens: u64,
    #[serde(default)]
    cache_write_input_tokens: u64,
}

impl TokenUsage {
    pub(crate) fn usage(self) -> Usage {
        let parts = [self.input_tokens, self.cache_read_input_tokens, self.cache_write_input_tokens];
        Usage {
            prompt: parts.into_iter().fold(0, u64::saturating_add),
            cached: self.cache_read_input_tokens,
            completion: self.output_tokens,
            reasoning: 0,
        }
    }
}

/// Understands a complete answer.
pub(crate) fn read(body: &[u8]) -> Result<Answer, AdaptorError> {
    let response: ConverseResponse = serde_json::from_slice(body).map_err(unreadable)?;
    let mut answer =
        Answer { finish: finish(&response.stop_reason)?, usage: response.usage.usage(), ..Answer::default() };
    for block in response.output.message.content {
        answer.text.push_str(block.text.as_deref().unwrap_or_default());
        if let Some(thought) = block.reasoning_content.and_then(|content| content.reasoning_text) {
            answer.reasoning.push_str(&thought.text);
        }
        if let Some(call) = block.tool_use {
            answer.calls.push(Call {
                id: Some(call.tool_use_id),
                name: call.name,
                arguments: call.input.map_or_else(|| "{}".into(), |input| input.get().to_owned()),
                extra: None,
            });
        }
    }
    Ok(answer)
}

/// OpenAI's word for a `stopReason`. What the model failed at is an error.
pub(crate) fn finish(reason: &str) -> Result<Finish, AdaptorError> {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Ok(Finish::Length),
        "tool_use" => Ok(Finish::ToolCalls),
        "guardrail_intervened" | "content_filtered" => Ok(Finish::ContentFilter),
        "malformed_model_output" | "malformed_tool_use" => {
            let message = format!("the model's answer is not usable ({reason})");
            Err(AdaptorError::bad_upstream("upstream_bad_response", message))
        }
        _ => Ok(Finish::Stop),
    }
}
