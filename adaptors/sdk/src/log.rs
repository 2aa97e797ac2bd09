//! Lines for the operator's log. The host adds tenant, adaptor and request id, and never shows them
//! to a client; still, keep prompts and answers out.
//!
//! ```
//! use airlock_adaptor::{info, testing::{Answer, Backend}};
//!
//! let backend = Backend::new(|_| Answer::unreachable());
//! backend.within(|| info!("the model {} is {}", "m", "running"));
//! assert_eq!(backend.log()[0].1, "the model m is running");
//! ```

use std::fmt;

pub use crate::calls::logging::{Level, log};

/// Writes one line from the arguments of `format!`. The macros below are shorter.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(text) => log(level, text),
        None => log(level, &message.to_string()),
    }
}

/// Logs at level trace, with the arguments of `format!`.
#[macro_export]
macro_rules! trace {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Trace, ::core::format_args!($($arg)*)) };
}

/// Logs at level debug, with the arguments of `format!`.
#[macro_export]
macro_rules! debug {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Debug, ::core::format_args!($($arg)*)) };
}

/// Logs at level info, with the arguments of `format!`.
#[macro_export]
macro_rules! info {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Info, ::core::format_args!($($arg)*)) };
}

/// Logs at level warn, with the arguments of `format!`.
#[macro_export]
macro_rules! warn {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Warn, ::core::format_args!($($arg)*)) };
}

/// Logs at level error, with the arguments of `format!`.
#[macro_export]
macro_rules! error {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Error, ::core::format_args!($($arg)*)) };
}
