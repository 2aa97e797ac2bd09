//! One request's way through its limits: its caller's are met with those of the first endpoint that takes it, in one step.
//! Where the next endpoint is tried, what the last one had held is given back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    Admission, Refusal, Refused, Standing, Takes,
    account::{Claim, Kind, Owner, Place, Spent, Standings, Whose},
    estimate::{self, Asked},
};
use crate::{
    auth::Caller,
    catalog::CatalogEndpoint,
    config::Limits,
    ledger::{Held, Outcome, Record},
    routing::Admit,
};

/// Tokens that one request can be charged, whatever its backend says: what another tenant's adaptor counts is its word.
const MOST_TOKENS: u64 = 1 << 24;

/// What a caller may use.
#[derive(Debug, Clone, Copy)]
pub struct CallerLimits {
    /// With this key.
    pub key: Limits,
    /// With all of the user's keys.
    pub user: Limits,
    /// All of the tenant.
    pub tenant: Limits,
    /// When the tenant was made.
    pub since: i64,
}

impl CallerLimits {
    /// The largest body, where the gateway takes so much.
    pub fn body(&self, most: u64) -> u64 {
        let own = [self.key, self.user, self.tenant].map(|limits| limits.body_bytes);
        own.into_iter().filter(|limit| *limit > 0).fold(most, u64::min)
    }

    fn claims(&self, caller: &Caller, tokens: u64) -> Vec<Claim> {
        let owner = |name: &Arc<str>| Owner {
            tenant: Arc::clone(&caller.tenant),
            since: self.since,
            name: Arc::clone(name),
        };
        let all = |limits: Limits, whose: &dyn Fn() -> Whose| {
            let kinds = [
                (Kind::RequestsPerSecond, limits.requests_per_second),
                (Kind::RequestsPerMinute, limits.requests_per_minute),
                (Kind::TokensPerMinute, limits.tokens_per_minute),
                (Kind::TokensPerDay, limits.tokens_per_day),
                (Kind::Concurrent, limits.concurrent_requests),
            ];
            let set = kinds.into_iter().filter(|(_, limit)| *limit > 0);
            set.filter_map(|(kind, limit)| Claim::new(&whose(), kind, limit, tokens)).collect::<Vec<_>>()
        };
        let mut claims = all(self.key, &|| Whose::Key(owner(&caller.key_id)));
        claims.extend(all(self.user, &|| Whose::User(owner(&caller.user))));
        claims.extend(all(self.tenant, &|| Whose::Tenant(owner(&Arc::from("")))));
        claims
    }
}

/// A request on its way.
pub struct Ticket {
    admission: Arc<Admission>,
    user: Owner,
    /// The caller's, until they are met.
    claims: Option<Vec<Claim>>,
    tokens: u64,
    body: u64,
    standings: Standings,
    refusal: Option<Refusal>,
    /// The caller's own limits are reached: no endpoint changes that.
    is_refused: bool,
    /// The endpoint that was tried last is of the caller's tenant.
    is_own: bool,
    got: Got,
}

/// What a request has got so far; nothing any more, once it is settled. Dropped before that it gives all back.
#[derive(Clone, Default)]
struct Got(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    caller: Option<Takes>,
    endpoint: Option<Takes>,
    was_asked: bool,
}

impl Ticket {
    /// For one request. Nothing is taken yet.
    pub fn new(
        admission: &Arc<Admission>,
        caller: &Caller,
        limits: &CallerLimits,
        asked: &Asked<'_>,
    ) -> Self {
        let tokens = estimate::tokens(asked);
        Self {
            admission: Arc::clone(admission),
            user: Owner {
                tenant: Arc::clone(&caller.tenant),
                since: limits.since,
                name: Arc::clone(&caller.user),
            },
            claims: Some(limits.claims(caller, tokens)),
            tokens,
            body: u64::try_from(asked.body.len()).unwrap_or(u64::MAX),
            standings: Standings::default(),
            refusal: None,
            is_refused: false,
            is_own: true,
            got: Got::default(),
        }
    }

    /// What is to be kept until the request is over.
    pub fn held(&self) -> Box<dyn Held> {
        Box::new(self.got.clone())
    }

    /// How far the limits are used up with this request: its caller's, and those of the endpoint that was tried last.
    pub fn standing(&self) -> Standing {
        self.standings.caller.and(&self.standings.endpoint)
    }

