//! What requests have to look like: rules, the walk that holds a body against them, and what OpenAI documents in them.

mod chat;
mod rule;
mod shown;
mod walk;

pub(super) use chat::{
    AUDIO, FUNCTION_CALL, FUNCTIONS, LOGIT_BIAS, MESSAGES, METADATA, PREDICTION, RESPONSE_FORMAT, STOP,
    STREAM_OPTIONS, TEXTS, TOOL_CHOICE, TOOLS, VOICE,
};
pub(super) use rule::{Form, Kinds, NAME, Rule};
pub(super) use walk::{Check, Found, Wrong};
