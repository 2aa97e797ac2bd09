//! Runs a task: forwarded where the backend speaks its operation, translated where it does not.

use std::mem;

use super::DirectApi;
use crate::chat::{ANSWER_LIMIT, Failure};
use crate::sse::Events;
use crate::translate::Translation;
use crate::upstream::{Response, is_success, read_all, send};
use crate::{AdaptorError, Operation, Reply, Task, warn};

impl DirectApi<'_> {
    /// Runs a task. What the backend speaks is forwarded, without a look into it; `responses` and `messages` are
    /// translated to a chat where `speaks` of the configuration lists that and not them; anything else is refused.
    pub fn run(&self, mut task: Task) -> Result<Reply, AdaptorError> {
        match self.translation(&mut task)? {
            None => Ok(Reply::Forward(self.request(&task)?)),
            Some(translation) => self.run_translated(&mut task, translation),
        }
    }

    /// None where the task goes as it is, or not at all.
    pub(super) fn translation(&self, task: &mut Task) -> Result<Option<Translation>, AdaptorError> {
        if self.speaks(&task.operation) || !self.speaks(&Operation::ChatCompletions) {
            return Ok(None);
        }
        Translation::begin(task, &self.ignored_fields)
    }

    fn speaks(&self, operation: &Operation) -> bool {
        self.spoken.as_ref().is_none_or(|spoken| spoken.contains(operation))
    }

    /// Refuses what the backend does not speak.
    pub(super) fn check_spoken(&self, operation: &Operation) -> Result<(), AdaptorError> {
        let Some(spoken) = self.spoken.as_ref().filter(|_| !self.speaks(operation)) else { return Ok(()) };
        let spoken: Vec<_> = spoken.iter().map(Operation::path).collect();
        let message = format!(
            "this model's backend takes `{}`, and not `{}`",
            spoken.join("`, `"),
            operation.path().escape_debug()
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
