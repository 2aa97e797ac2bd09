//! The one integration binary: a module for each subject.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the functions beside the tests are tests too"
)]

mod budgets;
mod cli;
mod connections;
mod disconnects;
#[cfg(test)]
mod docs;
mod egress;
mod failures;
mod federated;
mod guests;
mod host_interfaces;
mod http2;
mod loader;
mod replies;
mod requests;
mod routes;
mod shutdown;
mod start;
mod streams;
#[cfg(test)]
mod tidy;
