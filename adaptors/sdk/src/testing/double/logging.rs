//! `logging`, into a list.

use super::super::state::find;
pub use crate::bindings::imports::airlock::adaptor::logging::Level;

/// Keeps a line, where somebody will look at it.
pub fn log(level: Level, message: &str) {
    if let Some(state) = find() {
        state.log.borrow_mut().push((level, message.to_owned()));
    }
}
