//! An issuer of JWTs (OpenID Connect Discovery): its keys, as it publishes them, and what its tokens have to say.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use http::{HeaderMap, header};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    ask::{Ask, Away, Presence},
    claims::{self, text},
    jwk::KeySet,
    jwt::{Claims, Jwt},
    rules::{Person, Rules},
    verdicts::Verdict,
};
use crate::{
    auth::AuthError,
    config::{AuthSection, OidcSection},
    store::now,
};

/// How long keys are kept where the issuer does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(900);
/// What it may say.
const LIVES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));
/// How soon an issuer that was away is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// How soon without anybody who asks.
const BACKGROUND_RETRY: Duration = Duration::from_secs(10);

/// One issuer.
pub(super) struct Issuer {
    section: OidcSection,
    rules: Rules,
    skew: i64,
    pause: Duration,
    ask: Ask,
    keys: ArcSwapOption<KeySet>,
    fetching: Mutex<Fetching>,
    presence: Presence,
}

/// Whether keys could be fetched, for all who wait for them.
type Flight = Shared<BoxFuture<'static, bool>>;

#[derive(Default)]
struct Fetching {
    /// On its way, where it is not done.
    flight: Option<Flight>,
    /// When the last one was over, and how it went.
    last: Option<(Instant, bool)>,
    /// When keys are to be fetched whether somebody asks or not.
    due: Option<Instant>,
}

/// What counts of the document that an issuer describes itself with.
#[derive(Deserialize)]
struct Description {
    issuer: String,
    jwks_uri: String,
}

impl Description {
    /// Where the keys of this issuer are, where it is this one that is described. What is encrypted stays so.
    fn keys_of(&self, issuer: &str) -> Result<&str, &'static str> {
        if self.issuer != issuer {
            return Err("describes another issuer");
        }
        if issuer.starts_with("https:") && !self.jwks_uri.starts_with("https:") {
            return Err("leads to keys that are not encrypted on their way");
        }
        Ok(&self.jwks_uri)
    }
}

impl Issuer {
    pub(super) fn new(section: &AuthSection, own: &OidcSection, rules: Rules, ask: Ask) -> Self {
        Self {
            section: own.clone(),
            rules,
            skew: i64::try_from(section.clock_skew_seconds).unwrap_or(i64::MAX),
            pause: Duration::from_secs(section.key_pause_seconds),
            ask,
            keys: ArcSwapOption::empty(),
            fetching: Mutex::default(),
            presence: Presence::default(),
        }
    }

    /// Its address, as tokens have it.
    pub(super) fn name(&self) -> &str {
        &self.section.issuer
    }

    /// Who shows this token. Waits where its key is not known yet.
    pub(super) async fn verdict(self: &Arc<Self>, jwt: &Jwt<'_>) -> Verdict {
        let algorithm = jwt.algorithm()?;
        let until = claims::valid_until(&jwt.claims, now(), self.skew)?;
        let until = until.ok_or(AuthError::Token("it does not say when it ends"))?;
        claims::check_audience(&jwt.claims, &self.section.audience)?;
        let known =
            |keys: &Option<Arc<KeySet>>| keys.as_ref().is_some_and(|keys| jwt.is_known_to(keys, algorithm));
        let mut keys = self.keys.load_full();
        if !known(&keys) {
            let is_there = self.fetched().await;
            keys = self.keys.load_full();
            if !is_there && !known(&keys) {
                return Err(AuthError::Unavailable);
            }
        }
        let keys = keys.ok_or(AuthError::Unavailable)?;
        jwt.check(&keys, algorithm)?;
        claims::check_scopes(&jwt.claims, &self.section.required_scopes)?;
        self.rules.caller(self.person(&jwt.claims, until)?)
    }

    fn person(&self, claims: &Claims, until: i64) -> Result<Person, AuthError> {
        let subject = claims::subject(text(claims, "sub"))?;
        let client = text(claims, "client_id").or_else(|| text(claims, "azp"));
        let of_client = client.is_some_and(|client| {
            client == subject
                || text(claims, "preferred_username") == Some(&format!("service-account-{client}"))
        });
        let by_grant = text(claims, "gty") == Some("client-credentials");
        let name = ["preferred_username", "email", "name"].iter().find_map(|claim| text(claims, claim));
        let username = claims::name(name.unwrap_or(&subject));
        Ok(Person {
            // RFC 9068, 2.2: without a person the subject is the client. Keycloak and Auth0 have signs of their own.
            is_service: of_client || by_grant,
            aliases: Vec::new(),
            full_name: text(claims, "name").map_or_else(|| username.clone(), claims::name),
            username,
            groups: claims::groups(claims, &self.section.groups_claim)?,
            domain: claims::domain(claims, &self.section.domain_claims),
            provider: (self.name().to_owned(), host(self.name())),
            expires_at: Some(until),
            subject,
        })
    }

