//! `/admin/v1`: what tenants have. JSON in and out, one shape for all kinds of things, errors as everywhere.

mod access;
mod adaptors;
mod audit;
mod entries;
mod keys;
mod page;
mod secrets;
mod signers;
mod source;
mod tenants;
mod thing;
mod upload;
mod usage;

use axum::{
    Router,
    routing::{get, post},
};

use crate::gateway::Worker;

/// All of them.
pub(super) fn routes() -> Router<Worker> {
    let own = "/admin/v1/tenants/{tenant}";
    let adaptor = format!("{own}/adaptors/{{name}}");
    let mut router = Router::new()
        .route("/admin/v1/tenants", get(tenants::list).post(tenants::create))
        .route(own, get(tenants::read).put(tenants::replace).delete(tenants::delete))
        .route(&format!("{own}/keys"), get(keys::list).post(keys::create))
        .route(&format!("{own}/keys/{{name}}"), axum::routing::delete(keys::revoke))
        .route(&format!("{own}/audit"), get(audit::list))
        .route(&format!("{own}/usage"), get(usage::read))
        .route(&format!("{own}/routes/{{*model}}"), get(entries::route))
        .route(&format!("{own}/secrets"), get(secrets::list))
        .route(
            &format!("{own}/secrets/{{name}}"),
            get(secrets::read).put(secrets::replace).delete(secrets::delete),
        )
        .route(&format!("{own}/adaptors"), get(adaptors::list))
        .route(&adaptor, get(adaptors::read).delete(adaptors::delete))
        .route(&format!("{adaptor}/versions"), get(adaptors::versions).post(upload::upload))
        .route(&format!("{adaptor}/rollout"), post(adaptors::roll_out))
        .route(&format!("{adaptor}/rollback"), post(adaptors::roll_back));
    for collection in entries::COLLECTIONS {
        let path = format!("{own}/{}", collection.path);
        router = router
            .route(&path, entries::all(collection))
            .route(&format!("{path}/{{name}}"), entries::one(collection));
    }
    router
}
