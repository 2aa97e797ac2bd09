//! Everything that leaves the gateway on behalf of an adaptor: who may be contacted (`grant`), with
//! which secret (`grant::Credential`), over which connection (`pool`, `connect`).
//!
//! There is one [`Egress`] per worker thread, so that a connection is driven by the thread that uses it.

mod body;
mod connect;
mod error;
mod grant;
mod headers;
mod pool;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Full;

pub use body::{OutgoingBody, UpstreamBody};
pub use connect::{ConnectSettings, Connector};
pub use error::EgressError;
pub use grant::{Credential, Grant, Origin, OriginError};
pub(crate) use headers::{is_guests, outgoing_headers, visible_headers};
use pool::Pools;

/// How long outbound calls may take and how large their answers may be.
#[derive(Debug, Clone)]
pub struct EgressLimits {
    /// Longest wait for a response head, whatever an adaptor asks for.
    pub head_timeout: Duration,
    /// Longest silence inside a response body.
    pub idle_timeout: Duration,
    /// Most bytes of one response body.
    pub max_response_bytes: u64,
    /// How long an unused connection is kept.
    pub keep_alive: Duration,
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(300),
            max_response_bytes: 1 << 30,
            keep_alive: Duration::from_secs(60),
        }
    }
}

/// The way out for the requests of one worker thread. Cheap to clone.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    connector: Connector,
    limits: EgressLimits,
    pools: Arc<Mutex<Pools>>,
}

/// A request that an adaptor described, not checked yet.
pub struct OutboundRequest {
    /// The method.
    pub method: Method,
    /// An absolute URL.
    pub uri: Uri,
    /// Headers of the adaptor's choice, already filtered by [`outgoing_headers`].
    pub headers: HeaderMap,
    /// The body.
    pub body: OutgoingBody,
    /// The adaptor's own limit on the wait for the head.
    pub timeout: Option<Duration>,
}

/// The head of a response, and its body as it arrives. Dropping it before its end closes the connection.
pub struct UpstreamResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers without hop-by-hop headers, cookies and credentials.
    pub headers: HeaderMap,
    /// The body.
    pub body: UpstreamBody,
}

impl Egress {
    /// A way out with no connection open yet.
    pub fn new(connector: Connector, limits: EgressLimits) -> Self {
        Self(Arc::new(Inner { connector, limits, pools: Arc::default() }))
    }

    /// Longest silence inside a response body.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.0.limits.idle_timeout
    }

    /// Sends a request where `grant` allows it and waits for the head of the response.
    pub async fn send(
        &self,
        grant: &Grant,
        request: OutboundRequest,
    ) -> Result<UpstreamResponse, EgressError> {
        let origin = grant.permit(&request.method, &request.uri)?;
        let limit = self.0.limits.head_timeout;
        let wait = request.timeout.map_or(limit, |asked| asked.min(limit));
        let request = self.finish(grant, &origin, request)?;
        match tokio::time::timeout(wait, self.exchange(grant, origin, request)).await {
            Ok(done) => done,
            Err(_) => Err(EgressError::HeadTimeout(wait)),
        }
    }

    /// Adds what is the host's to add: the credential and `host`. Framing is hyper's.
    fn finish(
        &self,
        grant: &Grant,
        origin: &Origin,
        request: OutboundRequest,
    ) -> Result<Request<OutgoingBody>, EgressError> {
        let mut headers = request.headers;
        headers.insert(http::header::HOST, origin.host_header().clone());
        if !headers.contains_key(http::header::USER_AGENT) {
            headers.insert(http::header::USER_AGENT, headers::USER_AGENT);
        }
        if let Some(credential) = grant.credential_for(origin) {
            headers.insert(credential.header.clone(), credential.value.clone());
        }
        let mut built = Request::new(request.body);
        *built.method_mut() = request.method;
        *built.uri_mut() = request.uri;
        *built.headers_mut() = headers;
        Ok(built)
    }

    async fn exchange(
        &self,
        grant: &Grant,
        origin: Origin,
        request: Request<OutgoingBody>,
    ) -> Result<UpstreamResponse, EgressError> {
        let key = pool::Key::new(grant.tenant().clone(), origin);
        let (response, lease) = pool::exchange(&self.0, grant, key, request).await?;
        let (parts, incoming) = response.into_parts();
        Ok(UpstreamResponse {
            status: parts.status,
            headers: visible_headers(parts.headers),
            body: UpstreamBody::new(incoming, lease, &self.0.limits),
        })
    }
}

impl OutboundRequest {
    /// A complete body, held in memory.
    pub fn full(body: Bytes) -> OutgoingBody {
        OutgoingBody::Full(Full::new(body))
    }
}
