//! Generated from `wit/`: what the host gives to adaptors (imports) and calls in them (exports).

#![allow(missing_docs, clippy::all, unused_qualifications, reason = "generated; documented in wit/")]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package airlock:sandbox;
        world gateway {
            include airlock:adaptor/imports@0.1.0;
            import airlock:adaptor/task-body@0.1.0;
            export airlock:adaptor/replies@0.1.0;
            export airlock:adaptor/endpoint@0.1.0;
            export airlock:adaptor/cluster@0.1.0;
            export airlock:adaptor/batch@0.1.0;
        }
    ",
    world: "airlock:sandbox/gateway",
    imports: {
        "airlock:adaptor/upstream.send": async | trappable,
        "airlock:adaptor/upstream.[method]response.read": async | trappable,
        "airlock:adaptor/coalescing.[method]member.next": async | trappable,
        "airlock:adaptor/callbacks.[method]inbox.receive": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
    with: {
        "wasi:io": wasmtime_wasi::p2::bindings::io,
        "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
        "wasi:http": wasmtime_wasi_http::p2::bindings::http,
        "airlock:adaptor/upstream.response": crate::egress::UpstreamResponse,
        "airlock:adaptor/coalescing.member": crate::coalesce::Member,
        "airlock:adaptor/callbacks.inbox": crate::callbacks::Inbox,
    },
});
