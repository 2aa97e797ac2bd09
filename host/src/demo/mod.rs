//! The demo model server: a small upstream that speaks OpenAI's API and thinks nothing.
//!
//! `airlock demo` runs it on a loopback port, so that a first try needs no GPU, account or key.
//! Tests use it as a realistic upstream. It is deterministic: the same request gets the same answer,
//! only `created` follows the clock.
//!
//! It is an upstream, not a gateway: it reads what it needs and is lenient with the rest. Strict
//! checks of a client's request are the gateway's work, and a strict upstream would hide a gap there.
//!
//! | file | what it holds |
//! |---|---|
//! | `model_server` | settings, routes, the key check |
//! | `request`, `error` | reading a body, refusing one |
//! | `chat`, `completions`, `embeddings` | one operation each |
//! | `text`, `tools`, `schema` | what the model says, calls, and fills in |
//! | `tokens`, `stream` | counting and cutting, sending piece by piece |

mod chat;
mod completions;
mod embeddings;
mod error;
mod model_server;
mod request;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod text;
mod tokens;
mod tools;

pub use model_server::{ModelServerConfig, serve};
