//! OpenAI's chat, for backends that speak something else: the request as typed values, and answers and chunks to write.
//!
//! An adaptor says in a [`Backend`] what its API looks like; [`Chat`] makes an endpoint adaptor of it. What the client
//! may ask for, which of it is refused and which is dropped, is decided in one place ([`request`]).

mod adaptor;
mod answer;
mod chunks;
mod failure;
#[cfg(any(test, feature = "golden"))]
pub mod golden;
mod image;
mod messages;
pub mod request;
mod stream;
mod text;
mod tools;

pub(crate) use adaptor::ANSWER_LIMIT;
pub use adaptor::{Backend, Chat, Outgoing};
pub use answer::{Answer, Call, Finish, Head, Usage};
pub use chunks::Chunks;
pub use failure::{Failure, refusal};
pub use image::Image;
pub use messages::{Part, Role, Turn};
pub use request::{ChatRequest, Format, JsonSchema, unsupported};
pub use stream::{Decode, HandleEvent, Sse};
pub use text::Text;
pub(crate) use tools::tool_choice;
pub use tools::{Tool, ToolChoice};
