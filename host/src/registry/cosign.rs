//! Signatures beside what they are of, as `cosign sign --key` lays them down: a manifest under a tag that is made from the
//! digest of what was signed, with a layer for each signature.
//!
//! <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>

use bytes::Bytes;
use serde::Deserialize;

use super::{PullError, fetch::Session};

const LAYER: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const TYPE: &str = "cosign container image signature";
/// Signatures that are looked at, and the largest payload of one.
const MOST: usize = 16;
const MAX_PAYLOAD: usize = 64 << 10;

/// What was found.
#[derive(Debug, Default)]
pub struct Signatures {
    /// Payloads that name the artifact, and their signatures in base64. Whose they are is not known yet.
    pub found: Vec<(Bytes, String)>,
    /// What is there instead, where none is found.
    pub instead: String,
}

/// "Simple signing", the format of the payload.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// The signatures of the artifact whose manifest has this digest.
pub(super) async fn signatures(session: &mut Session<'_>, digest: &str) -> Result<Signatures, PullError> {
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let Some((manifest, _)) = session.manifest_of(&tag).await? else {
        return Ok(Signatures {
            found: Vec::new(),
            instead: format!("the registry has none under the tag {tag}"),
        });
    };
    let instead = format!("what the registry has under the tag {tag} names another manifest");
    let mut signatures = Signatures { found: Vec::new(), instead };
    let layers = manifest.layers().iter().filter(|layer| layer.media_type().as_ref() == LAYER);
    for layer in layers.take(MOST) {
        let annotations = layer.annotations().as_ref();
        let Some(signature) = annotations.and_then(|all| all.get(ANNOTATION)) else { continue };
        let payload = session.small_blob(layer, MAX_PAYLOAD).await?;
        if names(&payload, digest) {
            signatures.found.push((payload, signature.clone()));
        }
    }
    Ok(signatures)
}

/// Whether a payload is of this artifact: a signature of another says nothing about it.
fn names(payload: &[u8], digest: &str) -> bool {
    let payload: Option<Payload> = serde_json::from_slice(payload).ok();
    payload.is_some_and(|Payload { critical }| critical.image.digest == digest && critical.kind == TYPE)
}
