//! The keys that an issuer publishes (RFC 7517), and which of them verifies what.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;
use serde_json::Value;

/// More keys than any issuer publishes.
const MAX_KEYS: usize = 100;

/// How tokens may be signed (RFC 7518, RFC 8037): by somebody with a private key. There is no `none` and no secret that
/// both sides know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// What an issuer publishes.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

/// One key for signatures.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, where that is said.
    alg: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    use_: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys of other kinds and for other uses are passed over; a set without a usable one is none.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let published: Published =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no set of keys: {error}"))?;
        if published.keys.len() > MAX_KEYS {
            return Err(format!(
                "it has {} keys, and more than {MAX_KEYS} are not read",
                published.keys.len()
            ));
        }
        let keys = published.keys.into_iter().filter_map(|key| Key::read(serde_json::from_value(key).ok()?));
        let keys: Vec<Key> = keys.collect();
        if keys.is_empty() {
            return Err("it has no key that verifies signatures".into());
        }
        Ok(Self(keys))
    }

    /// The key that is meant: by its id, or because there is no other that would do.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Verifier<'_>> {
        let mut fitting = self.0.iter().filter(|key| key.fits(algorithm));
        let key = match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id))?,
            None => fitting.next().filter(|_| fitting.next().is_none())?,
        };
        Some(Verifier { material: &key.material, algorithm })
    }
}

impl Key {
    fn read(jwk: Jwk) -> Option<Self> {
        let is_for_signatures = jwk.use_.as_deref().is_none_or(|word| word == "sig")
            && jwk.key_ops.as_ref().is_none_or(|words| words.iter().any(|word| word == "verify"));
        let material = Material::read(&jwk).filter(|_| is_for_signatures)?;
        Some(Self { id: jwk.kid, alg: jwk.alg, material })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        let is_of_kind = match self.material {
            Material::Rsa { .. } => {
                matches!(algorithm, A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512)
            }
            Material::P256(_) => algorithm == A::Es256,
            Material::P384(_) => algorithm == A::Es384,
            Material::Ed25519(_) => algorithm == A::EdDsa,
        };
        is_of_kind && self.alg.as_deref().is_none_or(|only| Algorithm::parse(only) == Some(algorithm))
    }
}

impl Material {
    fn read(jwk: &Jwk) -> Option<Self> {
        let bytes =
            |text: &Option<String>| BASE64_URL_SAFE_NO_PAD.decode(text.as_deref().unwrap_or_default()).ok();
        let point = |size: usize| {
            let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
            (x.len() == size && y.len() == size).then(|| [&[4], &*x, &*y].concat())
        };
        match (&*jwk.kty, jwk.crv.as_deref()) {
            ("RSA", _) => Some(Self::Rsa { n: bytes(&jwk.n)?, e: bytes(&jwk.e)? }),
            ("EC", Some("P-256")) => point(32).map(Self::P256),
            ("EC", Some("P-384")) => point(48).map(Self::P384),
            ("OKP", Some("Ed25519")) => bytes(&jwk.x).filter(|x| x.len() == 32).map(Self::Ed25519),
            _ => None,
        }
    }
}

/// A key, and the one algorithm that it is used with.
pub(super) struct Verifier<'a> {
    material: &'a Material,
    algorithm: Algorithm,
}

impl Verifier<'_> {
    /// Whether the holder of the key has signed this. RSA keys below 2048 bits verify nothing.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let plain = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match self.material {
            Material::Rsa { n, e } => {
                // Fits has seen to it that it is one of RSA's.
                let parameters = match self.algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return false,
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            Material::P256(point) => plain(&signature::ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => plain(&signature::ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(key) => plain(&signature::ED25519, key),
        }
    }
}
