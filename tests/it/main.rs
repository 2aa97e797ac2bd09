//! The one integration binary: a module for each subject.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the functions beside the tests are tests too"
)]

mod addresses;
mod budgets;
mod cli;
mod compile;
mod connections;
mod custom_adaptors;
mod disconnects;
#[cfg(test)]
mod docs;
mod egress;
mod failures;
mod federated;
mod fuzz;
mod guests;
mod host_interfaces;
mod hostile_components;
mod hostile_io;
mod hostile_payloads;
mod hostile_requests;
mod hostile_resources;
mod hostile_upstreams;
mod http2;
mod lanes;
mod leaks;
mod loader;
mod metis;
mod metrics;
mod openai_models;
mod panics;
mod process;
mod replies;
mod requests;
mod routes;
mod shutdown;
mod stalls;
mod start;
mod streams;
mod tenants;
#[cfg(test)]
mod tidy;
