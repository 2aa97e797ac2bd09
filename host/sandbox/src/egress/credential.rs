//! Secrets that the host adds to an adaptor's requests: a fixed header, a token that it fetches, or a signature.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, WeakShared},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use url::form_urlencoded;

use super::{
    Egress, EgressError, Grant, Origin, OriginError, OutboundRequest, OutgoingBody,
    sigv4::{self, AwsKeys, Signer},
};

/// Longest answer of a token endpoint.
const MAX_ANSWER: usize = 64 << 10;
/// A token is fetched again this long before it expires, so that none expires on its way.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a token counts that does not say how long it lives (RFC 6749, 5.1 leaves that open).
const DEFAULT_LIFE: Duration = Duration::from_secs(600);

/// A secret that is added to every request to one origin, and to no other.
#[derive(Clone)]
pub struct Credential {
    /// The origin that it is bound to.
    pub origin: Origin,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Fixed { header: HeaderName, value: HeaderValue },
    Token(Arc<TokenSource>),
    Signature(Arc<Signer>),
}

/// A client of an OAuth 2 server, which gets tokens for itself (RFC 6749, 4.4).
#[derive(Clone)]
pub struct OAuthClient {
    /// Where tokens are asked for.
    pub token_url: String,
    /// The client's id.
    pub id: String,
    /// The client's secret.
    pub secret: String,
    /// What the token is for, in the server's words.
    pub scope: Option<String>,
}

impl Credential {
    /// `authorization: Bearer <secret>`. `None` where the secret cannot stand in a header.
    pub fn bearer(origin: Origin, secret: &str) -> Option<Self> {
        Self::header(origin, header::AUTHORIZATION, &format!("Bearer {secret}"))
    }

    /// A header of any name, with the secret alone. `None` where the secret cannot stand in a header.
    pub fn header(origin: Origin, header: HeaderName, secret: &str) -> Option<Self> {
        let value = sensitive(secret)?;
        Some(Self { origin, secret: Secret::Fixed { header, value } })
    }

    /// `authorization: Bearer <token>`, with a token that is fetched when it is needed, kept until it expires, and
    /// fetched once more where the backend answers 401.
    pub fn client_credentials(origin: Origin, client: &OAuthClient) -> Result<Self, OriginError> {
        let source = TokenSource::new(client)?;
        Ok(Self { origin, secret: Secret::Token(Arc::new(source)) })
    }

    /// A signature of the whole request, in AWS's way. `None` where the keys cannot stand in a header.
    pub fn aws(origin: Origin, keys: AwsKeys) -> Option<Self> {
        Some(Self { origin, secret: Secret::Signature(Arc::new(Signer::new(keys)?)) })
    }

    /// Whether this header is the credential's, in requests and in answers: no adaptor may set or see it.
    pub(super) fn owns(&self, name: &HeaderName) -> bool {
        match &self.secret {
            Secret::Fixed { header, .. } => name == header,
            Secret::Token(_) => name == header::AUTHORIZATION,
            Secret::Signature(_) => Signer::owns(name),
        }
    }

    /// The names of the headers that it adds.
    pub(super) fn headers(&self) -> Vec<String> {
        match &self.secret {
            Secret::Fixed { header, .. } => vec![header.to_string()],
            Secret::Token(_) => vec![header::AUTHORIZATION.to_string()],
            Secret::Signature(_) => {
                vec![header::AUTHORIZATION.to_string(), format!("{}*", sigv4::OWN_PREFIX)]
            }
        }
    }

    /// Whether another value may be had where a backend refuses this one.
    pub(super) fn is_fetched(&self) -> bool {
        matches!(self.secret, Secret::Token(_))
    }

    /// Adds the credential to a request that is complete otherwise, and gives back the value that shows it.
    pub(super) async fn add_to(
        &self,
        request: &mut Request<OutgoingBody>,
        egress: &Egress,
        grant: &Arc<Grant>,
    ) -> Result<HeaderValue, EgressError> {
        let (header, value) = match &self.secret {
            Secret::Fixed { header, value } => (header.clone(), value.clone()),
            Secret::Token(source) => (header::AUTHORIZATION, source.token(egress, grant).await?),
            Secret::Signature(signer) => (header::AUTHORIZATION, signer.sign(request).await?),
        };
        request.headers_mut().insert(header, value.clone());
        Ok(value)
    }

