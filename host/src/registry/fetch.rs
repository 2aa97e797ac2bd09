//! Questions to one registry. Each goes through the guard of adaptors' calls: to one origin, at addresses that the policy
//! allows, with the credential that is bound to that origin.

use std::{net::IpAddr, sync::Arc, time::Duration};

use airlock_sandbox::{Credential, Grant, Origin, OutboundRequest, UpstreamBody, UpstreamResponse};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use oci_spec::{
    distribution::Reference,
    image::{Descriptor, ImageManifest},
};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Means, PullError, access, manifest};

/// Largest manifest: one of a component has a few hundred bytes.
const MAX_MANIFEST: usize = 1 << 20;
/// Longest wait for the head of an answer.
const HEAD: Duration = Duration::from_secs(30);
/// How often one question may be sent elsewhere.
const REDIRECTS: usize = 3;

/// One registry, asked for one repository.
pub(super) struct Session<'a> {
    pub(super) means: &'a Means<'a>,
    reference: Reference,
    /// `https://REGISTRY/v2/REPOSITORY/`
    base: Url,
    /// Once the registry has asked for one. It is bound to the registry's origin.
    credential: Option<Credential>,
}

impl<'a> Session<'a> {
    pub(super) fn open(reference: Reference, means: &'a Means<'a>) -> Result<Self, PullError> {
        let registry = reference.resolve_registry();
        let base = format!("{}://{registry}/v2/{}/", scheme(registry), reference.repository());
        let base = Url::parse(&base)
            .map_err(|error| PullError::Reference(format!("`{registry}` is no registry: {error}.")))?;
        Ok(Self { means, reference, base, credential: None })
    }

    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The registry itself.
    pub(super) fn url(&self) -> &Url {
        &self.base
    }

    /// What the reference names, and the digest of its manifest.
    pub(super) async fn manifest(&mut self) -> Result<(ImageManifest, String), PullError> {
        let what = self.reference.whole();
        let version = self.reference.digest().or(self.reference.tag()).unwrap_or_default().to_owned();
        let found = self.manifest_of(&version).await?;
        let (manifest, digest) = found.ok_or_else(|| {
            PullError::Refused(format!("the registry has no {what}, or does not show it; check name and tag"))
        })?;
        let wanted = self.reference.digest();
        if wanted.is_some_and(|wanted| wanted != digest) {
            return Err(PullError::Refused(format!(
                "the registry sent something else than {what}: the digest of its manifest is {digest}"
            )));
        }
        Ok((manifest, digest))
    }

    /// The manifest with this tag or digest, and its own digest; `None` where there is none.
    pub(super) async fn manifest_of(
        &mut self,
        version: &str,
    ) -> Result<Option<(ImageManifest, String)>, PullError> {
        let response = self.ask(&format!("manifests/{version}"), manifest::ACCEPT).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let what = format!("{}/{}:{version}", self.reference.registry(), self.reference.repository());
        let response = good(response, &what)?;
        let content_type = response.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let bytes = whole(response.body, MAX_MANIFEST, &what).await?;
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        Ok(Some((manifest::image(&bytes, &content_type, &what)?, digest)))
    }

    /// A blob as it comes. Nothing of it is checked yet.
    pub(super) async fn blob(&mut self, blob: &Descriptor) -> Result<UpstreamBody, PullError> {
        let what = format!("the blob {} of {}", blob.digest(), self.reference);
        let response = self.ask(&format!("blobs/{}", blob.digest()), "*/*").await?;
        Ok(good(response, &what)?.body)
    }

    /// A small blob, whole and checked.
    pub(super) async fn small_blob(&mut self, blob: &Descriptor, limit: usize) -> Result<Bytes, PullError> {
        let what = format!("the blob {} of {}", blob.digest(), self.reference);
        manifest::check_digest(blob, &what)?;
        let bytes = whole(self.blob(blob).await?, limit, &what).await?;
        if format!("sha256:{}", hex::encode(Sha256::digest(&bytes))) == blob.digest().to_string() {
            return Ok(bytes);
        }
        Err(PullError::Refused(format!("the registry sent something else than {what}")))
    }

