//! The one integration binary: a module for each subject.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the functions beside the tests are tests too"
)]

mod absent;
mod addresses;
mod admin;
mod ahead;
mod audio;
#[cfg(test)]
mod backends;
mod backups;
mod batches;
mod bodies;
mod budgets;
mod chains;
mod cli;
mod cli_data;
mod cli_remote;
mod coalescing;
mod compile;
mod compressed;
mod connections;
mod crash_gateway;
mod crash_safety;
mod credentials;
mod custom_adaptors;
mod deployment;
mod disconnects;
#[cfg(test)]
mod docs;
mod egress;
mod failover;
mod failures;
mod federated;
mod first_routes;
mod forms;
mod fuzz;
mod gate;
mod globus;
mod globus_auth;
mod globus_streams;
mod guests;
mod heads;
mod host_interfaces;
mod hostile_components;
mod hostile_forms;
mod hostile_io;
mod hostile_payloads;
mod hostile_requests;
mod hostile_resources;
mod hostile_upstreams;
mod http2;
mod identity;
mod inspect;
mod introspection;
mod js_adaptors;
mod js_engine;
mod keys;
mod lanes;
mod leaks;
mod ledger;
mod limits;
mod limits_days;
mod limits_redis;
mod limits_settled;
mod loader;
mod members;
mod metis;
mod metrics;
mod metrics_counted;
mod middlewares;
mod oauth;
mod oidc_provider;
mod openai_models;
mod openapi;
mod operations;
mod outages;
mod panics;
mod porting;
mod process;
mod projects;
mod pulls;
mod python_adaptors;
mod python_sandbox;
mod quotas;
mod recordings;
mod reload;
mod replies;
mod requests;
mod rotation;
mod routes;
mod routing;
mod runs;
mod shutdown;
mod signatures;
mod silences;
mod stalls;
mod start;
mod store;
mod streams;
mod telemetry;
mod tenants;
#[cfg(test)]
mod tidy;
mod told;
mod translations;
mod unattended;
mod upload_limits;
mod uploads;
mod usage_reports;
