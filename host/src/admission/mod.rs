//! How much keys, users, tenants and endpoints may use: rates, tokens, what is open at a time. All limits of a request are
//! looked at and met in one step, or it takes nothing of any; what it turns out to have used is settled with its last byte.

mod account;
mod days;
mod estimate;
mod local;
mod meter;
mod redis;
mod refusal;
mod ticket;
mod window;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio_util::sync::CancellationToken;

pub use account::{Kind, Level, Standing};
pub use estimate::Asked;
pub use refusal::{Refusal, go_duration};
pub use ticket::{CallerLimits, Ticket};

use self::{
    account::{Answer, Claim, Spent, Standings, Take},
    days::Days,
    local::Local,
    meter::Now,
    redis::{Lost, Redis},
};
use crate::{
    config::{LimitsSection, RedisLost},
    store::{Store, StoreError, now},
};

/// Why limits cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// The setting `limits.redis` is no address.
    #[error("limits.redis cannot be used: {0}")]
    Redis(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All limits of a gateway, and how far they are used up.
pub struct Admission {
    started: Instant,
    local: Arc<Local>,
    days: Days,
    redis: Option<Arc<Redis>>,
    lost: RedisLost,
    refused: [AtomicU64; Refusal::LABELS.len()],
}

/// What is counted at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// How many requests were refused since the start, by the limit that they met.
    pub refused: Vec<(&'static str, u64)>,
    /// Requests that hold a place where those at a time are limited: each counts once for every such limit. With Redis, all
    /// requests that are not settled.
    pub open: u64,
    /// Tokens of days that open requests have reserved.
    pub reserved: u64,
    /// Numbers that are kept in memory.
    pub meters: usize,
}

impl Admission {
    /// With what was used earlier today. A Redis server that is not there ends no start.
    pub async fn open(section: &LimitsSection, store: Store) -> Result<Arc<Self>, AdmissionError> {
        let local = Arc::new(Local::default());
        let redis = section.redis.as_ref().map(|url| Redis::new(url, section)).transpose();
        let redis = redis.map_err(AdmissionError::Redis)?.map(Arc::new);
        if let Some(redis) = &redis {
            redis.begin().await;
        }
        Ok(Arc::new(Self {
            started: Instant::now(),
            days: Days::open(store, Arc::clone(&local)).await?,
            local,
            redis,
            lost: section.redis_lost,
            refused: Default::default(),
        }))
    }

    /// Keeps the connection to Redis, and writes down the tokens of the day, until `stop`.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let redis = async {
            if let Some(redis) = &self.redis {
                Arc::clone(redis).run(stop.clone()).await;
            }
        };
        tokio::join!(self.days.keep(stop.clone()), redis);
    }

    /// Writes down the tokens of the day.
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.days.settle().await
    }

    /// Whether Redis counts at this moment.
    pub fn is_shared(&self) -> bool {
        self.redis.as_ref().is_some_and(|redis| redis.is_there())
    }

    /// What is counted at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let (meters, open, reserved) = self.local.held();
        let shared = self.redis.as_ref().map_or(0, |redis| redis.open());
        let refused = Refusal::LABELS.iter().zip(&self.refused);
        Snapshot {
            refused: refused.map(|(label, count)| (*label, count.load(Ordering::Relaxed))).collect(),
            open: open.saturating_add(u64::try_from(shared).unwrap_or(u64::MAX)),
            reserved,
            meters,
        }
    }

    fn now(&self) -> Now {
        Now { ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX), unix: now() }
    }

    /// Meets all claims, or none. Dropped before its end it takes nothing here; what Redis
    /// has taken by then goes with its lease and its window.
    async fn take(self: &Arc<Self>, claims: Vec<Claim>) -> Result<(Takes, Standings), Refused> {
        let Some(redis) = self.redis.as_ref().filter(|_| !claims.is_empty()) else {
            return self.take_here(&claims);
        };
        // Days are counted in the store.
        let (days, rest): (Vec<_>, Vec<_>) =
            claims.into_iter().partition(|c| c.account.kind == Kind::TokensPerDay);
        let (mut takes, standings) = self.take_here(&days)?;
        if rest.is_empty() {
            return Ok((takes, standings));
        }
        match redis.take(&rest).await {
            Ok(answer) => {
                let (more, further) = self.told(answer)?;
                takes.add(more);
                Ok((takes, standings.and(&further)))
            }
            Err(Lost) if self.lost == RedisLost::Refuse => {
                Err(Refused { refusal: Refusal::Unavailable, is_callers: true, standings })
            }
            Err(Lost) => {
                let (more, further) = self.take_here(&rest)?;
                takes.add(more);
                Ok((takes, standings.and(&further)))
            }
        }
    }

    fn take_here(self: &Arc<Self>, claims: &[Claim]) -> Result<(Takes, Standings), Refused> {
        self.told(self.local.take(claims, self.now()))
    }

    fn told(self: &Arc<Self>, answer: Answer) -> Result<(Takes, Standings), Refused> {
        match answer.result {
            Ok(list) => Ok((Takes { admission: Arc::clone(self), list }, answer.standings)),
            Err(short) => {
                let is_callers = short.account.whose.is_caller();
                Err(Refused { refusal: short.into(), is_callers, standings: answer.standings })
            }
        }
    }

    fn count(&self, refusal: &Refusal) {
        let labels = Refusal::LABELS.iter().zip(&self.refused);
        if let Some((_, count)) = labels.into_iter().find(|(label, _)| **label == refusal.label()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Why a request has got nothing.
struct Refused {
    refusal: Refusal,
    /// Whether it would be the same with any other endpoint.
    is_callers: bool,
    standings: Standings,
}

/// What a request has got. Dropped, it gives all of it back.
struct Takes {
    admission: Arc<Admission>,
    list: Vec<Take>,
}

impl Takes {
    fn add(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
    }

    /// What goes with the caller, and what with the endpoint.
    fn split(mut self) -> (Self, Self) {
        let (caller, endpoint) = self.list.drain(..).partition(|take| take.account.whose.is_caller());
        let of = |list| Self { admission: Arc::clone(&self.admission), list };
        (of(caller), of(endpoint))
    }

    fn settle(mut self, spent: Spent) {
        self.give(spent);
    }

    fn give(&mut self, spent: Spent) {
        let list = std::mem::take(&mut self.list);
        let (shared, own): (Vec<_>, Vec<_>) = list.into_iter().partition(|take| take.shared.is_some());
        self.admission.local.settle(&own, spent, self.admission.now());
        if let Some(redis) = self.admission.redis.as_ref().filter(|_| !shared.is_empty()) {
            redis.settle(&shared, spent);
        }
    }
}

impl Drop for Takes {
    fn drop(&mut self) {
        if !self.list.is_empty() {
            self.give(Spent::NOTHING);
        }
    }
}
