//! JWTs (RFC 7519) as they are shown: header and claims, of which nothing is true before the signature is checked.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jwk::{Algorithm, KeySet};
use crate::auth::AuthError;

/// What a token says, by name.
pub(super) type Claims = Map<String, Value>;

/// A token that has the form of one.
pub(super) struct Jwt<'a> {
    header: Header,
    pub(super) claims: Claims,
    signed: &'a str,
    signature: Vec<u8>,
}

/// What counts of a header (RFC 7515, 4.1). Keys, and addresses of keys, that stand in it are those of whoever made the
/// token: nobody looks at them.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl<'a> Jwt<'a> {
    /// `None` for a token that is something else.
    pub(super) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let bytes = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        Some(Self {
            header: serde_json::from_slice(&bytes(header)?).ok()?,
            claims: serde_json::from_slice(&bytes(claims)?).ok()?,
            signed,
            signature: bytes(signature)?,
        })
    }

    /// Who says to have made it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// How it is signed, where it is an access token that is signed in a way that counts.
    pub(super) fn algorithm(&self) -> Result<Algorithm, AuthError> {
        let refuse = |why| Err(AuthError::Token(why));
        let typ = self.header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        // RFC 9068 has `at+jwt`; most issuers write `JWT`.
        if !["jwt", "at+jwt"].contains(&typ) {
            return refuse("it is no access token: its type is another");
        }
        // Keycloak says it among the claims.
        let kind = self.claims.get("typ").and_then(Value::as_str).unwrap_or_default();
        if ["ID", "Refresh", "Offline", "Logout"].contains(&kind) {
            return refuse("it is no access token: its type is another");
        }
        if self.claims.contains_key("cnf") {
            return refuse(
                "it is bound to a key of its holder, and this is not checked here: ask for a bearer token",
            );
        }
        if self.header.crit.is_some() {
            return refuse("its header has critical parameters, which nobody here knows");
        }
        Algorithm::parse(&self.header.alg)
            .map_or_else(|| refuse("it is signed in a way that does not count"), Ok)
    }

    /// Whether a set has the key that the token names.
    pub(super) fn is_known_to(&self, keys: &KeySet, algorithm: Algorithm) -> bool {
        keys.find(self.header.kid.as_deref(), algorithm).is_some()
    }

    /// Checks the signature.
    pub(super) fn check(&self, keys: &KeySet, algorithm: Algorithm) -> Result<(), AuthError> {
        let key = keys.find(self.header.kid.as_deref(), algorithm);
        let key = key.ok_or(AuthError::Token("its issuer publishes no key that it names"))?;
        if key.verifies(self.signed.as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(AuthError::Token("its signature is wrong"))
        }
    }
}
