//! Components from OCI registries: found by a reference, fetched over the same guarded way out as an adaptor's calls, and
//! checked against their digests. What is read counts, not what a registry says of it.

mod access;
mod cosign;
mod fetch;
mod manifest;

use std::{collections::BTreeMap, sync::Arc};

use airlock_sandbox::{AddressPolicy, Egress, EgressError, Tenant};
use oci_spec::distribution::Reference;

pub use self::cosign::Signatures;
use self::fetch::Session;
use crate::{
    catalog::TenantSecret,
    intake::{ReceiveError, Received, Slot},
};

/// What a tenant reaches registries with.
pub struct Means<'a> {
    /// The way out.
    pub egress: &'a Egress,
    /// Whose calls they are.
    pub tenant: Arc<Tenant>,
    /// Where they may go.
    pub policy: AddressPolicy,
    /// The tenant's secrets, by name. Each goes to its own origin, or nowhere.
    pub secrets: BTreeMap<String, TenantSecret>,
}

/// Why a component could not be pulled, in words for who named it.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// No reference.
    #[error("{0}")]
    Reference(String),
    /// The registry, or what it has.
    #[error("{0}")]
    Refused(String),
    /// Too many calls are open.
    #[error("{0}")]
    Busy(String),
    /// The component did not come.
    #[error("{0}: {1}")]
    Component(String, ReceiveError),
}

impl PullError {
    fn egress(host: &str, error: EgressError) -> Self {
        match error {
            EgressError::Busy(_) => Self::Busy(error.to_string()),
            EgressError::Denied(why) => Self::Refused(format!("{host} may not be contacted: {why}")),
            error => Self::Refused(format!("{host}: {error}")),
        }
    }
}

/// What a registry has under a reference.
pub struct Artifact<'a> {
    session: Session<'a>,
    reference: Reference,
    /// SHA-256 of the manifest, as `sha256:` and hexadecimal.
    digest: String,
    layer: oci_spec::image::Descriptor,
}

/// Looks up what a reference such as `registry.example.org/team/adaptor:1.2` names.
pub async fn find<'a>(reference: &str, means: &'a Means<'a>) -> Result<Artifact<'a>, PullError> {
    let mut session = Session::open(parse(reference)?, means)?;
    let reference = session.reference().clone();
    let (manifest, digest) = session.manifest().await?;
    let layer = manifest::component(&manifest, &reference.whole())?;
    Ok(Artifact { session, reference, digest, layer })
}

/// The registry is named: who means Docker Hub says `docker.io`.
fn parse(text: &str) -> Result<Reference, PullError> {
    let refuse = |why: &dyn std::fmt::Display| {
        PullError::Reference(format!(
            "`{text}` is no reference ({why}); it is REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST."
        ))
    };
    let reference = Reference::try_from(text).map_err(|error| refuse(&error))?;
    let names_it = text.strip_prefix(reference.registry()).is_some_and(|rest| rest.starts_with('/'));
    if names_it { Ok(reference) } else { Err(refuse(&"it names no registry")) }
}

impl Artifact<'_> {
    /// The reference, with the tag that was meant where none was named.
    pub fn reference(&self) -> String {
        self.reference.whole()
    }

    /// The digest of what the reference led to: `sha256:…`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Fetches the component, of at most `limit` bytes.
    pub async fn component(&mut self, slot: Slot, limit: u64) -> Result<Received, PullError> {
        let (layer, what) = (&self.layer, format!("the component of {}", self.reference));
        if layer.size() > limit {
            return Err(PullError::Component(what, ReceiveError::TooLarge(limit)));
        }
        let mut body = self.session.blob(layer).await?;
        let received = slot.receive(&mut body, layer.size().min(limit)).await;
        let received = received.map_err(|error| PullError::Component(what.clone(), error))?;
        let found = format!("sha256:{}", received.digest());
        if found != layer.digest().to_string() {
            return Err(PullError::Refused(format!(
                "the registry sent something else than {what}: its manifest says {}, and what came is {found}; push it \
                 again",
                layer.digest()
            )));
        }
        Ok(received)
    }

    /// What was signed with `cosign` of it.
    pub async fn signatures(&mut self) -> Result<Signatures, PullError> {
        cosign::signatures(&mut self.session, &self.digest).await
    }
}
