//! Everything that leaves the gateway on behalf of an adaptor: who may be contacted (`grant`), with
//! which secret (`credential`, `sigv4`), over which connection (`pool`, `connect`).
//!
//! There is one [`Egress`] per worker thread, so that a connection is driven by the thread that uses it.

mod body;
mod connect;
mod counted;
mod credential;
mod decode;
mod error;
mod grant;
mod headers;
mod policy;
mod pool;
mod resolve;
mod sigv4;
mod waited;
mod witnessed;

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

pub use body::{OutgoingBody, UpstreamBody};
pub use connect::{ConnectSettings, Connector, StandIn};
pub use credential::{Credential, OAuthClient};
pub use error::EgressError;
pub use grant::{Grant, Origin, OriginError};
pub(crate) use headers::{MAX_FIELDS, is_guests, outgoing_headers, visible_headers};
pub use policy::AddressPolicy;
use pool::{Pools, Sender};
pub use resolve::{Resolve, Resolving};
pub use sigv4::AwsKeys;
pub use waited::Waited;

use crate::{Spent, Witness, form::Form};

/// How long outbound calls may take and how large their answers may be.
#[derive(Debug, Clone)]
pub struct EgressLimits {
    /// Longest wait for a response head, whatever an adaptor asks for.
    pub head_timeout: Duration,
    /// Longest silence inside a response body.
    pub idle_timeout: Duration,
    /// Most bytes of one response body.
    pub max_response_bytes: u64,
    /// Most bytes of a request body that an adaptor writes as it goes.
    pub max_request_bytes: u64,
    /// How long an unused connection is kept.
    pub keep_alive: Duration,
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(300),
            max_response_bytes: 1 << 30,
            max_request_bytes: 64 << 20,
            keep_alive: Duration::from_secs(60),
        }
    }
}

/// The way out for the requests of one worker thread. Cheap to clone.
#[derive(Clone)]
pub struct Egress(Arc<Inner>, Arc<Errand>);

/// What is of one request, whichever calls are made for it.
#[derive(Default)]
struct Errand {
    waited: Waited,
    spent: Spent,
    /// `traceparent` and `tracestate`.
    trace: HeaderMap,
    /// Who sees it, in a run on trial.
    witness: Option<Witness>,
}

struct Inner {
    /// The worker's runtime, which drives its connections whatever thread a guest runs on.
    home: Handle,
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
    /// Headers; what an adaptor sees is without hop-by-hop headers, cookies and credentials.
    pub headers: HeaderMap,
    /// The body.
    pub body: UpstreamBody,
}

impl Egress {
    /// A way out with no connection open yet. Has to be called within the runtime that will drive them.
    pub fn new(connector: Connector, limits: EgressLimits) -> Self {
        let inner = Inner { home: Handle::current(), connector, limits, pools: Arc::default() };
        Self(Arc::new(inner), Arc::default())
    }

    /// The same way for one request, and how long what goes by it waits for backends. Every request of an adaptor carries
    /// the headers `trace` (`traceparent`, `tracestate`).
    pub fn timed(&self, trace: HeaderMap) -> (Self, Waited) {
        let errand = Errand { trace, ..Errand::default() };
        let waited = errand.waited.clone();
        (Self(Arc::clone(&self.0), Arc::new(errand)), waited)
    }

    /// What the calls that go by it use: all those of a request where it is [`Egress::timed`].
    pub fn spent(&self) -> &Spent {
        &self.1.spent
    }

