//! What one endpoint's adaptor may reach.

use std::{fmt, sync::Arc};

use http::{
    HeaderValue, Method, Uri,
    uri::{PathAndQuery, Scheme},
};

use super::{AddressPolicy, Credential, EgressError};
use crate::Tenant;

/// Scheme, host and port. Two URLs of one origin share connections and credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    tls: bool,
    host: Arc<str>,
    port: u16,
    host_header: HeaderValue,
}

/// Why a text names no origin.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not an http or https address: {why}")]
pub struct OriginError {
    text: String,
    why: String,
}

impl OriginError {
    pub(super) fn new(text: &str, why: &str) -> Self {
        Self { text: text.to_owned(), why: why.to_owned() }
    }
}

impl Origin {
    /// The origin of an absolute URL, normalised as browsers do it (case, default port, IP spellings).
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let fail = |why: String| OriginError { text: text.to_owned(), why };
        let url = url::Url::parse(text).map_err(|e| fail(e.to_string()))?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(fail(format!("its scheme is `{other}`"))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fail("it holds user information".into()));
        }
        let host = url.host_str().ok_or_else(|| fail("it has no host".into()))?;
        let port = url.port_or_known_default().ok_or_else(|| fail("it has no port".into()))?;
        Self::build(tls, host, port).ok_or_else(|| fail("its host is malformed".into()))
    }

    fn build(tls: bool, host: &str, port: u16) -> Option<Self> {
        let default_port = port == if tls { 443 } else { 80 };
        let header = if default_port { host.to_owned() } else { format!("{host}:{port}") };
        Some(Self { tls, host: host.into(), port, host_header: HeaderValue::try_from(header).ok()? })
    }

    /// Whether `uri` is of this origin; exact, so that another spelling of an address is another origin.
    fn matches(&self, tls: bool, host: &str, port: u16) -> bool {
        self.tls == tls && self.port == port && self.host.eq_ignore_ascii_case(host)
    }

    /// The same resource, spelled by us: the origin as it was granted, and a path even where there was none.
    pub(crate) fn url(&self, uri: &Uri) -> Result<Uri, EgressError> {
        let path = uri.path_and_query().map(PathAndQuery::as_str).filter(|path| path.starts_with('/'));
        Uri::builder()
            .scheme(if self.tls { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(self.host_header.as_bytes())
            .path_and_query(path.unwrap_or("/"))
            .build()
            .map_err(|e| EgressError::Denied(format!("the URL is malformed: {e}")))
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host without brackets, for name resolution and certificates.
    pub(crate) fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What one endpoint's adaptor may reach.
#[derive(Debug, Clone)]
pub struct Grant {
    tenant: Arc<Tenant>,
    policy: AddressPolicy,
    origins: Vec<Origin>,
    credentials: Vec<Credential>,
}

impl Grant {
    /// A grant of `tenant`, whose connections are shared with no other tenant.
    pub fn new(
        tenant: Arc<Tenant>,
        policy: AddressPolicy,
        origins: Vec<Origin>,
        credentials: Vec<Credential>,
    ) -> Self {
        Self { tenant, policy, origins, credentials }
    }

    /// The same tenant and policy, for other origins.
    pub(super) fn instead(&self, origins: Vec<Origin>, credentials: Vec<Credential>) -> Self {
        Self::new(Arc::clone(&self.tenant), self.policy.clone(), origins, credentials)
    }

    /// Whose calls it is for.
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    pub(crate) fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// The granted origin that a request goes to.
    pub(crate) fn permit(&self, method: &Method, uri: &Uri) -> Result<Origin, EgressError> {
        let denied = |why: &str| EgressError::Denied(why.to_owned());
        // CONNECT leads elsewhere, TRACE asks for the request back, with the credential in it.
        if matches!(*method, Method::CONNECT | Method::TRACE) {
            return Err(denied(&format!("the method {method} is not allowed")));
        }
        let tls = match uri.scheme() {
            Some(s) if *s == Scheme::HTTPS => true,
            Some(s) if *s == Scheme::HTTP => false,
            _ => return Err(denied("the URL is not an absolute http or https URL")),
        };
        let authority = uri.authority().ok_or_else(|| denied("the URL has no host"))?;
        if authority.as_str().contains('@') {
            return Err(denied("the URL holds user information"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        self.origins.iter().find(|o| o.matches(tls, authority.host(), port)).cloned().ok_or_else(|| {
            let scheme = if tls { "https" } else { "http" };
            denied(&format!(
                "{scheme}://{}:{port} is not among the endpoint's allowed hosts",
                authority.host()
            ))
        })
    }

    /// The headers that the host adds as a credential to such a request.
    pub(crate) fn credential_headers(&self, method: &Method, uri: &Uri) -> Vec<String> {
        let origin = self.permit(method, uri).ok();
        let credential = origin.and_then(|origin| self.credential_for(&origin));
        credential.map(Credential::headers).unwrap_or_default()
    }

    pub(crate) fn credential_for(&self, origin: &Origin) -> Option<&Credential> {
        self.credentials.iter().find(|c| c.origin == *origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        let origin = |t: &str| Origin::parse(t).unwrap();
        Grant::new(
            Tenant::new("default", crate::TenantLimits::default()),
            AddressPolicy::default(),
            vec![origin("https://api.example.com/v1"), origin("http://127.0.0.1:8000")],
            vec![Credential::bearer(origin("https://api.example.com"), "secret").unwrap()],
        )
    }

    #[test]
    fn only_granted_origins_are_permitted() {
        let cases = [
            ("https://api.example.com/v1/chat/completions", true),
            ("https://API.example.com:443/", true),
            ("http://api.example.com/", false),
            ("https://api.example.com:8443/", false),
            ("https://api.example.com.evil.org/", false),
            ("https://evil.org/?https://api.example.com", false),
            ("https://api.example.com@evil.org/", false),
            ("https://user@api.example.com/", false),
            ("http://127.0.0.1:8000/x", true),
            ("http://2130706433:8000/x", false),
            ("http://0177.0.0.1:8000/x", false),
            ("http://[::ffff:127.0.0.1]:8000/x", false),
            ("/relative", false),
        ];
        for (url, expected) in cases {
            let uri: Uri = url.parse().unwrap();
            assert_eq!(grant().permit(&Method::POST, &uri).is_ok(), expected, "{url}");
        }
        let uri = Uri::from_static("https://api.example.com/");
        assert!(grant().permit(&Method::CONNECT, &uri).is_err());
    }

    #[test]
    fn a_credential_is_bound_to_its_origin_and_hidden_from_debug() {
        let grant = grant();
        let (api, local) = (&grant.origins[0], &grant.origins[1]);
        assert!(grant.credential_for(api).is_some());
        assert!(grant.credential_for(local).is_none());
        assert!(!format!("{grant:?}").contains("secret"));
    }
}
