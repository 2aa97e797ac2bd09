//! Puts a system prompt in front of the messages of every chat; other operations go through as they are. Of the
//! endpoint's configuration:
//!
//! | key | |
//! |---|---|
//! | `system_prompt` | required: its text |
//! | `system_prompt_replaces` | `true` takes out the client's own system and developer messages |

mod messages;

use airlock_adaptor::serde::Deserialize;
use airlock_adaptor::{AdaptorError, EndpointInfo, Operation, Reply, config};
use airlock_middleware::{Call, Middleware};

#[derive(Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Settings {
    system_prompt: String,
    #[serde(default)]
    system_prompt_replaces: bool,
}

struct SystemPrompt;

impl Middleware for SystemPrompt {
    fn validate(endpoint: &mut EndpointInfo) -> Result<(), AdaptorError> {
        let settings: Settings = config(endpoint)?;
        if settings.system_prompt.trim().is_empty() {
            return Err(AdaptorError::invalid_config("system_prompt", "is empty"));
        }
        Ok(())
    }

    fn handle(mut call: Call) -> Result<Reply, AdaptorError> {
        if *call.operation() == Operation::ChatCompletions {
            let settings: Settings = config(&call.endpoint)?;
            let body =
                messages::with_prompt(call.body(), &settings.system_prompt, settings.system_prompt_replaces)
                    .map_err(|why| AdaptorError::bad_request("invalid_json", why))?;
            call.set_body(body);
        }
        call.next()
    }
}

airlock_middleware::export_middleware!(SystemPrompt);
