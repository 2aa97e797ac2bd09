//! Names the proposal that a component needs and does not get.

use wasmparser::{Validator, WasmFeatures};

/// What the engine has switched off, under the names that tools know.
const SWITCHED_OFF: [(&str, WasmFeatures); 8] = [
    ("threads", WasmFeatures::THREADS.union(WasmFeatures::SHARED_EVERYTHING_THREADS)),
    ("memory64", WasmFeatures::MEMORY64),
    ("gc", WasmFeatures::GC),
    ("exception-handling", WasmFeatures::EXCEPTIONS.union(WasmFeatures::LEGACY_EXCEPTIONS)),
    // One implies the other.
    ("function-references", WasmFeatures::FUNCTION_REFERENCES.union(WasmFeatures::GC)),
    ("stack-switching", WasmFeatures::STACK_SWITCHING),
    ("custom-page-sizes", WasmFeatures::CUSTOM_PAGE_SIZES),
    ("component-model-async", WasmFeatures::CM_ASYNC),
];

/// The proposal without which these bytes, valid otherwise, are not: `None` where they are not valid at all,
/// or need nothing that is switched off.
pub(super) fn needed(bytes: &[u8]) -> Option<&'static str> {
    let is_valid = |features| Validator::new_with_features(features).validate_all(bytes).is_ok();
    if !is_valid(WasmFeatures::all()) {
        return None;
    }
    let without = |feature: &WasmFeatures| WasmFeatures::all().difference(*feature);
    SWITCHED_OFF.iter().find(|(_, feature)| !is_valid(without(feature))).map(|(name, _)| *name)
}