    fn fetching(&self) -> MutexGuard<'_, Fetching> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether keys could be fetched just now: once for all who ask at the same time, and not more often than every few
    /// seconds.
    async fn fetched(self: &Arc<Self>) -> bool {
        let flight = {
            let mut fetching = self.fetching();
            match (&fetching.flight, fetching.last) {
                (Some(flight), _) if flight.peek().is_none() => flight.clone(),
                (_, Some((at, went_well))) if at.elapsed() < if went_well { self.pause } else { RETRY } => {
                    return went_well;
                }
                _ => {
                    let flight = self.take_off();
                    fetching.flight = Some(flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    /// Fetches keys, on a task of its own: who asked for them may be gone before they are there.
    fn take_off(self: &Arc<Self>) -> Flight {
        let issuer = Arc::clone(self);
        let task = self.ask.home().spawn(async move {
            let outcome = issuer.ask.in_time(issuer.fetch()).await;
            issuer.presence.note(issuer.name(), &outcome);
            let wait = *outcome.as_ref().unwrap_or(&BACKGROUND_RETRY);
            let mut fetching = issuer.fetching();
            let now = Instant::now();
            *fetching = Fetching { flight: None, last: Some((now, outcome.is_ok())), due: Some(now + wait) };
            outcome.is_ok()
        });
        async move { task.await.unwrap_or(false) }.boxed().shared()
    }

    /// Fetches keys, and says for how long they are good.
    async fn fetch(&self) -> Result<Duration, Away> {
        let place = format!("{}/.well-known/openid-configuration", self.name().trim_end_matches('/'));
        let description: Description = self.ask.get(&place, None).await?.good()?.json()?;
        let keys_at = description.keys_of(self.name()).map_err(|why| Away(format!("{place} {why}")))?;
        let answer = self.ask.get(keys_at, None).await?.good()?;
        let keys = KeySet::parse(&answer.body).map_err(|why| Away(format!("{keys_at}: {why}")))?;
        self.keys.store(Some(Arc::new(keys)));
        Ok(life(&answer.headers))
    }

    /// Fetches keys at once, and again before they are too old, until `stop`.
    pub(super) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            self.fetched().await;
            let soon = Instant::now() + RETRY;
            let due = self.fetching().due.map_or(soon, |due| due.max(soon));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(due.into()) => {}
            }
        }
    }
}

/// What a description of keys says of its life (RFC 9111, 5.2.2.1), within limits.
fn life(headers: &HeaderMap) -> Duration {
    let said = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let words = said.flat_map(|value| value.split(','));
    let seconds =
        words.filter_map(|word| word.trim().strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    seconds.map(Duration::from_secs).next().unwrap_or(DEFAULT_LIFE).clamp(LIVES.0, LIVES.1)
}

/// For people: an issuer's host.
fn host(issuer: &str) -> String {
    let url = url::Url::parse(issuer).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| issuer.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_where_the_issuer_itself_says_and_encrypted_where_it_is() {
        let of =
            |issuer: &str, jwks_uri: &str| Description { issuer: issuer.into(), jwks_uri: jwks_uri.into() };
        assert!(of("https://a.org", "https://keys.b.org/k").keys_of("https://a.org").is_ok());
        assert!(of("http://localhost:1", "http://localhost:1/k").keys_of("http://localhost:1").is_ok());
        assert!(of("https://a.org", "http://a.org/k").keys_of("https://a.org").is_err());
        assert!(of("https://a.org/", "https://a.org/k").keys_of("https://a.org").is_err());
    }

    #[test]
    fn keys_live_as_long_as_is_said_within_limits() {
        let of = |value: &'static str| {
            life(&HeaderMap::from_iter([(header::CACHE_CONTROL, http::HeaderValue::from_static(value))]))
        };
        assert_eq!(of("public, max-age=3600"), Duration::from_secs(3600));
        assert_eq!(of("max-age=1"), LIVES.0);
        assert_eq!(of("max-age=99999999"), LIVES.1);
        assert_eq!(of("no-store"), DEFAULT_LIFE);
    }
}
