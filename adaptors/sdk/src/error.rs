//! Constructors for the error that a client or an operator is told about.

use std::fmt;

use crate::AdaptorError;

/// The code of an error in an endpoint's or a cluster's configuration.
const INVALID_CONFIG: &str = "invalid_config";

impl AdaptorError {
    /// An error with a status of 400 to 599, a machine-readable code and a sentence for a person.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), retry_after_ms: None }
    }

    /// The configuration is wrong at `key`; `why` says what is wrong and what to write instead.
    pub fn invalid_config(key: &str, why: impl fmt::Display) -> Self {
        Self::new(400, INVALID_CONFIG, format!("config key `{key}`: {why}"))
    }

    /// The client's request cannot be served as it is.
    pub fn bad_request(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// The backend answered with something that is not what its API promises.
    pub fn bad_upstream(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(502, code, message)
    }

    /// The backend cannot serve the request now.
    pub fn unavailable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(503, code, message)
    }

    /// The same error, with advice on when to try again.
    #[must_use]
    pub fn retry_after(mut self, milliseconds: u32) -> Self {
        self.retry_after_ms = Some(milliseconds);
        self
    }

    /// An error in the configuration is the operator's while a task runs, not the client's.
    pub(crate) fn at_run_time(mut self) -> Self {
        if self.code == INVALID_CONFIG {
            self.status = 500;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_error_is_the_clients_fault_nowhere() {
        let error = AdaptorError::invalid_config("api_url", "is missing");
        assert_eq!((error.status, error.message.as_str()), (400, "config key `api_url`: is missing"));
        assert_eq!(error.at_run_time().status, 500);
        assert_eq!(AdaptorError::bad_request("x", "y").at_run_time().status, 400);
    }

    #[test]
    fn advice_on_a_retry_is_kept() {
        assert_eq!(AdaptorError::unavailable("busy", "wait").retry_after(1500).retry_after_ms, Some(1500));
    }
}
