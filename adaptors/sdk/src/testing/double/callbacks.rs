//! `callbacks`, of a gateway whose operator has set no address for them: nobody can call a test back.

pub use crate::bindings::imports::airlock::adaptor::callbacks::{Address, Message};

use crate::AdaptorError;

/// An inbox that no test gets.
#[derive(Debug)]
pub struct Inbox(Never);

#[derive(Debug, Clone, Copy)]
enum Never {}

impl Inbox {
    /// Fails with `callbacks_unavailable`.
    pub fn open() -> Result<Self, AdaptorError> {
        let message = "nobody calls back in native tests: test the component with `airlock adaptor test`";
        Err(AdaptorError::unavailable("callbacks_unavailable", message))
    }

    /// Its address.
    pub fn address(&self) -> Address {
        match self.0 {}
    }

    /// The next message.
    pub fn receive(&self, _timeout_ms: u32) -> Result<Option<Message>, AdaptorError> {
        match self.0 {}
    }
}
