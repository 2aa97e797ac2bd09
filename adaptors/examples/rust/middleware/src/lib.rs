//! Stands in front of another adaptor: refuses chats that hold a word, and puts a system prompt before all others.

use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::serde_json::{self, Value, json};
use airlock_adaptor::{AdaptorError, EndpointInfo, Operation, Reply, config};
use airlock_middleware::{Call, Middleware};

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Config {
    refused_word: String,
    #[serde(default = "polite")]
    system_prompt: String,
}

fn polite() -> String {
    "Be polite.".to_owned()
}

struct CustomMiddleware;

impl Middleware for CustomMiddleware {
    fn validate(endpoint: &mut EndpointInfo) -> Result<(), AdaptorError> {
        config::<Config>(endpoint).map(drop)
    }

    fn handle(mut call: Call) -> Result<Reply, AdaptorError> {
        if *call.operation() == Operation::ChatCompletions {
            let Config { refused_word, system_prompt } = config(&call.endpoint)?;
            let mut body: Value = serde_json::from_slice(call.body())
                .map_err(|error| AdaptorError::bad_request("invalid_json", error.to_string()))?;
            if let Some(Value::Array(messages)) = body.get_mut("messages") {
                if messages.iter().any(|message| message.to_string().contains(&refused_word)) {
                    let why = "the chat holds a word that is refused";
                    return Err(AdaptorError::bad_request("word_refused", why));
                }
                messages.insert(0, json!({ "role": "system", "content": system_prompt }));
            }
            call.set_body(body.to_string().into_bytes());
        }
        call.next()
    }
}

airlock_middleware::export_middleware!(CustomMiddleware);

#[cfg(test)]
mod tests;
