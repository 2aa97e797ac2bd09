//! APIs that a backend does not speak, over `chat/completions`, which all of them do: OpenAI's Responses and Anthropic's
//! Messages. The request becomes a chat, and the chat's answer, whole or streamed, becomes one of the client's API.
//!
//! [`DirectApi::run`](crate::direct_api::DirectApi::run) does all of it in one call. Whoever reaches a backend in another
//! way takes a [`Translation`]: nothing in here calls out.
//!
//! ```
//! use airlock_adaptor::serde_json::{Value, from_slice, json};
//! use airlock_adaptor::{Operation, testing::task, translate::Translation};
//!
//! let mut task = task(Operation::Responses, &json!({ "model": "m", "input": "Hello!" }));
//! let translation = Translation::begin(&mut task, &[])?.expect("responses are translated");
//! let chat: Value = from_slice(&task.body).unwrap(); // what the backend is asked
//! assert_eq!(chat["messages"][0], json!({ "role": "user", "content": "Hello!" }));
//!
//! let completion = json!({ "choices": [{ "message": { "content": "Hi." }, "finish_reason": "stop" }] });
//! let answer: Value = from_slice(&translation.answer(completion.to_string().as_bytes())?).unwrap();
//! assert_eq!((&answer["object"], &answer["status"]), (&json!("response"), &json!("completed")));
//! # Ok::<(), airlock_adaptor::AdaptorError>(())
//! ```
//!
//! What a chat cannot say is refused with the field's name, never dropped; each API's table of fields says what becomes of
//! which (`FIELDS` in `responses` and `messages`), and docs/adaptors.md says the same to people.

mod answer;
mod blocks;
mod body;
mod fields;
mod messages;
mod responses;
mod stream;
#[cfg(test)]
mod tests;

use answer::Reader;
use blocks::Writer;
use stream::Translated;

use crate::chat::Head;
use crate::{AdaptorError, EventSource, Operation, Task};

/// A client's request as a chat, and what is needed to make its answer of the chat's.
pub struct Translation {
    reader: Reader,
}

impl Translation {
    /// Makes a chat of a task, in its place; none, and the task as it was, where its operation is none that is
    /// translated. `ignored` are the fields that the operator wants dropped.
    pub fn begin(task: &mut Task, ignored: &[String]) -> Result<Option<Self>, AdaptorError> {
        let head = Head::of(task);
        Self::with_head(task, ignored, head)
    }

    /// The same under a given head.
    fn with_head(task: &mut Task, ignored: &[String], head: Head) -> Result<Option<Self>, AdaptorError> {
        let (body, writer): (_, Box<dyn Writer>) = match task.operation {
            Operation::Responses => {
                let (body, writer) = responses::begin(task, ignored, &head)?;
                (body, Box::new(writer))
            }
            Operation::Messages => {
                let (body, writer) = messages::begin(task, ignored, &head)?;
                (body, Box::new(writer))
            }
            _ => return Ok(None),
        };
        task.operation = Operation::ChatCompletions;
        task.body = body;
        Ok(Some(Self { reader: Reader::new(writer, head) }))
    }

    /// The client's answer, of a complete `chat.completion`.
    pub fn answer(mut self, completion: &[u8]) -> Result<Vec<u8>, AdaptorError> {
        self.reader.read(completion)?;
        self.reader.end()?;
        Ok(self.reader.answer())
    }

    /// The client's events, of those of a chat.
    pub fn events(self, chunks: impl EventSource + 'static) -> impl EventSource + 'static {
        Translated::new(chunks, self.reader)
    }
}

/// The part of an id that differs from one answer to the next.
fn unique(head: &Head) -> &str {
    head.id.trim_start_matches("chatcmpl-")
}
