//! Tenants' secrets: encrypted where they are stored, bound to the tenant, the name, the origin and the header that they
//! were given for.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    AeadCore as _, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, OsRng, Payload},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::catalog::TenantSecret;

/// A secret as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The origin that it goes to, and no other: `https://host`.
    pub origin: String,
    /// The header that carries it; `authorization` carries it as `Bearer`.
    pub header: String,
    /// Which master key it is encrypted with.
    key: String,
    /// 24 random bytes, in base64.
    nonce: String,
    /// In base64.
    ciphertext: String,
}

/// The master keys: the first encrypts, all decrypt.
#[derive(Clone, Default)]
pub struct MasterKeys(Vec<(String, XChaCha20Poly1305)>);

/// Why something about secrets cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is no master key.
    #[error(
        "this gateway keeps no secrets: its operator has to set AIRLOCK_MASTER_KEY, or master_key_file, to 32 random \
         bytes in hexadecimal or base64 (`openssl rand -hex 32`)"
    )]
    NoKey,
    /// What should be one is none.
    #[error("the master key number {0} is not 32 bytes in hexadecimal or base64")]
    BadKey(usize),
    /// It was encrypted with a key that is not there any more, or something has changed it.
    #[error(
        "the secret cannot be decrypted: its master key ({0}) is not among those that are set, or it was changed"
    )]
    Undecryptable(String),
}

impl MasterKeys {
    /// Keys with commas or line breaks between them, newest first.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let texts = text.split([',', '\n']).map(str::trim).filter(|text| !text.is_empty());
        let keys = texts.enumerate().map(|(at, text)| {
            let bytes = hex::decode(text).ok().or_else(|| BASE64_STANDARD.decode(text).ok());
            let bytes = bytes.filter(|bytes| bytes.len() == 32).ok_or(SecretError::BadKey(at + 1))?;
            let id = hex::encode(Sha256::digest(&bytes)).chars().take(16).collect();
            let cipher =
                XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| SecretError::BadKey(at + 1))?;
            Ok((id, cipher))
        });
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// Encrypts a secret.
    pub fn seal(&self, owner: Owner<'_>, value: &str) -> Result<Sealed, SecretError> {
        let (id, cipher) = self.0.first().ok_or(SecretError::NoKey)?;
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let bound = owner.bound();
        let payload = Payload { msg: value.as_bytes(), aad: bound.as_bytes() };
        let ciphertext = cipher.encrypt(&nonce, payload).map_err(|_| SecretError::NoKey)?;
        Ok(Sealed {
            origin: owner.origin.to_owned(),
            header: owner.header.to_owned(),
            key: id.clone(),
            nonce: BASE64_STANDARD.encode(nonce),
            ciphertext: BASE64_STANDARD.encode(ciphertext),
        })
    }

    /// Decrypts what is stored under this name of this tenant.
    pub fn open(&self, tenant: &str, name: &str, sealed: &Sealed) -> Result<String, SecretError> {
        let fail = || SecretError::Undecryptable(sealed.key.clone());
        let (_, cipher) = self.0.iter().find(|(id, _)| *id == sealed.key).ok_or_else(fail)?;
        let owner = Owner { tenant, name, origin: &sealed.origin, header: &sealed.header };
        let nonce = BASE64_STANDARD.decode(&sealed.nonce).ok().filter(|nonce| nonce.len() == 24);
        let ciphertext = BASE64_STANDARD.decode(&sealed.ciphertext).map_err(|_| fail())?;
        let bound = owner.bound();
        let payload = Payload { msg: &ciphertext, aad: bound.as_bytes() };
        let nonce = nonce.ok_or_else(fail)?;
        let value = cipher.decrypt(XNonce::from_slice(&nonce), payload).map_err(|_| fail())?;
        String::from_utf8(value).map_err(|_| fail())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same secret encrypted with the newest key; `None` where it is already.
    pub fn renew(&self, tenant: &str, name: &str, sealed: &Sealed) -> Result<Option<Sealed>, SecretError> {
        let value = self.open(tenant, name, sealed)?;
        if self.0.first().is_some_and(|(id, _)| *id == sealed.key) {
            return Ok(None);
        }
        let owner = Owner { tenant, name, origin: &sealed.origin, header: &sealed.header };
        self.seal(owner, &value).map(Some)
    }

    /// All secrets of a tenant, decrypted where that is possible.
    pub fn open_all(
        &self,
        tenant: &str,
        sealed: impl Iterator<Item = (String, Sealed)>,
    ) -> BTreeMap<String, TenantSecret> {
        let opened = sealed.map(|(name, sealed)| {
            let value = self.open(tenant, &name, &sealed).map_err(|error| error.to_string());
            (name, TenantSecret { origin: sealed.origin, header: sealed.header, value })
        });
        opened.collect()
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeys({})", self.0.len())
    }
}

