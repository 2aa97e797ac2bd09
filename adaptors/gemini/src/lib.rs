//! Runs chats on Google's Gemini API, whole and streamed, with tools and images.
//!
//! Beside the direct API's configuration there is `include_thoughts`: `true` asks for summaries of the model's thoughts.

mod answer;
mod refusal;
mod request;
mod stream;

use airlock_adaptor::chat::{Answer, Backend, Chat, ChatRequest, Failure, Outgoing, Sse};
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, EndpointInfo, config};

struct Gemini {
    /// The model's path, for example `models/gemini-flash`.
    model: String,
    include_thoughts: bool,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Settings {
    #[serde(default)]
    include_thoughts: bool,
}

impl Backend for Gemini {
    const CARRIED: &'static [&'static str] =
        &["top_k", "seed", "presence_penalty", "frequency_penalty", "reasoning_effort"];
    type Stream = Sse<stream::Responses>;

    fn new(endpoint: &EndpointInfo) -> Result<Self, AdaptorError> {
        let Settings { include_thoughts } = config(endpoint)?;
        Ok(Self { model: request::model_path(&endpoint.model), include_thoughts })
    }

    fn request(&self, chat: &ChatRequest<'_>, stream: bool) -> Result<Outgoing, AdaptorError> {
        let body = request::body(chat, self.include_thoughts)?;
        let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        Ok(Outgoing { path: format!("{}:{method}", self.model), headers: Vec::new(), body })
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, AdaptorError> {
        answer::read(body)
    }

    fn stream(&self) -> Self::Stream {
        Sse::new(stream::Responses::default())
    }

    fn refused(&self, failure: &Failure) -> AdaptorError {
        refusal::read(failure)
    }
}

/// The backend's answer is not what its API promises.
fn unreadable(error: impl std::fmt::Display) -> AdaptorError {
    let message = format!("the backend's answer is not one of the Gemini API: {error}");
    AdaptorError::bad_upstream("upstream_bad_response", message)
}

airlock_adaptor::export_endpoint!(Chat<Gemini>);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use airlock_adaptor::chat::golden;
    use airlock_adaptor::serde_json::json;

    use super::*;

    #[test]
    fn golden_cases_come_out_as_they_are_written() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let url = "https://generativelanguage.googleapis.com/v1beta";
        let cases = golden::check::<Gemini>(&folder, &json!({ "api_url": url }));
        assert!(cases >= 20, "{cases}");
    }
}