    /// Asks the registry, and once more with a credential where it wants one.
    async fn ask(&mut self, path: &str, accept: &'static str) -> Result<UpstreamResponse, PullError> {
        let strange = |error| PullError::Reference(format!("`{}`: {error}.", self.reference));
        let url = self.base.join(path).map_err(strange)?;
        let response = self.follow(url.clone(), accept).await?;
        if response.status != StatusCode::UNAUTHORIZED || self.credential.is_some() {
            return Ok(response);
        }
        self.credential = Some(access::credential(self, &response.headers).await?);
        self.follow(url, accept).await
    }

    /// Registries keep blobs elsewhere, and send who asks there.
    async fn follow(&self, mut url: Url, accept: &'static str) -> Result<UpstreamResponse, PullError> {
        for _ in 0..=REDIRECTS {
            let credential = self.credential.clone();
            let response = self.get(&url, accept, credential).await?;
            if !response.status.is_redirection() {
                return Ok(response);
            }
            let location = response.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
            let target = location.and_then(|location| url.join(location).ok());
            let target =
                target.ok_or_else(|| PullError::Refused(format!("{} redirects to nowhere", host(&url))))?;
            check_scheme(&url, &target)?;
            url = target;
        }
        Err(PullError::Refused(format!("{} redirects more than {REDIRECTS} times", host(&self.base))))
    }

    /// One request to one origin. A credential of another origin stays here: the grant adds it to its own alone.
    pub(super) async fn get(
        &self,
        url: &Url,
        accept: &'static str,
        credential: Option<Credential>,
    ) -> Result<UpstreamResponse, PullError> {
        let strange = |error: &dyn std::fmt::Display| PullError::Refused(format!("{}: {error}", host(url)));
        let origin = Origin::parse(url.as_str()).map_err(|error| strange(&error))?;
        let uri = Uri::try_from(url.as_str()).map_err(|error| strange(&error))?;
        let Means { egress, tenant, policy, .. } = self.means;
        let credentials = credential.into_iter().collect();
        let grant = Grant::new(Arc::clone(tenant), policy.clone(), vec![origin], credentials);
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        let body = OutboundRequest::full(Bytes::new());
        let request = OutboundRequest { method: Method::GET, uri, headers, body, timeout: Some(HEAD) };
        let response = egress.fetch(&Arc::new(grant), request).await;
        response.map_err(|error| PullError::egress(&host(url), error))
    }
}

/// Plain HTTP is spoken with a registry of the loopback's address alone, which tenants reach where the operator allows it.
fn scheme(registry: &str) -> &'static str {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    if host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) { "http" } else { "https" }
}

/// What is encrypted stays so.
pub(super) fn check_scheme(from: &Url, to: &Url) -> Result<(), PullError> {
    if from.scheme() == "https" && to.scheme() != "https" {
        let (from, to) = (host(from), host(to));
        return Err(PullError::Refused(format!("{from} leads to {to} without encryption")));
    }
    Ok(())
}

/// Host and port, for messages.
pub(super) fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

fn good(response: UpstreamResponse, what: &str) -> Result<UpstreamResponse, PullError> {
    let refused = |why: String| Err(PullError::Refused(why));
    match response.status {
        StatusCode::OK => Ok(response),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => refused(format!(
            "the registry does not give {what} to this tenant ({}): check the secret for its origin, and what that may read",
            response.status
        )),
        status => refused(format!("the registry answered {status} for {what}")),
    }
}

/// A body of a few bytes.
pub(super) async fn whole(body: UpstreamBody, limit: usize, what: &str) -> Result<Bytes, PullError> {
    let read = tokio::time::timeout(HEAD, Limited::new(body, limit).collect()).await;
    let read = read.map_err(|_| PullError::Refused(format!("{what} had not come whole after {HEAD:?}")))?;
    let read = read.map_err(|error| {
        PullError::Refused(format!("{what} cannot be read, of at most {limit} bytes: {error}"))
    })?;
    Ok(read.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_is_spoken_to_in_the_clear() {
        for (registry, expected) in [
            ("127.0.0.1:5000", "http"),
            ("127.9.9.9", "http"),
            ("ghcr.io", "https"),
            ("10.0.0.1:5000", "https"),
            ("localhost:5000", "https"),
            ("127.0.0.1.example.org", "https"),
        ] {
            assert_eq!(scheme(registry), expected, "{registry}");
        }
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(check_scheme(&url("https://a"), &url("http://a")).is_err());
        assert!(check_scheme(&url("https://a"), &url("https://b")).is_ok());
    }
}
