//! Tokens that others give out: whom each is asked about, once for all who show it at the same time, and what was found out.
//!
//! A token goes to whoever has given it out and to nobody else. It is written into no line of the log.

mod ask;
mod claims;
mod globus;
mod introspect;
mod jwk;
mod jwt;
mod oidc;
mod rules;
mod verdicts;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use airlock_sandbox::Egress;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::{
    ask::{Ask, Away, Presence},
    globus::Globus,
    introspect::Introspection,
    jwt::Jwt,
    oidc::Issuer,
    rules::Rules,
    verdicts::{Digest, Verdict, Verdicts},
};
use super::AuthError;
use crate::config::{AuthSection, ClientAccount, ConfigError, Env, Settings};

/// Longest token, in bytes. What is longer is refused before anything is done with it.
const MAX_TOKEN: usize = 16 << 10;
/// Look-ups that may be under way at a server at the same time. Further ones wait for their turn.
const LOOKUPS: usize = 64;
/// Tokens that may be looked up or wait for it. Above it clients are told to come again.
const MAX_WAITING: usize = 1024;

/// Everybody who gives out tokens, checked but not contacted.
pub struct Providers {
    oidc: Vec<(crate::config::OidcSection, Rules)>,
    server: Option<Server>,
}

impl Providers {
    /// Reads the settings; secrets are in the variables that these name.
    pub fn read(settings: &Settings, env: &Env) -> Result<Self, ConfigError> {
        let auth = &settings.auth;
        let rules = |section: &crate::config::OidcSection| Rules::read(auth, &section.issuer, "oidc");
        let oidc: Result<_, ConfigError> =
            auth.oidc.iter().map(|section| Ok((section.clone(), rules(section)?))).collect();
        Ok(Self { oidc: oidc?, server: Server::read(auth, env)? })
    }
}

/// Who is asked about tokens that are not those of an issuer of JWTs.
enum Server {
    Introspection(Introspection),
    Globus(Globus),
}

impl Server {
    fn read(auth: &AuthSection, env: &Env) -> Result<Option<Self>, ConfigError> {
        let skew = i64::try_from(auth.clock_skew_seconds).unwrap_or(i64::MAX);
        if let Some(section) = auth.introspection.clone() {
            let (id, secret) = (&section.client_id_env_name, &section.client_secret_env_name);
            let account = ClientAccount::read(env, "auth.introspection", id, secret)?;
            let rules = Rules::read(auth, section.label(), "oauth2")?;
            return Ok(Some(Self::Introspection(Introspection { section, account, rules, skew })));
        }
        let Some(section) = auth.globus.clone() else { return Ok(None) };
        let (id, secret) = (&section.client_id_env_name, &section.client_secret_env_name);
        let account = ClientAccount::read(env, "auth.globus", id, secret)?;
        let rules = Rules::read(auth, &section.url, "globus")?;
        Ok(Some(Self::Globus(Globus { section, account, rules, skew })))
    }

    fn name(&self) -> &str {
        match self {
            Self::Introspection(one) => one.rules.issuer(),
            Self::Globus(one) => one.rules.issuer(),
        }
    }

    async fn look_up(&self, ask: &Ask, token: &str) -> Result<Verdict, Away> {
        match self {
            Self::Introspection(one) => one.look_up(ask, token).await,
            Self::Globus(one) => one.look_up(ask, token).await,
        }
    }
}

/// Who shows which token.
pub(super) struct Tokens {
    issuers: Vec<Arc<Issuer>>,
    opaque: Option<Arc<Opaque>>,
    verdicts: Arc<Verdicts>,
}

impl Tokens {
    /// `None` where nobody but the gateway gives out tokens. Has to be called within the runtime that look-ups run in.
    pub(super) fn new(providers: Providers, settings: &Settings, egress: Egress) -> Option<Self> {
        let (auth, ask) = (&settings.auth, Ask::new(settings, egress));
        let seconds = Duration::from_secs;
        let verdicts =
            Verdicts::new(seconds(auth.keep_seconds), seconds(auth.keep_refused_seconds), auth.keep_tokens);
        let verdicts = Arc::new(verdicts);
        let issuer = |(section, rules)| Arc::new(Issuer::new(auth, &section, rules, ask.clone()));
        let issuers: Vec<_> = providers.oidc.into_iter().map(issuer).collect();
        let opaque = providers.server.map(|server| Opaque::new(server, ask.clone(), Arc::clone(&verdicts)));
        let is_any = !issuers.is_empty() || opaque.is_some();
        is_any.then_some(Self { issuers, opaque, verdicts })
    }

