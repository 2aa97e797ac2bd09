//! Connections kept for reuse, by tenant and origin. One carries one request at a time, over HTTP/2 too: its
//! limits are the connection's, so whoever does not read would hold up or break off all others on it.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

use http::{Request, Response, Version, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};

use crate::Tenant;

use super::{EgressError, Grant, Inner, Origin, OutgoingBody};

/// Unused connections that are kept for one tenant and origin, by each worker.
const MAX_IDLE: usize = 256;

/// Connections of one tenant to one origin.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tenant: Same,
    origin: Origin,
}

/// A tenant itself, whatever others are called.
#[derive(Clone)]
struct Same(Arc<Tenant>);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Same {}

impl Hash for Same {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Key {
    pub(super) fn new(tenant: &Arc<Tenant>, origin: Origin) -> Self {
        Self { tenant: Same(Arc::clone(tenant)), origin }
    }
}

/// The sending half of a connection.
pub(super) enum Sender {
    H1(http1::SendRequest<OutgoingBody>),
    H2(http2::SendRequest<OutgoingBody>),
}

impl Sender {
    /// Whether the connection is open and done with the request before: a backend may answer while it still
    /// waits for the rest of one.
    fn is_ready(&self) -> bool {
        match self {
            Self::H1(sender) => sender.is_ready(),
            Self::H2(sender) => sender.is_ready(),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::H1(sender) => sender.is_closed(),
            Self::H2(sender) => sender.is_closed(),
        }
    }
}

/// All connections that nobody uses at the moment, the one that was used last at the end.
#[derive(Default)]
pub(super) struct Pools(HashMap<Key, Vec<(Sender, Instant)>>);

impl Pools {
    fn keep(&mut self, key: Key, sender: Sender) {
        let idle = self.0.entry(key).or_default();
        if idle.len() >= MAX_IDLE {
            idle.remove(0); // the oldest
        }
        idle.push((sender, Instant::now()));
    }
}

/// A connection in use. Given back at the end of the body; dropped before that, it closes.
pub(super) struct Lease {
    sender: Sender,
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
            pools.lock().unwrap_or_else(PoisonError::into_inner).keep(self.key, self.sender);
        }
    }
}

/// Sends a request over a kept or a fresh connection.
///
/// A kept connection may have been closed by the backend meanwhile; many close theirs after five seconds.
/// Where one breaks before a byte of the response, another is tried: the backend has not seen the request,
/// or saw it at the moment of closing. Requests that a guest writes as it goes cannot be repeated. Nor can a client's form,
/// which therefore gets a fresh connection: next to it, opening one costs little.
pub(super) async fn exchange(
    inner: &Inner,
    grant: &Arc<Grant>,
    key: Key,
    mut request: Request<OutgoingBody>,
) -> Result<(Response<Incoming>, Lease), EgressError> {
    let repeats = request.body().form().is_none();
    while let Some(sender) = repeats.then(|| take(inner, &key)).flatten() {
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
    let sender = inner.open(grant, &key.origin).await?;
    send(inner, &key, sender, request).await.map_err(|failed| failed.error)
}

pub(super) fn copy(request: &Request<OutgoingBody>) -> Option<Request<OutgoingBody>> {
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
    let idle = pools.0.get_mut(key)?;
    let keep_alive = inner.limits.keep_alive;
    while let Some((sender, since)) = idle.pop() {
        if since.elapsed() > keep_alive {
            idle.clear(); // the others are older still
        } else if sender.is_ready() {
            return Some(sender);
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
    mut sender: Sender,
    request: Request<OutgoingBody>,
) -> Result<(Response<Incoming>, Lease), Failed> {
    let response = match &mut sender {
        Sender::H1(sender) => send_http1(sender, request).await,
        Sender::H2(sender) => send_http2(key, sender, request).await,
    };
    let pools = Arc::downgrade(&inner.pools);
    response.map(|response| (response, Lease { sender, key: key.clone(), pools }))
}

async fn send_http1(
    sender: &mut http1::SendRequest<OutgoingBody>,
    mut request: Request<OutgoingBody>,
) -> Result<Response<Incoming>, Failed> {
    if let Err(error) = sender.ready().await {
        return Err(Failed::new(&error, Some(request)));
    }
    let absolute = request.uri().clone();
    *request.uri_mut() = origin_form(&absolute);
    sender.try_send_request(request).await.map_err(|mut error| {
        let mut unsent = error.take_message();
        if let Some(request) = &mut unsent {
            *request.uri_mut() = absolute;
        }
        Failed::new(error.error(), unsent)
    })
}

async fn send_http2(
    key: &Key,
    sender: &mut http2::SendRequest<OutgoingBody>,
    mut request: Request<OutgoingBody>,
) -> Result<Response<Incoming>, Failed> {
    if let Err(error) = sender.ready().await {
        return Err(Failed::new(&error, Some(request)));
    }
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(http::header::HOST); // `:authority` says it
    sender.try_send_request(request).await.map_err(|mut error| {
        let mut unsent = error.take_message();
        if let Some(request) = &mut unsent {
            // The next connection may speak HTTP/1.1.
            *request.version_mut() = Version::HTTP_11;
            request.headers_mut().insert(http::header::HOST, key.origin.host_header().clone());
        }
        Failed::new(error.error(), unsent)
    })
}

/// HTTP/1.1 requests carry the path alone; the origin is in `host`.
fn origin_form(uri: &http::Uri) -> http::Uri {
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    http::Uri::from(path)
}
