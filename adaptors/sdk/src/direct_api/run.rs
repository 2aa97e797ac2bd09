//! Runs a task: forwarded where the backend speaks its operation, translated where it does not.

use std::mem;

use super::DirectApi;
use crate::chat::{ANSWER_LIMIT, Failure};
use crate::sse::Events;
use crate::translate::Translation;
use crate::upstream::{Response, is_success, read_all, send};
use crate::{AdaptorError, Operation, Reply, Task, warn};

impl DirectApi<'_> {
    /// Runs a task. What the backend speaks is forwarded, without a look into it; `responses` and `messages` are translated
    /// to a chat where `speaks` of the configuration lists that and not them; anything else is refused.
    pub fn run(&self, mut task: Task) -> Result<Reply, AdaptorError> {
        match self.translation(&mut task)? {
            None => Ok(Reply::Forward(self.request(&task)?)),
            Some(translation) => self.run_translated(&mut task, translation),
        }
    }

    /// None where the task can go as it is.
    pub(super) fn translation(&self, task: &mut Task) -> Result<Option<Translation>, AdaptorError> {
        let Some(spoken) = &self.speaks else { return Ok(None) };
        if spoken.contains(&task.operation) {
            return Ok(None);
        }
        if spoken.contains(&Operation::ChatCompletions)
            && let Some(translation) = Translation::begin(task, &self.ignored_fields)?
        {
            return Ok(Some(translation));
        }
        let spoken: Vec<_> = spoken.iter().map(Operation::path).collect();
        let message = format!(
            "this model's backend takes `{}`, and not `{}`",
            spoken.join("`, `"),
            task.operation.path().escape_debug()
        );
        Err(AdaptorError::bad_request("unsupported_operation", message))
    }

    fn run_translated(&self, task: &mut Task, translation: Translation) -> Result<Reply, AdaptorError> {
        let body = mem::take(&mut task.body);
        let response = send(&self.request_with_body(task, body)?)?;
        if !is_success(&response) {
            return Err(refused(response));
        }
        if task.stream {
            return Ok(Reply::events(translation.events(Events::new(response))));
        }
        Ok(Reply::Body(translation.answer(&read_all(&response, ANSWER_LIMIT)?)?))
    }
}

fn refused(response: Response) -> AdaptorError {
    let failure = Failure::read(response);
    let error = failure.refused();
    if error.code == "upstream_auth_error" {
        warn!("the backend answered {}: {}", failure.status, failure.text());
    }
    error
}
