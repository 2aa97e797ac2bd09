//! Bearer token → [`Caller`]: a key from a snapshot in memory, a token of others from those who give it out.

mod callers;
mod keys;
mod rights;
mod tokens;

use std::{fmt, sync::Arc};

use airlock_sandbox::User;
use http::{HeaderMap, header};
use rand::{Rng as _, distr::Alphanumeric};

pub use callers::Callers;
pub use keys::Keys;
pub use rights::{Role, Scope, Scopes};
pub use tokens::Providers;

/// What every API key begins with, and no token of others.
const KEY_PREFIX: &str = "sk-airlock-";

/// Who makes a request. There is none without a checked token.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key's id; with a token the same as `user`.
    pub key_id: Arc<str>,
    /// The key's name; with a token that of who shows it.
    pub name: Arc<str>,
    /// Whose key it is.
    pub tenant: Arc<str>,
    /// The person or program: what limits for each user count by, and what usage is reported by. With an API key its
    /// member, or the key's id where it was made for none; with a token `ISSUER#SUBJECT`.
    pub user: Arc<str>,
    /// What its holder is.
    pub role: Role,
    /// What it may be used for.
    pub scopes: Scopes,
    /// From when on it does not count, in Unix seconds.
    pub expires_at: Option<i64>,
    /// Groups that the caller belongs to. API keys belong to none.
    pub groups: Arc<[String]>,
    /// The caller's identity domain. API keys have none.
    pub domain: Option<Arc<str>>,
    /// What the token says of them. API keys say nothing.
    pub identity: Option<Arc<Identity>>,
}

/// Somebody as those know them who have given them their token.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Their id there.
    pub subject: String,
    /// What they are called in short.
    pub username: String,
    /// What they are called.
    pub full_name: String,
    /// The id of where they have logged in.
    pub provider_id: String,
    /// What that is called; may be empty.
    pub provider_name: String,
    /// How their token was checked: `oidc`, `oauth2` or `globus`.
    pub service: &'static str,
}

impl Caller {
    /// What adaptors are told: never the token.
    pub fn for_adaptors(&self) -> User {
        User {
            id: self.key_id.to_string(),
            name: Some(self.name.to_string()),
            groups: self.groups.to_vec(),
            domain: self.domain.as_deref().map(str::to_owned),
        }
    }
}

/// Why there is no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// No `authorization: Bearer …`.
    Missing,
    /// A token that is not a valid key.
    Invalid,
    /// A key whose time is over.
    Expired,
    /// A key that was not made for this.
    Scope(Scope),
    /// A token that is no known key, while nobody can say which keys there are.
    StoreUnavailable,
    /// A token of others that does not count, and why.
    Token(&'static str),
    /// A token of others, while those who give them out cannot be asked.
    Unavailable,
}

/// A key that was just made.
pub struct NewKey {
    /// Its identifier.
    pub id: String,
    /// The key itself.
    pub secret: String,
}

impl NewKey {
    /// 43 letters and digits: 256 bits of randomness.
    pub fn generate() -> Self {
        let random = |n| rand::rng().sample_iter(Alphanumeric).take(n).map(char::from).collect::<String>();
        Self { id: format!("key_{}", random(12)), secret: format!("{KEY_PREFIX}{}", random(43)) }
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({})", self.id)
    }
}

/// The token of `authorization: Bearer …`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii()).filter(|t| !t.is_empty())
}

/// The same, or the value of `x-api-key`, which is where Anthropic's clients have it.
fn bearer_or_api_key(headers: &HeaderMap) -> Option<&[u8]> {
    let api_key = || headers.get("x-api-key").map(|value| value.as_bytes().trim_ascii());
    bearer(headers).or_else(|| api_key().filter(|key| !key.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_schemes_case() {
        let cases: [(&str, Option<&[u8]>); 6] = [
            ("Bearer abc", Some(b"abc")),
            ("bearer  abc ", Some(b"abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), expected, "{value:?}");
        }
    }

    #[test]
    fn keys_are_long_distinct_and_hidden_from_debug() {
        let (a, b) = (NewKey::generate(), NewKey::generate());
        assert_ne!(a.secret, b.secret);
        assert_eq!(a.secret.len(), KEY_PREFIX.len() + 43);
        assert!(!format!("{a:?}").contains(&a.secret));
    }
}
