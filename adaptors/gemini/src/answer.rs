//! An answer of the Gemini API, whole or a piece of a stream, as OpenAI's.

use airlock_adaptor::AdaptorError;
use airlock_adaptor::chat::{Answer, Call, Finish, Usage};
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::serde_json::value::RawValue;
use airlock_adaptor::serde_json::{self, json};

use crate::unreadable;

/// One answer, or one event of a stream.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
pub(crate) struct GenerateContentResponse {
    #[serde(default)]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<PromptFeedback>,
    pub(crate) usage_metadata: Option<Counts>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
pub(crate) struct Candidate {
    #[serde(default)]
    content: Content,
    pub(crate) finish_reason: Option<String>,
    #[serde(default)]
    finish_message: String,
}

#[derive(Default, Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    thought_signature: Option<String>,
    function_call: Option<FunctionCall>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct FunctionCall {
    id: Option<String>,
    name: String,
    args: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

/// Tokens. In streams, each event's replace those before.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(crate = "airlock_adaptor::serde", rename_all = "camelCase", default)]
pub(crate) struct Counts {
    prompt_token_count: u64,
    tool_use_prompt_token_count: u64,
    cached_content_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
}

impl Counts {
    pub(crate) fn usage(self) -> Usage {
        Usage {
            prompt: self.prompt_token_count.saturating_add(self.tool_use_prompt_token_count),
            cached: self.cached_content_token_count,
            completion: self.candidates_token_count.saturating_add(self.thoughts_token_count),
            reasoning: self.thoughts_token_count,
        }
    }
}

/// What a part says.
pub(crate) enum Said {
    Text(String),
    Thought(String),
    Call(Call),
}

impl GenerateContentResponse {
    /// The answer that counts; none where there is no word of one. A prompt that was blocked is an error.
    pub(crate) fn candidate(&mut self) -> Result<Option<Candidate>, AdaptorError> {
        if let Some(reason) =
            self.prompt_feedback.as_ref().and_then(|feedback| feedback.block_reason.as_deref())
        {
            let message = format!("the backend blocked the prompt ({reason})");
            return Err(AdaptorError::bad_request("content_filter", message));
        }
        Ok(self.candidates.drain(..).next())
    }
}

impl Candidate {
    /// What it says, in order.
    pub(crate) fn said(&mut self) -> impl Iterator<Item = Said> + use<> {
        std::mem::take(&mut self.content.parts).into_iter().filter_map(Part::said)
    }

    /// Why it ended, where it did. What the model failed at is an error.
    pub(crate) fn finish(&self, has_calls: bool) -> Result<Option<Finish>, AdaptorError> {
        let Some(reason) = self.finish_reason.as_deref() else { return Ok(None) };
        match reason {
            "STOP" if has_calls => Ok(Some(Finish::ToolCalls)),
            "STOP" => Ok(Some(Finish::Stop)),
            "MAX_TOKENS" => Ok(Some(Finish::Length)),
            "MALFORMED_FUNCTION_CALL"
            | "MALFORMED_RESPONSE"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE" => {
                let message = format!("the model's answer is not usable ({reason}) {}", self.finish_message);
                Err(AdaptorError::bad_upstream("upstream_bad_response", message.trim_end()))
            }
            // SAFETY, RECITATION and their like: the answer was cut because of what it says.
            _ => Ok(Some(Finish::ContentFilter)),
        }
    }
}

impl Part {
    fn said(self) -> Option<Said> {
        if let Some(call) = self.function_call {
            return Some(Said::Call(Call {
                id: call.id,
                name: call.name,
                arguments: call.args.map_or_else(|| "{}".into(), |args| args.get().to_owned()),
                extra: self
                    .thought_signature
                    .map(|signature| json!({ "google": { "thought_signature": signature } })),
            }));
        }
        let text = self.text?;
        Some(if self.thought { Said::Thought(text) } else { Said::Text(text) })
    }
}

/// Understands a complete answer.
pub(crate) fn read(body: &[u8]) -> Result<Answer, AdaptorError> {
    let mut response: GenerateContentResponse = serde_json::from_slice(body).map_err(unreadable)?;
    let mut candidate = response.candidate()?.ok_or_else(|| unreadable("it has no candidates"))?;
    let usage = response.usage_metadata.unwrap_or_default().usage();
    let mut answer = Answer { usage, ..Answer::default() };
    for said in candidate.said() {
        match said {
            Said::Text(text) => answer.text.push_str(&text),
            Said::Thought(text) => answer.reasoning.push_str(&text),
            Said::Call(call) => answer.calls.push(call),
        }
    }
    let finish = candidate.finish(!answer.calls.is_empty())?;
    answer.finish = finish.ok_or_else(|| unreadable("it has no end"))?;
    Ok(answer)
}