    /// Why it was not let on to an endpoint; of several reasons the one that passes first.
    pub fn refusal(&mut self) -> Option<Refusal> {
        self.refusal.take().inspect(|refusal| self.admission.count(refusal))
    }

    /// No backend was asked: it is as if the request had never been.
    pub fn was_not_asked(&self) {
        self.got.lock().was_asked = false;
    }

    /// Meets the caller's limits where no endpoint is asked.
    pub async fn admit_caller(&mut self) -> bool {
        self.meet(Vec::new()).await
    }

    async fn meet(&mut self, endpoint: Vec<Claim>) -> bool {
        if self.is_refused {
            return false;
        }
        let of_caller = self.claims.clone().unwrap_or_default();
        let claims = [of_caller, endpoint].concat();
        match self.admission.take(claims).await {
            Ok((takes, standings)) => {
                self.see(&standings);
                let (caller, endpoint) = takes.split();
                let mut got = self.got.lock();
                got.was_asked = true;
                got.endpoint = Some(endpoint);
                if self.claims.take().is_some() {
                    got.caller = Some(caller);
                }
                true
            }
            Err(Refused { refusal, is_callers, standings }) => {
                self.see(&standings);
                self.is_refused = is_callers;
                self.note(refusal);
                false
            }
        }
    }

    fn see(&mut self, standings: &Standings) {
        self.standings.endpoint = if self.is_own { standings.endpoint } else { Standing::default() };
        if self.claims.is_some() {
            self.standings.caller = standings.caller;
        }
    }

    fn note(&mut self, refusal: Refusal) {
        if self.refusal.as_ref().is_none_or(|known| refusal.wait() < known.wait()) {
            self.refusal = Some(refusal);
        }
    }

    fn claims_of(&self, endpoint: &CatalogEndpoint) -> Vec<Claim> {
        let limits = &endpoint.limits;
        let owner = endpoint.owner().map_or_else(|| Arc::from(""), |owner| Arc::clone(owner.name()));
        let place = Place { owner, slug: Arc::clone(&endpoint.slug) };
        let user = Whose::UserOf(place.clone(), self.user.clone());
        let all = Whose::Endpoint(place);
        let wanted = [
            (&all, Kind::TokensPerMinute, limits.tpm_model),
            (&all, Kind::RequestsPerMinute, limits.rpm_model),
            (&all, Kind::Concurrent, limits.max_concurrent),
            (&user, Kind::TokensPerMinute, limits.tpm_user),
            (&user, Kind::RequestsPerMinute, limits.rpm_user),
        ];
        wanted
            .into_iter()
            .filter_map(|(whose, kind, limit)| Claim::new(whose, kind, limit, self.tokens))
            .collect()
    }
}

impl Admit for Ticket {
    async fn admit(&mut self, endpoint: &CatalogEndpoint) -> bool {
        let largest = endpoint.limits.max_body_bytes;
        if largest > 0 && self.body > largest {
            self.note(Refusal::Body(largest));
            return false;
        }
        let before = self.got.lock().endpoint.take();
        if let Some(before) = before {
            before.settle(Spent::NO_TOKENS);
        }
        let claims = self.claims_of(endpoint);
        // What all tenants together leave of another tenant's endpoint is none of this one's business.
        self.is_own = endpoint.owner().is_none_or(|owner| *owner.name() == self.user.tenant);
        self.meet(claims).await
    }

    fn charge(&mut self) {
        self.got.settle(Spent::AS_RESERVED);
    }
}

impl Got {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, spent: Spent) {
        let State { caller, endpoint, .. } = std::mem::take(&mut *self.lock());
        [caller, endpoint].into_iter().flatten().for_each(|takes| takes.settle(spent));
    }
}

impl Held for Got {
    fn settle(self: Box<Self>, record: &Record) {
        let spent = if self.lock().was_asked { spent(record) } else { Spent::NOTHING };
        Got::settle(&self, spent);
    }
}

/// What a request has used, as far as anybody knows.
fn spent(record: &Record) -> Spent {
    let tokens = match record.usage {
        Some(usage) => {
            let sum = usage.prompt_tokens.saturating_add(usage.completion_tokens);
            Some(usage.total_tokens.max(sum).min(MOST_TOKENS))
        }
        // Of an answer that never began nothing was read; whoever leaves an answer has had the model compute it.
        None if record.outcome == Outcome::Failed && record.first_byte.is_none() => Some(0),
        None => None,
    };
    Spent { counts: true, tokens }
}
