//! A stream of the Gemini API as OpenAI's chunks.

use airlock_adaptor::chat::{Chunks, Finish, HandleEvent};
use airlock_adaptor::sse::Event;
use airlock_adaptor::{AdaptorError, serde_json};

use crate::answer::{Counts, GenerateContentResponse, Said};
use crate::refusal::Refused;
use crate::unreadable;

/// What is known of the answer so far. Its end is the end of the bytes: tokens may follow the reason.
#[derive(Default)]
pub(crate) struct Responses {
    counts: Counts,
    finish: Option<Finish>,
}

impl HandleEvent for Responses {
    fn event(&mut self, event: &Event, chunks: &mut Chunks) -> Result<(), AdaptorError> {
        if let Ok(refused) = serde_json::from_slice::<Refused>(&event.data) {
            return Err(refused.into_error());
        }
        let mut response: GenerateContentResponse =
            serde_json::from_slice(&event.data).map_err(unreadable)?;
        if let Some(counts) = response.usage_metadata {
            self.counts = counts;
        }
        let Some(mut candidate) = response.candidate()? else { return Ok(()) };
        for said in candidate.said() {
            match said {
                Said::Text(text) => chunks.text(&text),
                Said::Thought(text) => chunks.reasoning(&text),
                Said::Call(call) => drop(chunks.call(&call)),
            }
        }
        self.finish = candidate.finish(chunks.has_calls())?.or(self.finish);
        Ok(())
    }

    fn end(&mut self, chunks: &mut Chunks) -> Result<(), AdaptorError> {
        let finish = self.finish.ok_or_else(|| unreadable("the stream broke off before `finishReason`"))?;
        chunks.finish(finish);
        chunks.usage(self.counts.usage());
        Ok(())
    }

    fn is_over(&self) -> bool {
        false
    }
}
