//! Whom a tenant trusts to make its adaptors: public keys, and what they signed.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{agreement, rand::SystemRandom, signature};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// DER of a `SubjectPublicKeyInfo` up to the key itself: P-256, a point without compression (RFC 5480).
const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The same of Ed25519 (RFC 8410).
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// How many signers a tenant may have: each is tried on each signature.
pub const MAX_SIGNERS: usize = 16;

/// Somebody who makes adaptors.
#[derive(Clone)]
pub struct Signer {
    /// What the tenant calls them.
    pub name: String,
    key: signature::UnparsedPublicKey<Vec<u8>>,
}

/// What is stored of a signer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    public_key: String,
}

/// Why what is said of a signer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Something else than a key.
    #[error("a signer is `{{\"public_key\": \"-----BEGIN PUBLIC KEY-----…\"}}`: {0}")]
    Shape(String),
    /// A key of another kind.
    #[error(
        "`public_key` is not one public key of ECDSA on P-256, or of Ed25519, in PEM: `cosign generate-key-pair` makes \
         one, and `openssl pkey -in KEY -pubout` shows a private key's"
    )]
    Key,
}

impl Signer {
    /// Reads what is stored of one.
    pub fn of(name: &str, spec: &Value) -> Result<Self, SignerError> {
        let Spec { public_key } =
            Spec::deserialize(spec).map_err(|error| SignerError::Shape(error.to_string()))?;
        let mut found = SubjectPublicKeyInfoDer::pem_slice_iter(public_key.as_bytes());
        let (Some(Ok(der)), None) = (found.next(), found.next()) else { return Err(SignerError::Key) };
        let key = |prefix: &[u8], length| der.strip_prefix(prefix).filter(|key| key.len() == length);
        let (algorithm, key): (&dyn signature::VerificationAlgorithm, _) =
            if let Some(point) = key(P256, 65).filter(|point| is_on_curve(point)) {
                (&signature::ECDSA_P256_SHA256_ASN1, point)
            } else if let Some(key) = key(ED25519, 32) {
                (&signature::ED25519, key)
            } else {
                return Err(SignerError::Key);
            };
        let key = signature::UnparsedPublicKey::new(algorithm, key.to_vec());
        Ok(Self { name: name.to_owned(), key })
    }

    /// Whether they signed this message: ECDSA over its SHA-256, in DER, or Ed25519 over the message itself.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(message, signature).is_ok()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}

/// A signature as `cosign` and `base64` write it, with line breaks perhaps.
pub fn parse_signature(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(text).ok().filter(|signature| !signature.is_empty())
}

/// A key agreement says what a verification does not: whether the point is one.
fn is_on_curve(point: &[u8]) -> bool {
    let own = agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P256, &SystemRandom::new());
    let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, point);
    own.is_ok_and(|own| agreement::agree_ephemeral(own, &peer, |_| ()).is_ok())
}