    /// Longest silence inside a response body.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.0.limits.idle_timeout
    }

    /// Most bytes of a request body that an adaptor writes as it goes.
    pub(crate) fn max_request_bytes(&self) -> u64 {
        self.0.limits.max_request_bytes
    }

    /// Sends a request where `grant` allows it and waits for the head of the response, as an adaptor may see it. A body
    /// that the backend has compressed is decoded, and its headers say nothing of that.
    pub fn send<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        request: OutboundRequest,
    ) -> impl Future<Output = Result<UpstreamResponse, EgressError>> + Send + 'a {
        match self.witness() {
            None => Either::Left(self.sent(grant, request)),
            // Boxed, so that requests which nobody watches are not larger for it.
            Some(witness) => Either::Right(Box::pin(self.watched(witness, grant, request))),
        }
    }

    async fn sent(
        &self,
        grant: &Arc<Grant>,
        mut request: OutboundRequest,
    ) -> Result<UpstreamResponse, EgressError> {
        request.headers.extend(self.1.trace.iter().map(|(name, value)| (name.clone(), value.clone())));
        let response = self.fetch(grant, request).await?;
        Ok(UpstreamResponse { headers: visible_headers(response.headers), ..response }.decoded())
    }

    /// The same for a request of the host's own: its answer has the headers that no adaptor sees, such as
    /// `www-authenticate`, and the bytes that came.
    pub async fn fetch(
        &self,
        grant: &Arc<Grant>,
        request: OutboundRequest,
    ) -> Result<UpstreamResponse, EgressError> {
        let origin = grant.permit(&request.method, &request.uri)?;
        let limit = self.0.limits.head_timeout;
        let wait = request.timeout.map_or(limit, |asked| asked.min(limit));
        let request = finish(&origin, request)?;
        let (start, form) = (Instant::now(), request.body().form());
        let answer = std::pin::pin!(self.with_credential(grant, origin, request));
        let done = within(wait, start, form.as_ref(), answer).await;
        self.1.waited.since(start);
        done.unwrap_or(Err(EgressError::HeadTimeout(wait)))
    }

    /// Adds the credential of the origin. One that was fetched is fetched once more where the backend refuses it: tokens
    /// are revoked at times.
    async fn with_credential(
        &self,
        grant: &Arc<Grant>,
        origin: Origin,
        mut request: Request<OutgoingBody>,
    ) -> Result<UpstreamResponse, EgressError> {
        let Some(credential) = grant.credential_for(&origin) else {
            return self.exchange(grant, origin, request).await;
        };
        if let Some(name) = request.headers().keys().find(|name| credential.owns(name)) {
            return Err(EgressError::Denied(format!("the header `{name}` is the host's to set")));
        }
        let spare = credential.is_fetched().then(|| pool::copy(&request)).flatten();
        let value = credential.add_to(&mut request, self, grant).await?;
        let response = self.exchange(grant, origin.clone(), request).await?;
        if response.status == StatusCode::UNAUTHORIZED {
            credential.refused(&value);
        }
        let Some(mut again) = spare.filter(|_| response.status == StatusCode::UNAUTHORIZED) else {
            return Ok(response.without(credential));
        };
        drop(response);
        credential.add_to(&mut again, self, grant).await?;
        Ok(self.exchange(grant, origin, again).await?.without(credential))
    }

    async fn exchange(
        &self,
        grant: &Arc<Grant>,
        origin: Origin,
        request: Request<OutgoingBody>,
    ) -> Result<UpstreamResponse, EgressError> {
        let permit = self.0.connector.call(grant.tenant())?;
        let key = pool::Key::new(grant.tenant(), origin);
        let form = request.body().form();
        let request = request.map(|body| body.counted(&self.1.spent));
        let (response, lease) = pool::exchange(&self.0, grant, key, request).await?;
        let (parts, incoming) = response.into_parts();
        if let Some(form) = form.as_ref().filter(|_| !parts.status.is_success()) {
            form.hold();
        }
        Ok(UpstreamResponse {
            status: parts.status,
            headers: parts.headers,
            body: UpstreamBody::new(incoming, lease, permit, &self.0.limits, self.1.waited.clone(), form),
        })
    }
}

impl UpstreamResponse {
    /// The same without the headers that carry the credential: some backends repeat what they were sent.
    fn without(mut self, credential: &Credential) -> Self {
        let hidden: Vec<HeaderName> =
            self.headers.keys().filter(|name| credential.owns(name)).cloned().collect();
        for name in hidden {
            self.headers.remove(name);
        }
        self
    }
}

/// The output of `answer`, where it comes in time. As long as parts of a form are sent, it is the client who takes its
/// time, and not the backend.
async fn within<T>(
    wait: Duration,
    mut from: Instant,
    form: Option<&Form>,
    mut answer: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    loop {
        if let Ok(done) = tokio::time::timeout_at((from + wait).into(), answer.as_mut()).await {
            return Some(done);
        }
        from = form.map(Form::moved).filter(|moved| *moved > from)?;
    }
}

/// Adds what is the host's to add: `host`, and its own name. Framing is hyper's.
fn finish(origin: &Origin, request: OutboundRequest) -> Result<Request<OutgoingBody>, EgressError> {
    let mut headers = request.headers;
    headers.insert(http::header::HOST, origin.host_header().clone());
    if !headers.contains_key(http::header::USER_AGENT) {
        headers.insert(http::header::USER_AGENT, headers::USER_AGENT);
    }
    let mut built = Request::new(request.body);
    *built.method_mut() = request.method;
    *built.uri_mut() = origin.url(&request.uri)?;
    *built.headers_mut() = headers;
    Ok(built)
}

impl Inner {
    /// A fresh connection, driven by the worker's runtime.
    async fn open(&self, grant: &Arc<Grant>, origin: &Origin) -> Result<Sender, EgressError> {
        let (connector, grant, origin) = (self.connector.clone(), Arc::clone(grant), origin.clone());
        let opening = self.home.spawn(async move { connector.open(&grant, &origin).await });
        AbortOnDropHandle::new(opening).await.unwrap_or_else(|e| Err(EgressError::Unreachable(e.to_string())))
    }
}

impl OutboundRequest {
    /// A complete body, held in memory.
    pub fn full(body: Bytes) -> OutgoingBody {
        OutgoingBody::Full(Full::new(body))
    }
}