    /// Fetches keys of issuers before they are needed, until `stop`.
    pub(super) fn follow(&self, stop: &CancellationToken) {
        for issuer in &self.issuers {
            tokio::spawn(Arc::clone(issuer).follow(stop.clone()));
        }
    }

    /// Who shows this token. Waits for nobody where that is known.
    pub(super) async fn verdict(&self, token: &[u8]) -> Verdict {
        let token = std::str::from_utf8(token).map_err(|_| AuthError::Invalid)?;
        if token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AuthError::Invalid);
        }
        let digest: Digest = Sha256::digest(token).into();
        if let Some(known) = self.verdicts.get(&digest) {
            return known;
        }
        let jwt = Jwt::parse(token);
        let issuer = jwt.as_ref().and_then(|jwt| {
            let named = jwt.issuer()?;
            Some((self.issuers.iter().find(|issuer| issuer.name() == named)?, jwt))
        });
        match (issuer, &self.opaque) {
            (Some((issuer, jwt)), _) => {
                let verdict = issuer.verdict(jwt).await;
                self.verdicts.keep(digest, &verdict);
                verdict
            }
            (None, Some(opaque)) => opaque.verdict(digest, token).await,
            (None, None) => Err(AuthError::Invalid),
        }
    }
}

/// What all who show the same token wait for.
type Flight = Shared<BoxFuture<'static, Verdict>>;

/// A server that is asked about each token, and what it is being asked.
struct Opaque {
    server: Server,
    ask: Ask,
    presence: Presence,
    turns: Semaphore,
    flights: Mutex<HashMap<Digest, Flight>>,
    verdicts: Arc<Verdicts>,
}

impl Opaque {
    fn new(server: Server, ask: Ask, verdicts: Arc<Verdicts>) -> Arc<Self> {
        let turns = Semaphore::new(LOOKUPS);
        Arc::new(Self {
            server,
            ask,
            presence: Presence::default(),
            turns,
            flights: Mutex::default(),
            verdicts,
        })
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Digest, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks about a token, once for all who wait for the answer.
    async fn verdict(self: &Arc<Self>, digest: Digest, token: &str) -> Verdict {
        let flight = {
            let mut flights = self.flights();
            if let Some(flight) = flights.get(&digest) {
                flight.clone()
            } else if let Some(known) = self.verdicts.get(&digest) {
                return known; // it has come since somebody looked
            } else if flights.len() >= MAX_WAITING {
                return Err(AuthError::Unavailable);
            } else {
                let flight = self.take_off(digest, token.to_owned());
                flights.insert(digest, flight.clone());
                flight
            }
        };
        flight.await
    }

    /// On a task of its own: who asked may be gone before the answer is there, and others wait for it too.
    fn take_off(self: &Arc<Self>, digest: Digest, token: String) -> Flight {
        let opaque = Arc::clone(self);
        let task = self.ask.home().spawn(async move {
            let _landing = Landing(&opaque, digest);
            let outcome = opaque.ask.in_time(Box::pin(opaque.look_up(&token))).await;
            opaque.presence.note(opaque.server.name(), &outcome);
            let verdict = outcome.unwrap_or(Err(AuthError::Unavailable));
            opaque.verdicts.keep(digest, &verdict);
            verdict
        });
        async move { task.await.unwrap_or(Err(AuthError::Unavailable)) }.boxed().shared()
    }

    async fn look_up(&self, token: &str) -> Result<Verdict, Away> {
        let _turn = self.turns.acquire().await.map_err(|error| Away(error.to_string()))?;
        self.server.look_up(&self.ask, token).await
    }
}

/// Takes a look-up that is over out of those that are under way.
struct Landing<'a>(&'a Opaque, Digest);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.0.flights().remove(&self.1);
    }
}
