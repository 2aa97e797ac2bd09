//! OpenAI's API.

mod course;
mod fields;
mod form;
mod further;
mod models;
mod request;
mod schema;
mod tasks;
mod unknown;
mod validation;

use airlock_sandbox::Operation;

use super::openapi::Api;

pub use request::ParsedRequest;
pub(super) use schema::request as request_schema;

/// All of it, below `base`.
pub(super) fn routes(api: Api, base: &str) -> Api {
    Operation::ALL
        .into_iter()
        .fold(models::routes(api, base), |api, operation| tasks::route(api, base, operation))
}
