//! What `wit-bindgen` makes of the contract.
//!
//! The imports are generated once. Each world that a component can export is generated on its own,
//! over the same types, so that `export_endpoint!` and `export_cluster!` work alone and together.
#![allow(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

/// The imports: everything an adaptor may call, and the records that all interfaces share.
pub mod imports {
    wit_bindgen::generate!({
        world: "imports",
        path: "wit",
        generate_all,
        generate_unused_types: true,
        additional_type_attributes: {
            "airlock:adaptor/common@0.1.0/operation": [#[derive(PartialEq)]],
            "airlock:adaptor/common@0.1.0/adaptor-error": [#[derive(PartialEq)]],
            "airlock:adaptor/common@0.1.0/upstream-request": [#[derive(PartialEq)]],
        },
    });
}

/// One world of exports over the types of [`imports`].
macro_rules! exports {
    ($($options:tt)*) => {
        wit_bindgen::generate!({
            path: "wit",
            with: {
                "airlock:adaptor/common@0.1.0": crate::bindings::imports::airlock::adaptor::common,
                "airlock:adaptor/upstream@0.1.0": crate::bindings::imports::airlock::adaptor::upstream,
                "airlock:adaptor/upstream-http@0.1.0": crate::bindings::imports::airlock::adaptor::upstream_http,
                "airlock:adaptor/logging@0.1.0": crate::bindings::imports::airlock::adaptor::logging,
                "airlock:adaptor/key-value@0.1.0": crate::bindings::imports::airlock::adaptor::key_value,
                "airlock:adaptor/coalescing@0.1.0": crate::bindings::imports::airlock::adaptor::coalescing,
                "airlock:adaptor/callbacks@0.1.0": crate::bindings::imports::airlock::adaptor::callbacks,
                "wasi:io/poll@0.2.12": crate::bindings::imports::wasi::io::poll,
                "wasi:io/error@0.2.12": crate::bindings::imports::wasi::io::error,
                "wasi:io/streams@0.2.12": crate::bindings::imports::wasi::io::streams,
                "wasi:clocks/monotonic-clock@0.2.12": crate::bindings::imports::wasi::clocks::monotonic_clock,
                "wasi:http/types@0.2.12": crate::bindings::imports::wasi::http::types,
                "wasi:http/outgoing-handler@0.2.12": crate::bindings::imports::wasi::http::outgoing_handler,
            },
            generate_all,
            pub_export_macro: true,
            $($options)*
        });
    };
}

/// What an endpoint adaptor exports.
pub mod endpoint {
    exports! {
        world: "endpoint-adaptor",
        export_macro_name: "export_endpoint_bindings",
        default_bindings_module: "airlock_adaptor::bindings::endpoint",
    }
}

/// What an endpoint adaptor with batches exports beside its endpoint.
pub mod batch {
    exports! {
        world: "batch-adaptor",
        export_macro_name: "export_batch_bindings",
        default_bindings_module: "airlock_adaptor::bindings::batch",
    }
}

/// What a cluster adaptor exports.
pub mod cluster {
    exports! {
        world: "cluster-adaptor",
        export_macro_name: "export_cluster_bindings",
        default_bindings_module: "airlock_adaptor::bindings::cluster",
    }
}
