//! Parts of WASI that the SDK leaves to the standard library, and guests want raw.
#![allow(missing_docs, unused_qualifications, reason = "generated code")]

wit_bindgen::generate!({
    inline: "
        package airlock:guests;
        world raw {
            import wasi:cli/stdout@0.2.12;
            import wasi:cli/stderr@0.2.12;
            import wasi:random/random@0.2.12;
        }
    ",
    world: "airlock:guests/raw",
    path: "../../wit",
    with: {
        "wasi:io/error@0.2.12": airlock_adaptor::wasi::io::error,
        "wasi:io/poll@0.2.12": airlock_adaptor::wasi::io::poll,
        "wasi:io/streams@0.2.12": airlock_adaptor::wasi::io::streams,
    },
    generate_all,
});

use airlock_adaptor::wasi::http::outgoing_handler;
use airlock_adaptor::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    Scheme,
};
use airlock_adaptor::wasi::io::streams::{OutputStream, StreamError};

pub use self::wasi::{cli, random};

/// Begins a POST: the body is to be written and finished, the response waited for.
pub fn post(url: &str) -> (OutgoingBody, FutureIncomingResponse) {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let (authority, path) = rest.split_once('/').expect("a path");
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(&Method::Post).expect("a method");
    request.set_scheme(Some(&scheme)).expect("a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some(&format!("/{path}"))).expect("a path");
    let body = request.body().expect("its body");
    (body, outgoing_handler::handle(request, None).expect("a response to wait for"))
}

/// Waits for the response.
pub fn wait(pending: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    pending.subscribe().block();
    pending.get().expect("it was waited for").expect("it is taken once")
}

/// Writes one piece, once the host has room for it.
pub fn write(stream: &OutputStream, piece: &[u8]) -> Result<(), StreamError> {
    while stream.check_write()? == 0 {
        stream.subscribe().block();
    }
    stream.write(piece)
}
