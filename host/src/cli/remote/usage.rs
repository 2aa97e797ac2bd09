//! A report of what was used, of a gateway.

use serde_json::Value;

use super::Client;
use crate::cli::Failure;

/// Lines of the report that fits this query: of one tenant, or of all for an operator.
pub(crate) fn report(
    client: &Client,
    tenant: Option<&str>,
    query: &[(&str, &str)],
) -> Result<Vec<Value>, Failure> {
    match tenant {
        Some(tenant) => client.list_where(&["tenants", tenant, "usage", "report"], query, usize::MAX),
        None => client.list_where(&["usage"], query, usize::MAX),
    }
}