    /// The backend refused this value.
    pub(super) fn refused(&self, value: &HeaderValue) {
        if let Secret::Token(source) = &self.secret {
            source.forget(value);
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential(for {})", self.origin)
    }
}

pub(super) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

type Fetching = WeakShared<BoxFuture<'static, Result<Token, EgressError>>>;

/// Where tokens of one client come from, and the one that counts.
struct TokenSource {
    uri: Uri,
    origin: Origin,
    basic: HeaderValue,
    form: Bytes,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Option<Token>,
    /// A request on its way, held by those who wait for it.
    fetching: Option<Fetching>,
}

#[derive(Clone)]
struct Token {
    value: HeaderValue,
    until: Instant,
}

/// RFC 6749, 5.1.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

impl TokenSource {
    fn new(client: &OAuthClient) -> Result<Self, OriginError> {
        let fail = |why: &str| OriginError::new(&client.token_url, why);
        let origin = Origin::parse(&client.token_url)?;
        let uri = client.token_url.parse().map_err(|_| fail("it is malformed"))?;
        let pair = BASE64_STANDARD.encode(format!("{}:{}", client.id, client.secret));
        let basic = sensitive(&format!("Basic {pair}")).ok_or_else(|| fail("its client is malformed"))?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &client.scope {
            form.append_pair("scope", scope);
        }
        Ok(Self { uri, origin, basic, form: form.finish().into(), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that counts, fetched once where many want it.
    async fn token(
        self: &Arc<Self>,
        egress: &Egress,
        grant: &Arc<Grant>,
    ) -> Result<HeaderValue, EgressError> {
        let fetching = {
            let mut state = self.state();
            if let Some(kept) = state.kept.as_ref().filter(|kept| Instant::now() < kept.until) {
                return Ok(kept.value.clone());
            }
            match state.fetching.as_ref().and_then(WeakShared::upgrade) {
                Some(fetching) => fetching,
                None => {
                    let fetching = Arc::clone(self).fetch(egress.clone(), Arc::clone(grant)).shared();
                    state.fetching = fetching.downgrade();
                    fetching
                }
            }
        };
        let token = fetching.await?;
        let mut state = self.state();
        state.fetching = None;
        state.kept = Some(token.clone());
        Ok(token.value)
    }

    fn forget(&self, value: &HeaderValue) {
        let mut state = self.state();
        if state.kept.as_ref().is_some_and(|kept| kept.value == *value) {
            state.kept = None;
        }
    }

    /// Boxed, because a request for a token is a request itself.
    fn fetch(
        self: Arc<Self>,
        egress: Egress,
        grant: Arc<Grant>,
    ) -> BoxFuture<'static, Result<Token, EgressError>> {
        Box::pin(async move { self.ask(&egress, &grant).await })
    }

    /// Asks for a token, under the address policy of whoever needs it and with a grant of its own.
    async fn ask(&self, egress: &Egress, grant: &Grant) -> Result<Token, EgressError> {
        let secret = Secret::Fixed { header: header::AUTHORIZATION, value: self.basic.clone() };
        let basic = Credential { origin: self.origin.clone(), secret };
        let own = grant.instead(vec![self.origin.clone()], vec![basic]);
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let request = OutboundRequest {
            method: Method::POST,
            uri: self.uri.clone(),
            headers,
            body: OutboundRequest::full(self.form.clone()),
            timeout: None,
        };
        let response = egress.send(&Arc::new(own), request).await?;
        let refused = |what: String| EgressError::Credential(format!("{}: {what}", self.origin));
        if response.status != StatusCode::OK {
            return Err(refused(format!("the token endpoint answered {}", response.status)));
        }
        let body = Limited::new(response.body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| refused(format!("the token cannot be read: {error}")))?.to_bytes();
        let answer: TokenAnswer = serde_json::from_slice(&body)
            .map_err(|_| refused("the answer is not that of an OAuth 2 token endpoint".into()))?;
        let value = sensitive(&format!("Bearer {}", answer.access_token));
        let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
        Ok(Token {
            value: value.ok_or_else(|| refused("the token cannot stand in a header".into()))?,
            // A life that is all margin still counts for the request that needs it.
            until: Instant::now() + life.saturating_sub(MARGIN).min(Duration::from_hours(24 * 30)),
        })
    }
}
