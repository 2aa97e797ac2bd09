//! What is counted, for whom, and what of it a request wants.

use std::{sync::Arc, time::Duration};

use super::window::Span;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Requests in any second.
    RequestsPerSecond,
    /// Requests in any minute.
    RequestsPerMinute,
    /// Tokens in any minute.
    TokensPerMinute,
    /// Tokens in a day (UTC).
    TokensPerDay,
    /// Requests whose last byte is not gone.
    Concurrent,
}

impl Kind {
    /// As messages have it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests per second",
            Self::RequestsPerMinute => "requests per minute",
            Self::TokensPerMinute => "tokens per minute",
            Self::TokensPerDay => "tokens per day",
            Self::Concurrent => "requests at a time",
        }
    }

    /// As metrics and Redis have it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests_per_second",
            Self::RequestsPerMinute => "requests_per_minute",
            Self::TokensPerMinute => "tokens_per_minute",
            Self::TokensPerDay => "tokens_per_day",
            Self::Concurrent => "concurrent_requests",
        }
    }

    /// The time that it is counted over, where that has a length.
    pub(super) const fn span(self) -> Option<Span> {
        match self {
            Self::RequestsPerSecond => Some(Span::SECOND),
            Self::RequestsPerMinute | Self::TokensPerMinute => Some(Span::MINUTE),
            Self::TokensPerDay | Self::Concurrent => None,
        }
    }

    const fn counts_tokens(self) -> bool {
        matches!(self, Self::TokensPerMinute | Self::TokensPerDay)
    }
}

/// A key, a user or a tenant: by the tenant and when that was made, and a name in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The tenant's name.
    pub tenant: Arc<str>,
    /// Tells it from an earlier one of the same name.
    pub since: i64,
    /// The key's id, or the user; empty for the tenant itself.
    pub name: Arc<str>,
}

/// An endpoint: whose it is, and its slug.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The tenant that has it.
    pub owner: Arc<str>,
    /// Its slug.
    pub slug: Arc<str>,
}

/// Whom something is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whose {
    /// A key.
    Key(Owner),
    /// A user, whichever keys they have.
    User(Owner),
    /// All of a tenant.
    Tenant(Owner),
    /// All who use an endpoint.
    Endpoint(Place),
    /// One user of an endpoint.
    UserOf(Place, Owner),
}

impl Whose {
    /// As messages have it. Names are nobody's business: an endpoint may be another tenant's.
    pub const fn words(&self) -> &'static str {
        match self {
            Self::Key(_) => "this API key",
            Self::User(_) => "you, with all of your keys",
            Self::Tenant(_) => "your tenant",
            Self::Endpoint(_) => "the model, for all who use it",
            Self::UserOf(..) => "you on this model",
        }
    }

    /// Whether it goes with the caller, wherever a request is sent.
    pub(super) const fn is_caller(&self) -> bool {
        matches!(self, Self::Key(_) | Self::User(_) | Self::Tenant(_))
    }

    /// What is counted together is locked together.
    pub(super) fn group(&self) -> &str {
        match self {
            Self::Key(owner) | Self::User(owner) | Self::Tenant(owner) => &owner.tenant,
            Self::Endpoint(place) | Self::UserOf(place, _) => &place.slug,
        }
    }
}

/// One number that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Account {
    pub(super) whose: Whose,
    pub(super) kind: Kind,
}

/// What a request wants of an account.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) account: Account,
    pub(super) limit: u64,
    /// Never above the limit: what is larger than all that there is gets in alone.
    pub(super) cost: u64,
}

impl Claim {
    /// `None` where there is no limit.
    pub(super) fn new(whose: &Whose, kind: Kind, limit: u64, tokens: u64) -> Option<Self> {
        let cost = if kind.counts_tokens() { tokens.clamp(1, limit.max(1)) } else { 1 };
        let account = || Account { whose: whose.clone(), kind };
        (limit > 0).then(|| Self { account: account(), limit, cost })
    }
}

/// What a request has got of an account.
#[derive(Debug, Clone)]
pub(super) struct Take {
    pub(super) account: Account,
    pub(super) amount: u64,
    /// The slot, or the day.
    pub(super) at: i64,
    /// What Redis knows it by; `None` where it is counted here.
    pub(super) shared: Option<u64>,
}

/// How far a limit is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Until all of it is back.
    pub reset: Duration,
}

/// How far a request's limits are used up: of each sort the one of which the least is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of requests in some time.
    pub requests: Option<Level>,
    /// Of tokens in some time.
    pub tokens: Option<Level>,
}

impl Standing {
    pub(super) fn see(&mut self, kind: Kind, level: Level) {
        let place = match kind {
            Kind::Concurrent => return,
            kind if kind.counts_tokens() => &mut self.tokens,
            _ => &mut self.requests,
        };
        if place.is_none_or(|known| level.remaining < known.remaining) {
            *place = Some(level);
        }
    }

    pub(super) fn and(mut self, other: &Self) -> Self {
        if let Some(level) = other.requests {
            self.see(Kind::RequestsPerMinute, level);
        }
        if let Some(level) = other.tokens {
            self.see(Kind::TokensPerMinute, level);
        }
        self
    }
}

/// The same, apart: the caller's stays where the next endpoint is tried.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standings {
    pub(super) caller: Standing,
    pub(super) endpoint: Standing,
}

impl Standings {
    pub(super) fn see(&mut self, account: &Account, level: Level) {
        let standing = if account.whose.is_caller() { &mut self.caller } else { &mut self.endpoint };
        standing.see(account.kind, level);
    }

    pub(super) fn and(self, other: &Self) -> Self {
        Self { caller: self.caller.and(&other.caller), endpoint: self.endpoint.and(&other.endpoint) }
    }
}

/// Why a claim was not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) account: Account,
    pub(super) limit: u64,
    /// Until it might be; `None`: not today.
    pub(super) wait: Option<Duration>,
}

impl Short {
    /// The one that takes longer.
    pub(super) fn or(self, other: Option<Self>) -> Self {
        let length = |short: &Self| short.wait.unwrap_or(Duration::MAX);
        match other {
            Some(other) if length(&other) > length(&self) => other,
            _ => self,
        }
    }
}

/// What came of all the claims of a request: all of them are met, or none.
pub(super) struct Answer {
    pub(super) result: Result<Vec<Take>, Short>,
    pub(super) standings: Standings,
}

/// What a request has used in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent {
    /// Whether it counts as a request.
    pub(super) counts: bool,
    /// Its tokens; what was reserved, where nobody knows.
    pub(super) tokens: Option<u64>,
}

impl Spent {
    /// As if it had never been.
    pub(super) const NOTHING: Self = Self { counts: false, tokens: Some(0) };
    /// It was asked, and nothing came of it.
    pub(super) const NO_TOKENS: Self = Self { counts: true, tokens: Some(0) };
    /// What was reserved.
    pub(super) const AS_RESERVED: Self = Self { counts: true, tokens: None };

    /// What becomes of an amount in a window: less, as it is, or more.
    pub(super) fn of(&self, take: &Take) -> u64 {
        match (take.account.kind.counts_tokens(), self.tokens) {
            (true, Some(tokens)) => tokens,
            (true, None) => take.amount,
            (false, _) => {
                if self.counts {
                    take.amount
                } else {
                    0
                }
            }
        }
    }
}
