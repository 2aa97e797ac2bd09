//! `airlock openapi`

use super::{Failure, print};
use crate::api::Surface;

/// What a gateway with all of its routes serves at `/openapi.json`.
pub(super) fn run() -> Result<(), Failure> {
    print(Surface::new(true).document().text())
}
