//! `/admin/v1`: what tenants have. JSON in and out, one shape for all kinds of things, errors as everywhere.

mod access;
mod adaptor_routes;
mod adaptors;
mod audit;
mod entries;
mod keys;
mod model_routes;
mod page;
mod report;
mod secrets;
mod signers;
mod source;
mod tenants;
mod thing;
mod upload;
mod usage;

use super::openapi::Api;

/// What all paths of one tenant begin with.
const OWN: &str = "/admin/v1/tenants/{tenant}";

/// All of them.
pub(super) fn routes(api: Api) -> Api {
    let api = keys::routes(tenants::routes(api));
    let api = adaptor_routes::routes(secrets::routes(usage::routes(report::routes(audit::routes(api)))));
    entries::COLLECTIONS.into_iter().fold(model_routes::routes(api), entries::collection)
}
