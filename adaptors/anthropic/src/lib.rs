//! Runs chats on Anthropic's Messages API, whole and streamed, with tools and images.
//!
//! Beside the direct API's configuration there is `default_max_tokens`, for clients that do not say how long an answer
//! may be: the API wants to know.

mod answer;
mod request;
mod stream;

use airlock_adaptor::chat::{Answer, Backend, Chat, ChatRequest, Failure, Outgoing, Sse, refusal};
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, EndpointInfo, config, serde_json};

/// The version of the API that this is written for.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// How long an answer may be where neither client nor configuration says, in tokens.
const DEFAULT_MAX_TOKENS: u64 = 4096;

struct Anthropic {
    model: String,
    default_max_tokens: u64,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Settings {
    default_max_tokens: Option<u64>,
}

impl Backend for Anthropic {
    const CARRIED: &'static [&'static str] = &["top_k", "reasoning_effort"];
    type Stream = Sse<stream::Messages>;

    fn new(endpoint: &EndpointInfo) -> Result<Self, AdaptorError> {
        let Settings { default_max_tokens } = config(endpoint)?;
        let default_max_tokens = default_max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
        if default_max_tokens == 0 {
            return Err(AdaptorError::invalid_config("default_max_tokens", "must be at least 1"));
        }
        Ok(Self { model: endpoint.model.clone(), default_max_tokens })
    }

    fn request(&self, chat: &ChatRequest<'_>, stream: bool) -> Result<Outgoing, AdaptorError> {
        let body = request::body(&self.model, self.default_max_tokens, chat, stream)?;
        Ok(Outgoing { path: "messages".into(), headers: vec![VERSION], body })
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, AdaptorError> {
        answer::read(body)
    }

    fn stream(&self) -> Self::Stream {
        Sse::new(stream::Messages::default())
    }

    fn refused(&self, failure: &Failure) -> AdaptorError {
        let error = serde_json::from_slice::<Refused>(&failure.body).ok().map(|refused| refused.error);
        let message = error.map_or_else(|| failure.text(), |error| error.message);
        AdaptorError { retry_after_ms: failure.retry_after_ms(), ..refusal(failure.status, &message) }
    }
}

/// The body of a refusal, and the payload of an `error` event.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Refused {
    error: ApiError,
}

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct ApiError {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

impl ApiError {
    /// The error of a stream that has begun, for which there is no status any more.
    fn in_stream(&self) -> AdaptorError {
        let status = match self.kind.as_str() {
            "invalid_request_error" => 400,
            "authentication_error" => 401,
            "billing_error" => 402,
            "permission_error" => 403,
            "not_found_error" => 404,
            "request_too_large" => 413,
            "rate_limit_error" => 429,
            "timeout_error" => 504,
            "overloaded_error" => 529,
            _ => 500,
        };
        refusal(status, &self.message)
    }
}

/// The backend's answer is not what its API promises.
fn unreadable(error: impl std::fmt::Display) -> AdaptorError {
    let message = format!("the backend's answer is not one of the Messages API: {error}");
    AdaptorError::bad_upstream("upstream_bad_response", message)
}

airlock_adaptor::export_endpoint!(Chat<Anthropic>);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use airlock_adaptor::EndpointAdaptor as _;
    use airlock_adaptor::chat::golden;
    use airlock_adaptor::serde_json::{Value, json};

    use super::*;

    #[test]
    fn golden_cases_come_out_as_they_are_written() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let cases =
            golden::check::<Anthropic>(&folder, &json!({ "api_url": "https://api.anthropic.com/v1" }));
        assert!(cases >= 20, "{cases}");
    }

    #[test]
    fn a_mistake_in_the_configuration_names_its_key() {
        let validate = |config: Value| {
            let text = String::new;
            let config = config.to_string();
            let endpoint =
                EndpointInfo { slug: text(), cluster: text(), framework: text(), model: text(), config };
            Chat::<Anthropic>::validate(&endpoint).map_err(|error| error.message)
        };
        let url = "https://api.anthropic.com/v1";
        assert_eq!(validate(json!({ "api_url": url, "default_max_tokens": 5 })), Ok(()));
        for (config, key) in [
            (json!({}), "api_url"),
            (json!({ "api_url": url, "default_max_tokens": 0 }), "default_max_tokens"),
            (json!({ "api_url": url, "default_max_tokens": "x" }), "default_max_tokens"),
            (json!({ "api_url": url, "ignored_fields": "n" }), "ignored_fields"),
            (json!({ "api_url": url, "extra_headers": { "x-api-key": "k" } }), "extra_headers"),
        ] {
            let message = validate(config).unwrap_err();
            assert!(message.contains(&format!("`{key}`")), "{message}");
        }
    }
}
