//! Runs chats on the Converse API of Amazon Bedrock, whole and streamed, with tools and images.
//!
//! The gateway signs the requests: `aws_region` and the names of the key's variables are its own part of the
//! configuration, and this adaptor sees no key.

mod answer;
mod frames;
mod request;
mod stream;

use airlock_adaptor::chat::{Answer, Backend, Chat, ChatRequest, Failure, Outgoing, refusal};
use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, EndpointInfo, config, serde_json};

struct Bedrock {
    /// The model's id, an inference profile's, or an ARN, as a part of a path.
    model: String,
}

/// What the gateway reads too: it makes the URL from the region.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Settings {
    aws_region: Option<String>,
    api_url: Option<String>,
}

impl Backend for Bedrock {
    const CARRIED: &'static [&'static str] = &["reasoning_effort"];
    type Stream = stream::Converse;

    fn new(endpoint: &EndpointInfo) -> Result<Self, AdaptorError> {
        let settings: Settings = config(endpoint)?;
        if settings.aws_region.is_none() && settings.api_url.is_none() {
            return Err(AdaptorError::invalid_config(
                "aws_region",
                "is missing: name the region of the models",
            ));
        }
        Ok(Self { model: request::path_part(&endpoint.model) })
    }

    fn request(&self, chat: &ChatRequest<'_>, stream: bool) -> Result<Outgoing, AdaptorError> {
        let method = if stream { "converse-stream" } else { "converse" };
        let path = format!("model/{}/{method}", self.model);
        Ok(Outgoing { path, headers: Vec::new(), body: request::body(chat)? })
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, AdaptorError> {
        answer::read(body)
    }

    fn stream(&self) -> Self::Stream {
        stream::Converse::default()
    }

    fn refused(&self, failure: &Failure) -> AdaptorError {
        // `ThrottlingException:http://internal.amazon.com/…`, at times.
        let kind = failure.header("x-amzn-errortype").unwrap_or_default();
        let kind = kind.split(':').next().unwrap_or_default();
        let told = serde_json::from_slice::<Told>(&failure.body).ok().and_then(|told| told.message);
        let message = told.unwrap_or_else(|| failure.text());
        let status = exception_status(kind).unwrap_or(failure.status);
        AdaptorError { retry_after_ms: failure.retry_after_ms(), ..refusal(status, &message) }
    }
}

/// The body of a refusal, and the payload of an exception inside a stream.
#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Told {
    #[serde(alias = "Message")]
    message: Option<String>,
}

/// The status of an exception by its name. Names are told in both spellings, as types and as members of a stream. A
/// model that is not ready yet comes with 429 and is no matter of rates.
fn exception_status(name: &str) -> Option<u16> {
    Some(match name.to_ascii_lowercase().as_str() {
        "validationexception" => 400,
        "accessdeniedexception" => 403,
        "resourcenotfoundexception" => 404,
        "modeltimeoutexception" => 408,
        "modelerrorexception" | "modelstreamerrorexception" => 424,
        "throttlingexception" => 429,
        "internalserverexception" => 500,
        "serviceunavailableexception" | "modelnotreadyexception" => 503,
        _ => return None,
    })
}

/// The backend's answer is not what its API promises.
fn unreadable(error: impl std::fmt::Display) -> AdaptorError {
    let message = format!("the backend's answer is not one of the Converse API: {error}");
    AdaptorError::bad_upstream("upstream_bad_response", message)
}

airlock_adaptor::export_endpoint!(Chat<Bedrock>);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use airlock_adaptor::EndpointAdaptor as _;
    use airlock_adaptor::chat::golden;
    use airlock_adaptor::serde_json::json;

    use super::*;

    #[test]
    fn golden_cases_come_out_as_they_are_written() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let url = "https://bedrock-runtime.us-east-1.amazonaws.com";
        let cases = golden::check::<Bedrock>(&folder, &json!({ "api_url": url }));
        assert!(cases >= 20, "{cases}");
    }

    #[test]
    fn without_a_region_there_is_no_url() {
        let text = String::new;
        let config = "{}".to_owned();
        let endpoint =
            EndpointInfo { slug: text(), cluster: text(), framework: text(), model: text(), config };
        let message = Chat::<Bedrock>::validate(&endpoint).unwrap_err().message;
        assert!(message.starts_with("config key `aws_region`: is missing"), "{message}");
    }
}
