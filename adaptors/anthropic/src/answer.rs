//! A complete answer of the Messages API as OpenAI's.

use airlock_adaptor::chat::{Answer, Call, Finish, Usage};
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::serde_json::value::RawValue;
use airlock_adaptor::{AdaptorError, serde_json};

use crate::unreadable;

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Message {
    content: Vec<Block>,
    stop_reason: Option<String>,
    usage: Counts,
}

/// A block of an answer, as far as it is known: `text`, `thinking` or `tool_use`. Others are skipped.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    input: Option<Box<RawValue>>,
}

/// Tokens as the API counts them: those of the prompt in three disjoint parts. In streams, each count replaces an
/// earlier one.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
pub(crate) struct Counts {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Details {
    thinking_tokens: Option<u64>,
}

impl Counts {
    /// These counts, and `earlier` ones where these say nothing.
    pub(crate) fn or(self, earlier: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.or(earlier.input_tokens),
            cache_creation_input_tokens: self
                .cache_creation_input_tokens
                .or(earlier.cache_creation_input_tokens),
            cache_read_input_tokens: self.cache_read_input_tokens.or(earlier.cache_read_input_tokens),
            output_tokens: self.output_tokens.or(earlier.output_tokens),
            output_tokens_details: self.output_tokens_details.or(earlier.output_tokens_details),
        }
    }

    pub(crate) fn usage(self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let parts = [self.input_tokens, self.cache_creation_input_tokens, Some(cached)];
        Usage {
            prompt: parts.into_iter().flatten().fold(0, u64::saturating_add),
            cached,
            completion: self.output_tokens.unwrap_or(0),
            reasoning: self.output_tokens_details.and_then(|details| details.thinking_tokens).unwrap_or(0),
        }
    }
}

/// Understands a complete answer.
pub(crate) fn read(body: &[u8]) -> Result<Answer, AdaptorError> {
    let message: Message = serde_json::from_slice(body).map_err(unreadable)?;
    let mut answer = Answer {
        finish: finish(message.stop_reason.as_deref()),
        usage: message.usage.usage(),
        ..Answer::default()
    };
    for block in message.content {
        match block.kind.as_str() {
            "text" => answer.text.push_str(&block.text),
            "thinking" => answer.reasoning.push_str(&block.thinking),
            "tool_use" => answer.calls.push(Call {
                id: Some(block.id),
                name: block.name,
                arguments: block.input.map_or_else(|| "{}".into(), |input| input.get().to_owned()),
                extra: None,
            }),
            _ => {}
        }
    }
    Ok(answer)
}

/// OpenAI's word for a `stop_reason`.
pub(crate) fn finish(reason: Option<&str>) -> Finish {
    match reason {
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("tool_use") => Finish::ToolCalls,
        Some("refusal") => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}
