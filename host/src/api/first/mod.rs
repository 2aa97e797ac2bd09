//! FIRST's own routes, below `/resource_server`, in FIRST's shapes. Errors are OpenAI's, with FIRST's codes.

mod batches;
mod callbacks;
mod clusters;
mod whoami;

use super::{health, openapi::Api};

/// All of them, below `base`.
pub(super) fn routes(api: Api, base: &str) -> Api {
    let api = api.get(&format!("{base}/health"), health::health, health::about());
    batches::routes(clusters::routes(whoami::routes(callbacks::routes(api, base), base), base), base)
}
