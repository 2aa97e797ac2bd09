//! Blocks prompts, or takes something out of them, by regular expressions. It looks at every text of the request's
//! body: messages, prompts, inputs, tools; `text.rs` says what is no text. Of the endpoint's configuration:
//!
//! | key | |
//! |---|---|
//! | `prompt_block` | a list of expressions: a request with a match is refused with 400 `prompt_blocked` |
//! | `prompt_redact` | a list of expressions: each match is replaced |
//! | `prompt_redaction` | what takes its place; `[redacted]` |
//!
//! Forms are refused with 400 `prompt_unchecked`: no adaptor sees what is in them.
//!
//! Expressions are those of the crate `regex-lite`, `(?i)` and the like included. Their time grows with the text
//! alone. A match that is spread over two texts is not found.

mod policy;
mod text;

use airlock_adaptor::{AdaptorError, EndpointInfo, Reply, config};
use airlock_middleware::{Call, Middleware};
use policy::{Policy, Verdict};

struct PromptPolicy;

impl Middleware for PromptPolicy {
    fn validate(endpoint: &mut EndpointInfo) -> Result<(), AdaptorError> {
        Policy::new(config(endpoint)?).map(drop)
    }

    fn handle(mut call: Call) -> Result<Reply, AdaptorError> {
        if call.operation().takes_form() {
            let why = "Prompts are checked here, and those of forms cannot be: ask another model.";
            return Err(AdaptorError::bad_request("prompt_unchecked", why));
        }
        match Policy::new(config(&call.endpoint)?)?.judge(call.body())? {
            Verdict::Fine => {}
            Verdict::Changed(body) => call.set_body(body),
        }
        call.next()
    }
}

airlock_middleware::export_middleware!(PromptPolicy);
