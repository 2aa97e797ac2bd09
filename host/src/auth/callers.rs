//! Who calls: keys are the gateway's own, and every other token is somebody else's.

use airlock_sandbox::Egress;
use http::HeaderMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use super::{
    AuthError, Caller, KEY_PREFIX, Keys, Providers, Scope, bearer, bearer_or_api_key, tokens::Tokens,
};
use crate::config::Settings;

/// All who may call. Cheap to clone.
#[derive(Clone)]
pub struct Callers {
    keys: Keys,
    tokens: Option<Arc<Tokens>>,
}

impl Callers {
    /// Those with these keys, and with tokens of these providers, who are asked by this way. Has to be called within the
    /// runtime that drives it.
    pub fn new(keys: Keys, providers: Providers, settings: &Settings, egress: Egress) -> Self {
        Self { keys, tokens: Tokens::new(providers, settings, egress).map(Arc::new) }
    }

    /// The keys alone.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Fetches what will be needed, until `stop`.
    pub fn follow(&self, stop: &CancellationToken) {
        if let Some(tokens) = &self.tokens {
            tokens.follow(stop);
        }
    }

    /// The caller behind a request's bearer token.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        self.holder(bearer(headers)).await
    }

    /// The same, where the token is good for this `scope`.
    pub async fn authenticate_for(&self, scope: Scope, headers: &HeaderMap) -> Result<Caller, AuthError> {
        within(scope, self.holder(bearer(headers)).await?)
    }

    /// The same, where the token may stand in `x-api-key` instead.
    pub async fn authenticate_either_for(
        &self,
        scope: Scope,
        headers: &HeaderMap,
    ) -> Result<Caller, AuthError> {
        within(scope, self.holder(bearer_or_api_key(headers)).await?)
    }

    /// A key is never shown to anybody else, and a token that is none is not looked for among the keys. With a key nothing
    /// is waited for.
    async fn holder(&self, token: Option<&[u8]>) -> Result<Caller, AuthError> {
        let token = token.ok_or(AuthError::Missing)?;
        match &self.tokens {
            Some(tokens) if !token.starts_with(KEY_PREFIX.as_bytes()) => tokens.verdict(token).await,
            _ => self.keys.holder(token),
        }
    }
}

fn within(scope: Scope, caller: Caller) -> Result<Caller, AuthError> {
    if caller.scopes.contains(scope) { Ok(caller) } else { Err(AuthError::Scope(scope)) }
}
