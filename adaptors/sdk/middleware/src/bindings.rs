//! What `wit-bindgen` makes of what a middleware imports beside: the endpoint behind it. It exports what every
//! endpoint adaptor does.
#![allow(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

wit_bindgen::generate!({
    world: "middleware-imports",
    path: "../wit",
    with: {
        "airlock:adaptor/common@0.1.0": airlock_adaptor::bindings::imports::airlock::adaptor::common,
        "airlock:adaptor/upstream@0.1.0": airlock_adaptor::bindings::imports::airlock::adaptor::upstream,
    },
    generate_all,
});
