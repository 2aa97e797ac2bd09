//! One number that is kept: in a window of time, of what is open now, or of a day.

use std::time::Duration;

use super::{
    account::{Claim, Kind, Level, Spent, Take},
    window::Window,
};

/// How long what is open may stay so is anybody's guess.
const SOON: Duration = Duration::from_secs(1);
const DAY: i64 = 86_400;

/// The time, as it is counted here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// Milliseconds since the gateway began; no clock that is set changes it.
    pub(super) ms: u64,
    /// Seconds since 1970, UTC.
    pub(super) unix: i64,
}

impl Now {
    /// Days since 1970.
    pub(super) const fn day(self) -> i64 {
        self.unix.div_euclid(DAY)
    }

    fn until_tomorrow(self) -> Duration {
        Duration::from_secs(u64::try_from(DAY - self.unix.rem_euclid(DAY)).unwrap_or_default())
    }
}

/// Tokens of one day.
#[derive(Debug, Default)]
pub(super) struct Day {
    day: i64,
    /// What the store says, of all gateways.
    written: u64,
    /// What is not written down yet.
    fresh: u64,
    /// What open requests may use.
    reserved: u64,
}

/// What is kept of one account.
#[derive(Debug)]
pub(super) enum Meter {
    Window(Window),
    Open(u64),
    Day(Day),
}

/// Why a claim does not fit, and for how long; without a time: not today.
pub(super) type Wait = Option<Duration>;

impl Meter {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Concurrent => Self::Open(0),
            Kind::TokensPerDay => Self::Day(Day::default()),
            _ => Self::Window(Window::default()),
        }
    }

    /// Whether the claim fits, and how far the limit is used up.
    pub(super) fn look(&mut self, claim: &Claim, now: Now) -> (Result<(), Wait>, Level) {
        let Claim { account, limit, cost } = claim;
        let (used, reset, wait) = match self {
            Self::Window(window) => {
                let Some(span) = account.kind.span() else {
                    return (Ok(()), level(*limit, 0, Duration::ZERO));
                };
                let used = window.sum(span, now.ms);
                (used, window.reset(span, now.ms), Some(window.wait(span, now.ms, *cost, *limit)))
            }
            Self::Open(open) => (*open, SOON, Some(SOON)),
            Self::Day(day) => {
                day.turn(now.day());
                let spent = day.spent();
                // What others have reserved may come back; what was used does not.
                let wait = (spent.saturating_add(*cost) <= *limit).then_some(SOON);
                (spent.saturating_add(day.reserved), now.until_tomorrow(), wait)
            }
        };
        let fits = used.saturating_add(*cost) <= *limit;
        (if fits { Ok(()) } else { Err(wait) }, level(*limit, used, reset))
    }

    /// Takes what a claim wants, which was looked at before.
    pub(super) fn take(&mut self, claim: &Claim, now: Now) -> Take {
        let at = match self {
            Self::Window(window) => {
                let span = claim.account.kind.span();
                signed(span.map_or(0, |span| window.add(span, now.ms, claim.cost)))
            }
            Self::Open(open) => {
                *open = open.saturating_add(1);
                0
            }
            Self::Day(day) => {
                day.turn(now.day());
                day.reserved = day.reserved.saturating_add(claim.cost);
                day.day
            }
        };
        Take { account: claim.account.clone(), amount: claim.cost, at, shared: None }
    }

    /// What was taken is over, and came to this.
    pub(super) fn settle(&mut self, take: &Take, spent: Spent, now: Now) {
        let amount = spent.of(take);
        match self {
            Self::Window(window) => {
                let less = take.amount.saturating_sub(amount);
                if less > 0 {
                    window.give_back(unsigned(take.at), less);
                }
                // What nobody had expected counts from now on.
                if let (more @ 1.., Some(span)) =
                    (amount.saturating_sub(take.amount), take.account.kind.span())
                {
                    window.sum(span, now.ms);
                    window.add(span, now.ms, more);
                }
            }
            Self::Open(open) => *open = open.saturating_sub(1),
            Self::Day(day) => {
                day.turn(now.day());
                if day.day == take.at {
                    day.reserved = day.reserved.saturating_sub(take.amount);
                }
                // After midnight it belongs to the new day.
                day.fresh = day.fresh.saturating_add(amount);
            }
        }
    }

    /// Whether it may be forgotten.
    pub(super) fn is_idle(&mut self, kind: Kind, now: Now) -> bool {
        match self {
            Self::Window(window) => kind.span().is_none_or(|span| window.sum(span, now.ms) == 0),
            Self::Open(open) => *open == 0,
            Self::Day(day) => {
                let is_past = day.day < now.day();
                is_past || (day.reserved == 0 && day.spent() == 0)
            }
        }
    }

    /// What is not written down yet of this day.
    pub(super) fn fresh(&self, today: i64) -> u64 {
        match self {
            Self::Day(day) if day.day == today => day.fresh,
            _ => 0,
        }
    }

    /// So much was written down, after which all gateways have used so much.
    pub(super) fn note(&mut self, today: i64, written: u64, total: Option<u64>) {
        if let Self::Day(day) = self {
            day.turn(today);
            if day.day != today {
                return; // the day has ended while it was written down
            }
            day.fresh = day.fresh.saturating_sub(written);
            day.written = total.unwrap_or_else(|| day.written.saturating_add(written));
        }
    }

    /// What open requests hold: how many they are, and how many tokens.
    pub(super) fn held(&self) -> (u64, u64) {
        match self {
            Self::Window(_) => (0, 0),
            Self::Open(open) => (*open, 0),
            Self::Day(day) => (0, day.reserved),
        }
    }
}

impl Day {
    /// A clock that is set back does not bring a day back.
    fn turn(&mut self, today: i64) {
        if self.day < today {
            *self = Self { day: today, ..Self::default() };
        }
    }

    fn spent(&self) -> u64 {
        self.written.saturating_add(self.fresh)
    }
}

fn level(limit: u64, used: u64, reset: Duration) -> Level {
    Level { limit, remaining: limit.saturating_sub(used), reset }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
