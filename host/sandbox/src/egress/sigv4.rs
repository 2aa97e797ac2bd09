//! AWS Signature Version 4: the host signs a request, so that neither the adaptor nor the wire sees the key.
//!
//! What is signed is what goes out: method, path, query, all headers but those that proxies change, and the body's
//! digest. The rules are AWS's, "Create a signed AWS API request", for services other than S3, which alone leaves paths
//! as they are.

use std::{collections::BTreeMap, fmt, fmt::Write as _};

use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{EgressError, OutboundRequest, OutgoingBody, credential::sensitive};
use crate::FormFault;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Headers of this prefix say who signed what: the signer's alone.
pub(super) const OWN_PREFIX: &str = "x-amz-";

/// Headers that are not signed: hyper writes the length, and proxies change the others.
const UNSIGNED: [&str; 4] = ["content-length", "user-agent", "expect", "x-amzn-trace-id"];

/// Most bytes of a body whose length is not known before it is there. It is held in memory until it is signed.
const MAX_GATHERED: usize = 32 << 20;

/// Who signs, and for what.
#[derive(Clone)]
pub struct AwsKeys {
    /// For example `us-east-1`.
    pub region: String,
    /// The service's name in signatures, for example `bedrock`.
    pub service: String,
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// Belongs to keys that expire.
    pub session_token: Option<String>,
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsKeys({} in {})", self.service, self.region)
    }
}

/// Signs requests with one key.
pub(super) struct Signer {
    keys: AwsKeys,
    token: Option<HeaderValue>,
}

impl Signer {
    /// `None` where the keys cannot stand in a header.
    pub(super) fn new(keys: AwsKeys) -> Option<Self> {
        HeaderValue::try_from(&keys.access_key_id).ok()?;
        let token = match keys.session_token.as_deref() {
            Some(token) => Some(sensitive(token)?),
            None => None,
        };
        Some(Self { keys, token })
    }

    /// Whether this header is the signer's.
    pub(super) fn owns(name: &HeaderName) -> bool {
        name == http::header::AUTHORIZATION || name.as_str().starts_with(OWN_PREFIX)
    }

    /// Signs a request that is complete otherwise: adds date and token to it, and gives the `authorization`. A body that
    /// an adaptor writes as it goes is gathered first.
    pub(super) async fn sign(&self, request: &mut Request<OutgoingBody>) -> Result<HeaderValue, EgressError> {
        if request.body().form().is_some() {
            return Err(FormFault::Unsigned.into());
        }
        let body = std::mem::replace(request.body_mut(), OutboundRequest::full(Bytes::new()));
        let body = gather(body).await?;
        let value = self.sign_at(request, &body, Timestamp::now());
        *request.body_mut() = OutboundRequest::full(body);
        value.ok_or_else(|| EgressError::Credential("the request cannot be signed".into()))
    }

    fn sign_at<B>(&self, request: &mut Request<B>, body: &[u8], now: Timestamp) -> Option<HeaderValue> {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = time.get(..8)?;
        request.headers_mut().insert(DATE, HeaderValue::try_from(&time).ok()?);
        if let Some(token) = &self.token {
            request.headers_mut().insert(TOKEN, token.clone());
        }
        let (names, lines) = canonical_headers(request.headers());
        let uri = request.uri();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{}",
            request.method(),
            canonical_path(uri.path()),
            canonical_query(uri.query().unwrap_or_default()),
            digest(body),
        );
        let AwsKeys { region, service, access_key_id, .. } = &self.keys;
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", digest(canonical.as_bytes()));
        let signature = hex::encode(mac(&self.key_of(day)?, to_sign.as_bytes())?);
        sensitive(&format!(
            "{ALGORITHM} Credential={access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        ))
    }

    /// The key that counts for one day, region and service.
    fn key_of(&self, day: &str) -> Option<[u8; 32]> {
        let AwsKeys { region, service, secret_access_key, .. } = &self.keys;
        let mut key = mac(format!("AWS4{secret_access_key}").as_bytes(), day.as_bytes())?;
        for part in [region.as_str(), service, "aws4_request"] {
            key = mac(&key, part.as_bytes())?;
        }
        Some(key)
    }
}

/// A body as a whole.
async fn gather(body: OutgoingBody) -> Result<Bytes, EgressError> {
    if let OutgoingBody::Full(body) = body {
        return Ok(body.collect().await.map_or_else(|never| match never {}, |all| all.to_bytes()));
    }
    let gathered = Limited::new(body, MAX_GATHERED).collect().await;
    gathered.map(|all| all.to_bytes()).map_err(|error| match error.downcast::<EgressError>() {
        Ok(own) => *own,
        Err(error) if error.is::<LengthLimitError>() => EgressError::RequestTooLarge,
        Err(error) => EgressError::Disconnected(format!("the adaptor did not finish its request: {error}")),
    })
}

/// The names of the signed headers, and a line for each: sorted, with single spaces.
fn canonical_headers(headers: &HeaderMap) -> (String, String) {
    let mut signed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| !UNSIGNED.contains(&name.as_str())) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let single = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        signed.entry(name.as_str()).or_default().push(single);
    }
    let names: Vec<&str> = signed.keys().copied().collect();
    let lines = signed.iter().fold(String::new(), |mut lines, (name, values)| {
        let _ = writeln!(lines, "{name}:{}", values.join(","));
        lines
    });
    (names.join(";"), lines)
}

/// The path without `.`, `..` and empty parts, and encoded once more than it is.
fn canonical_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut canonical: String =
        parts.iter().fold(String::new(), |path, part| path + "/" + &encoded(part.bytes()));
    let ends_in_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if canonical.is_empty() || ends_in_folder {
        canonical.push('/');
    }
    canonical
}

/// The query's pairs, encoded in one way and sorted.
fn canonical_query(query: &str) -> String {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (encoded(decoded(name)), encoded(decoded(value)))
    };
    let mut pairs: Vec<_> = query.split('&').filter(|part| !part.is_empty()).map(pair).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Text with everything in percent but what RFC 3986 calls unreserved.
fn encoded(bytes: impl IntoIterator<Item = u8>) -> String {
    bytes.into_iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// The bytes that percent signs stand for. A plus is a plus.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = match after {
            [high, low, ..] if *first == b'%' => hex_pair(*high, *low),
            _ => None,
        };
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Any length of key will do for HMAC (RFC 2104), so that `None` does not happen.
fn mac(key: &[u8], message: &[u8]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests;