/// What a secret is bound to. A ciphertext that is moved elsewhere does not open there.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Whose it is.
    pub tenant: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Where it goes.
    pub origin: &'a str,
    /// What carries it.
    pub header: &'a str,
}

impl Owner<'_> {
    /// No part can hold a line break: names and headers by their rules, an origin as it was parsed.
    fn bound(&self) -> String {
        let Self { tenant, name, origin, header } = self;
        format!("airlock secret 1\n{tenant}\n{name}\n{origin}\n{header}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'_> =
        Owner { tenant: "t", name: "n", origin: "https://api.example", header: "authorization" };

    fn keys(texts: &[u8]) -> MasterKeys {
        let texts: Vec<String> = texts.iter().map(|byte| hex::encode([*byte; 32])).collect();
        MasterKeys::parse(&texts.join(",")).unwrap()
    }

    #[test]
    fn a_secret_opens_where_it_belongs_and_nowhere_else() {
        let master = keys(&[1]);
        let sealed = master.seal(OWNER, "sk-4711").unwrap();
        assert!(!serde_json::to_string(&sealed).unwrap().contains("4711"));
        assert_eq!(master.open("t", "n", &sealed).unwrap(), "sk-4711");
        assert!(master.open("u", "n", &sealed).is_err(), "another tenant's");
        assert!(master.open("t", "m", &sealed).is_err(), "another name");
        for changed in [
            Sealed { origin: "https://evil.example".into(), ..sealed.clone() },
            Sealed { header: "x-other".into(), ..sealed.clone() },
            Sealed { ciphertext: BASE64_STANDARD.encode("x"), ..sealed.clone() },
            Sealed { nonce: "x".into(), ..sealed.clone() },
        ] {
            assert!(master.open("t", "n", &changed).is_err(), "{changed:?}");
        }
        assert_ne!(master.seal(OWNER, "sk-4711").unwrap(), sealed, "no two look alike");
    }

    #[test]
    fn keys_are_rotated_and_told_apart() {
        let sealed = keys(&[1]).seal(OWNER, "x").unwrap();
        let rotated = keys(&[2, 1]);
        assert_eq!(rotated.open("t", "n", &sealed).unwrap(), "x");
        assert_eq!(keys(&[1]).renew("t", "n", &sealed), Ok(None));
        let renewed = rotated.renew("t", "n", &sealed).unwrap().unwrap();
        assert_eq!(keys(&[2]).open("t", "n", &renewed).unwrap(), "x");
        assert_eq!(rotated.renew("t", "n", &renewed), Ok(None));
        assert!(rotated.renew("u", "n", &sealed).is_err() && keys(&[2]).renew("t", "n", &sealed).is_err());
        assert!(matches!(keys(&[2]).open("t", "n", &sealed), Err(SecretError::Undecryptable(_))));
        assert_eq!(MasterKeys::default().seal(OWNER, "x"), Err(SecretError::NoKey));
        assert_eq!(MasterKeys::parse("short").unwrap_err(), SecretError::BadKey(1));
        let base64 = BASE64_STANDARD.encode([1; 32]);
        assert_eq!(MasterKeys::parse(&base64).unwrap().open("t", "n", &sealed).unwrap(), "x");
    }
}
