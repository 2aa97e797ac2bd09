//! The long way to a backend, `wasi:http`, as one call. It is bound to the same grant as
//! [`upstream`](crate::upstream), which is cheaper; use this one where a library wants wasi:http, or to
//! read trailers.
//!
//! ```no_run
//! # use airlock_adaptor::{AdaptorError, EndpointInfo, Task};
//! use airlock_adaptor::{Reply, direct_api::DirectApi, outgoing};
//!
//! # fn relayed(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
//! let request = DirectApi::new(&endpoint)?.request(&task)?;
//! let response = outgoing::send(&request, &task.body)?;
//! Ok(Reply::Relay(outgoing::adopt(response)?))
//! # }
//! ```

#[cfg(target_family = "wasm")]
use crate::bindings::imports::airlock::adaptor::upstream_http;
use crate::upstream::Response;
use crate::wasi::http::outgoing_handler;
use crate::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use crate::wasi::io::streams::OutputStream;
use crate::{AdaptorError, UpstreamRequest};

/// Sends a request and waits for the head of its response. `own_body` is what a body of `none` stands
/// for: the task's. Natively it fails with `unsupported`: only components have wasi:http.
pub fn send(request: &UpstreamRequest, own_body: &[u8]) -> Result<IncomingResponse, AdaptorError> {
    if cfg!(not(target_family = "wasm")) {
        return Err(unsupported());
    }
    let body = match &request.body {
        Some(body) => body,
        None if matches!(request.method.as_str(), "GET" | "HEAD") => [].as_slice(),
        None => own_body,
    };
    let outgoing = head(request, body.len())?;
    let stream_to = outgoing.body().map_err(|()| unusable("the body was taken twice"))?;
    let pending =
        outgoing_handler::handle(outgoing, options(request.timeout_ms)?).map_err(|code| error_of(&code))?;
    // A backend may answer before it has read everything: then its answer counts, not our failure.
    let written = write(stream_to, body);
    match wait(&pending) {
        Err(error) if error.code == "upstream_disconnected" => Err(written.err().unwrap_or(error)),
        answer => answer,
    }
}

/// Turns a response whose body was not read into one that can be relayed.
#[cfg(target_family = "wasm")]
pub fn adopt(response: IncomingResponse) -> Result<Response, AdaptorError> {
    upstream_http::adopt(response)
}

/// Turns a response whose body was not read into one that can be relayed. Natively there is none.
#[cfg(not(target_family = "wasm"))]
pub fn adopt(_response: IncomingResponse) -> Result<Response, AdaptorError> {
    Err(unsupported())
}

fn unsupported() -> AdaptorError {
    let message = "natively there is no wasi:http: test the component with `airlock adaptor test`";
    AdaptorError::new(501, "unsupported", message)
}

/// Method, URL and headers.
fn head(request: &UpstreamRequest, length: usize) -> Result<OutgoingRequest, AdaptorError> {
    let headers = Fields::new();
    for (name, value) in &request.headers {
        headers.append(name, value.as_bytes()).map_err(|error| {
            AdaptorError::new(502, "egress_denied", format!("header `{}`: {error}", name.escape_debug()))
        })?;
    }
    if length > 0 {
        headers
            .set("content-length", &[length.to_string().into_bytes()])
            .map_err(|error| unusable(format!("content-length: {error}")))?;
    }
    let parts = Parts::of(&request.url)?;
    let outgoing = OutgoingRequest::new(headers);
    let set = outgoing
        .set_method(&method(&request.method))
        .and_then(|()| outgoing.set_scheme(Some(&parts.scheme)))
        .and_then(|()| outgoing.set_authority(Some(parts.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&parts.path_with_query)));
    set.map_err(|()| unusable(format!("the method or the URL {:?} is not valid", request.url)))?;
    Ok(outgoing)
}

/// A URL as wasi:http wants it.
struct Parts<'a> {
    scheme: Scheme,
    authority: &'a str,
    path_with_query: String,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self, AdaptorError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(unusable(format!("{url:?} is not an absolute URL")));
        };
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            _ if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme, authority, path_with_query: format!("{slash}{path}") })
    }
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// The wait for the head of the response. The connection has the host's own limit: a host may add the two.
fn options(timeout_ms: Option<u32>) -> Result<Option<RequestOptions>, AdaptorError> {
    let Some(milliseconds) = timeout_ms else { return Ok(None) };
    let nanoseconds = Some(u64::from(milliseconds) * 1_000_000);
    let options = RequestOptions::new();
    options.set_first_byte_timeout(nanoseconds).map_err(|()| unusable("timeouts are not supported"))?;
    Ok(Some(options))
}

/// Writes the body in the pieces that the host is ready for, and ends it.
fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), AdaptorError> {
    if !bytes.is_empty() {
        let stream = body.write().map_err(|()| unusable("the body was opened twice"))?;
        write_all(&stream, bytes).map_err(|_| disconnected("the backend stopped reading the request"))?;
    }
    OutgoingBody::finish(body, None).map_err(|code| error_of(&code))
}

fn write_all(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), crate::wasi::io::streams::StreamError> {
    while !bytes.is_empty() {
        let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        stream.write(now)?;
        bytes = later;
    }
    // Without waiting: the end of the body comes next, and the answer is waited for anyway.
    stream.flush()
}

fn wait(pending: &FutureIncomingResponse) -> Result<IncomingResponse, AdaptorError> {
    loop {
        match pending.get() {
            Some(Ok(answer)) => return answer.map_err(|code| error_of(&code)),
            Some(Err(())) => return Err(unusable("the response was taken twice")),
            None => pending.subscribe().block(),
        }
    }
}

/// wasi:http's errors under the codes of `upstream.send`.
fn error_of(code: &ErrorCode) -> AdaptorError {
    use ErrorCode as E;
    let (status, name, what) = match code {
        E::HttpRequestDenied
        | E::DestinationIpProhibited
        | E::HttpRequestMethodInvalid
        | E::HttpRequestUriInvalid => (502, "egress_denied", "the adaptor may not send this request"),
        E::ConnectionTimeout | E::ConnectionReadTimeout | E::HttpResponseTimeout | E::DnsTimeout => {
            (504, "upstream_timeout", "the backend did not answer in time")
        }
        E::ConnectionTerminated | E::HttpResponseIncomplete | E::HttpProtocolError => {
            (502, "upstream_disconnected", "the connection to the backend broke")
        }
        E::ConnectionLimitReached => (502, "outbound_call_limit", "the adaptor calls out too often"),
        _ => (502, "upstream_unreachable", "the backend cannot be reached"),
    };
    AdaptorError::new(status, name, format!("{what} ({code})"))
}

fn disconnected(message: &str) -> AdaptorError {
    AdaptorError::bad_upstream("upstream_disconnected", message)
}

/// A request that wasi:http does not take: the adaptor's fault.
fn unusable(message: impl Into<String>) -> AdaptorError {
    AdaptorError::new(502, "adaptor_bad_output", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, authority, path) in [
            ("https://h/v1/x?y=/z", "h", "/v1/x?y=/z"),
            ("https://h:8000", "h:8000", "/"),
            ("http://[::1]:80?q", "[::1]:80", "/?q"),
            ("https://h/a#b", "h", "/a"),
        ] {
            let parts = Parts::of(url).unwrap();
            assert_eq!((parts.authority, parts.path_with_query.as_str()), (authority, path), "{url}");
        }
        assert!(Parts::of("not a url").is_err());
    }
}
