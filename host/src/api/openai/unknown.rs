//! Fields that an operation does not know: whose cluster takes them may answer.

use std::sync::Arc;

use airlock_sandbox::Operation;

use super::fields;
use crate::{
    api::error::{ApiError, ErrorKind},
    catalog::{CatalogEndpoint, UnknownFields},
    similar::closest,
};

/// Of these endpoints, those whose clusters let this field through.
pub(super) fn takers(
    mut candidates: Vec<Arc<CatalogEndpoint>>,
    operation: Operation,
    unknown: Option<&str>,
) -> Result<Vec<Arc<CatalogEndpoint>>, ApiError> {
    let Some(name) = unknown else { return Ok(candidates) };
    candidates.retain(|endpoint| endpoint.unknown_fields == UnknownFields::Forward);
    if candidates.is_empty() { Err(refused(operation, name)) } else { Ok(candidates) }
}

fn refused(operation: Operation, name: &str) -> ApiError {
    /// No field of anybody's is longer; the path has to stay readable.
    const LONGEST: usize = 64;
    let known = fields::of(operation).map(|field| field.name);
    let help = match closest(name, known) {
        Some(close) => format!("Did you mean `{close}`?"),
        None => "Leave it out: the model's cluster takes documented fields alone.".to_owned(),
    };
    let shown = name.split_at(name.floor_char_boundary(LONGEST)).0;
    let message = format!("Unknown parameter: `{}`. {help}", shown.escape_debug());
    ApiError::new(ErrorKind::UnknownParameter, message).param(shown)
}
