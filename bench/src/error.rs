//! Errors of this tool: text for whoever runs it, with what to do about it.

use std::error::Error;

/// The result of anything here that can go wrong.
pub type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Says what was being done when an error struck.
pub trait Context<T> {
    /// Puts `what` before the error's own text.
    fn context(self, what: impl FnOnce() -> String) -> Fallible<T>;
}

impl<T, E: std::fmt::Display> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Fallible<T> {
        self.map_err(|error| format!("{}: {error}", what()).into())
    }
}
