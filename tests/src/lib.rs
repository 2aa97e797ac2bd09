//! The test kit: a gateway on port 0 in the test's process, fake backends from closures, guests by name.
//!
//! Nothing here sleeps to wait for something: ends are signalled, gauges are watched.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a kit for tests fails at the line that is wrong"
)]

mod admin;
mod answer;
mod aws;
mod binary;
pub mod crash;
mod database;
mod feed;
mod forms;
pub mod fuzz;
mod gateway;
mod globus;
mod heavy;
mod hostile;
mod issuer;
mod lab;
mod ledger;
mod logs;
pub mod oci;
mod oidc;
mod packing;
pub mod postgres;
mod process;
mod promtool;
mod python;
mod redis;
mod run;
mod tls;
mod upstream;
mod wait;
pub mod world;

use std::path::PathBuf;

pub use admin::{Person, tenant_cluster, tenant_endpoint};
pub use answer::{completion, error, events, stream_error};
pub use aws::{AWS_KEYS, verify_aws};
pub use binary::{Airlock, Finished, binary as binary_path};
pub use database::Database;
pub use feed::{Feed, FeedStream, Gate, feed};
pub use forms::{FORM_END, FORM_FILE, FORM_MODEL, FORM_TYPE, FORMS, Tap, fed_form, form_model};
pub use gateway::{GatewayBuilder, TestGateway, chat_body, least_body};
pub use globus::{FakeGlobus, Work};
pub use heavy::heavy;
pub use hostile::chat_with;
pub use issuer::{AUDIENCE, FakeIssuer, SigningKey, unix_now, unsigned};
pub use lab::{Lab, Names, chat_task, compiler};
pub use ledger::Recorder;
pub use logs::{Line, log_has, log_of, logs};
pub use oci::OciRegistry;
pub use oidc::OidcProvider;
pub use packing::{CODINGS, coded, packed};
pub use postgres::PostgresServer;
pub use process::GatewayProcess;
pub use promtool::promtool;
pub use python::{python, python_example, python_guest};
pub use redis::RedisServer;
pub use run::Desk;
pub use tls::Authority;
pub use upstream::{Body, RawUpstream, Seen, Upstream, bytes, chunks, json, refused_address, sse};
pub use wait::{eventually, until, within};

/// The folder that `./just build-guests` and `build-adaptors` write to: beside the profile's folder.
pub fn target_dir() -> PathBuf {
    let test = std::env::current_exe().unwrap(); // target/debug/deps/it-…
    test.ancestors().nth(3).unwrap().to_path_buf()
}

/// The component of a test guest.
pub fn guest(name: &str) -> PathBuf {
    built("guests", name)
}

/// The component of a bundled adaptor.
pub fn adaptor(name: &str) -> PathBuf {
    built("adaptors", name)
}

/// The component of an example adaptor.
pub fn example(name: &str) -> PathBuf {
    built("examples", name)
}

fn built(folder: &str, name: &str) -> PathBuf {
    let path = target_dir().join(folder).join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run `./just build-adaptors build-guests`", path.display());
    path
}
