//! Airlock: one OpenAI-compatible API in front of every model backend.
//!
//! A request walks through the rooms in one direction: `api` → `auth` → `routing` → the sandbox (its own
//! crate) → `relay` → `ledger`. `docs/architecture.md` is the map.

pub mod accounts;
pub mod admission;
pub mod api;
pub mod auth;
pub mod batch;
pub mod catalog;
mod chunks;
pub mod cli;
pub mod config;
pub mod demo;
pub mod fixtures;
pub mod gate;
pub mod gateway;
pub mod gauge;
pub mod intake;
pub mod jobs;
pub mod ledger;
pub mod observe;
pub mod process;
pub mod project;
pub mod pulse;
pub mod registry;
pub mod relay;
pub mod routing;
pub mod server;
mod similar;
pub mod store;
pub mod tenants;
pub mod trial;
