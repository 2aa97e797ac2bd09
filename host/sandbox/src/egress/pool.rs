//! Connections kept for reuse, by tenant and origin. HTTP/1.1 connections are leased, one request at
//! a time; an HTTP/2 connection is shared.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

use http::{Request, Response, Version, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};

use super::{EgressError, Grant, Inner, Origin, OutgoingBody};

/// Connections of one tenant to one origin.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tenant: Arc<str>,
    origin: Origin,
}

impl Key {
    pub(super) fn new(tenant: Arc<str>, origin: Origin) -> Self {
        Self { tenant, origin }
    }
}

/// The sending half of a connection.
pub(super) enum Sender {
    H1(http1::SendRequest<OutgoingBody>),
    H2(http2::SendRequest<OutgoingBody>),
}

/// All connections that nobody uses at the moment, and the shared HTTP/2 ones.
#[derive(Default)]
pub(super) struct Pools(HashMap<Key, Kept>);

#[derive(Default)]
struct Kept {
    idle: Vec<(http1::SendRequest<OutgoingBody>, Instant)>,
    shared: Option<http2::SendRequest<OutgoingBody>>,
}

/// An HTTP/1.1 connection in use. Given back at the end of the body; dropped before that, it closes.
pub(super) struct Lease {
    sender: http1::SendRequest<OutgoingBody>,
    key: Key,
    pools: Weak<Mutex<Pools>>,
}

impl Lease {
    /// Keeps the connection for the next request.
    pub(super) fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        if let Some(pools) = self.pools.upgrade() {
            let mut pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = pools.0.entry(self.key).or_default();
            kept.idle.push((self.sender, Instant::now()));
        }
    }
}

/// Sends a request over a kept or a fresh connection.
///
/// A kept connection may have been closed by the backend meanwhile; many close theirs after five seconds.
/// Where one breaks before a byte of the response, another is tried: the backend has not seen the request,
/// or saw it at the moment of closing. Requests that a guest writes as it goes cannot be repeated.
pub(super) async fn exchange(
    inner: &Inner,
    grant: &Grant,
    key: Key,
    mut request: Request<OutgoingBody>,
) -> Result<(Response<Incoming>, Option<Lease>), EgressError> {
    while let Some(sender) = take(inner, &key) {
        let spare = copy(&request);
        match send(inner, &key, sender, request).await {
            Ok(done) => return Ok(done),
            Err(Failed { unsent: Some(unsent), .. }) => request = unsent,
            Err(Failed { error, was_closed, .. }) => match spare.filter(|_| was_closed) {
                Some(spare) => request = spare,
                None => return Err(error),
            },
        }
    }
    let sender = inner.connector.open(grant, &key.origin).await?;
    send(inner, &key, sender, request).await.map_err(|failed| failed.error)
}

fn copy(request: &Request<OutgoingBody>) -> Option<Request<OutgoingBody>> {
    let OutgoingBody::Full(body) = request.body() else { return None };
    let mut copy = Request::new(OutgoingBody::Full(body.clone()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// The connection that was used last, because it is the likeliest to be alive.
fn take(inner: &Inner, key: &Key) -> Option<Sender> {
    let mut pools = inner.pools.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = pools.0.get_mut(key)?;
    if let Some(shared) = &kept.shared {
        if !shared.is_closed() {
            return Some(Sender::H2(shared.clone()));
        }
        kept.shared = None;
    }
    let keep_alive = inner.limits.keep_alive;
    while let Some((sender, since)) = kept.idle.pop() {
        if since.elapsed() > keep_alive {
            kept.idle.clear(); // the others are older still
        } else if !sender.is_closed() {
            return Some(Sender::H1(sender));
        }
    }
    None
}

/// A request that got no response.
struct Failed {
    error: EgressError,
    /// The request itself, where no byte of it went out.
    unsent: Option<Request<OutgoingBody>>,
    /// Whether the backend closed the connection without a word.
    was_closed: bool,
}

impl Failed {
    fn new(error: &hyper::Error, unsent: Option<Request<OutgoingBody>>) -> Self {
        let was_closed =
            error.is_incomplete_message() || error.is_canceled() || error.is_closed() || was_reset(error);
        Self { error: EgressError::hyper(error), unsent, was_closed }
    }
}

/// A backend that closes while our request lies unread in its socket sends a reset.
fn was_reset(error: &hyper::Error) -> bool {
    use std::{error::Error as _, io::ErrorKind};
    let io = error.source().and_then(|e| e.downcast_ref::<std::io::Error>());
    io.is_some_and(|e| matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))
}

async fn send(
    inner: &Inner,
    key: &Key,
    sender: Sender,
    request: Request<OutgoingBody>,
) -> Result<(Response<Incoming>, Option<Lease>), Failed> {
    match sender {
        Sender::H1(sender) => send_http1(inner, key, sender, request).await,
        Sender::H2(sender) => send_http2(inner, key, sender, request).await,
    }
}

async fn send_http1(
    inner: &Inner,
    key: &Key,
    mut sender: http1::SendRequest<OutgoingBody>,
    mut request: Request<OutgoingBody>,
) -> Result<(Response<Incoming>, Option<Lease>), Failed> {
    if let Err(error) = sender.ready().await {
        return Err(Failed::new(&error, Some(request)));
    }
    let absolute = request.uri().clone();
    *request.uri_mut() = origin_form(&absolute);
    match sender.try_send_request(request).await {
        Ok(response) => {
            let pools = Arc::downgrade(&inner.pools);
            Ok((response, Some(Lease { sender, key: key.clone(), pools })))
        }
        Err(mut error) => {
            let mut unsent = error.take_message();
            if let Some(request) = &mut unsent {
                *request.uri_mut() = absolute;
            }
            Err(Failed::new(error.error(), unsent))
        }
    }
}

async fn send_http2(
    inner: &Inner,
    key: &Key,
    mut sender: http2::SendRequest<OutgoingBody>,
    mut request: Request<OutgoingBody>,
) -> Result<(Response<Incoming>, Option<Lease>), Failed> {
    if let Err(error) = sender.ready().await {
        return Err(Failed::new(&error, Some(request)));
    }
    remember(inner, key, &sender);
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(http::header::HOST); // `:authority` says it
    match sender.try_send_request(request).await {
        Ok(response) => Ok((response, None)),
        Err(mut error) => {
            let mut unsent = error.take_message();
            if let Some(request) = &mut unsent {
                // The next connection may speak HTTP/1.1.
                *request.version_mut() = Version::HTTP_11;
                request.headers_mut().insert(http::header::HOST, key.origin.host_header().clone());
            }
            Err(Failed::new(error.error(), unsent))
        }
    }
}

fn remember(inner: &Inner, key: &Key, sender: &http2::SendRequest<OutgoingBody>) {
    let mut pools = inner.pools.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = pools.0.entry(key.clone()).or_default();
    if kept.shared.is_none() {
        kept.shared = Some(sender.clone());
    }
}

/// HTTP/1.1 requests carry the path alone; the origin is in `host`.
fn origin_form(uri: &http::Uri) -> http::Uri {
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    http::Uri::from(path)
}
