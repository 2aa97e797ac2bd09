//! The numbers of this gateway, in memory. All claims of a request are looked at and met under the locks of all that they
//! touch, which are taken in one order and held for a microsecond.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    account::{Account, Answer, Claim, Level, Short, Spent, Standings, Take},
    meter::{Meter, Now},
};

/// How many locks there are.
const SHARDS: u64 = 64;
/// After so long what nobody uses is forgotten, in milliseconds.
const SWEEP: u64 = 60_000;

/// All numbers.
pub(super) struct Local {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    meters: HashMap<Account, Meter>,
    swept: u64,
}

impl Default for Local {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl Local {
    fn place(&self, account: &Account) -> usize {
        usize::try_from(self.hasher.hash_one(account.whose.group()) % SHARDS).unwrap_or_default()
    }

    fn lock(&self, place: usize) -> Option<MutexGuard<'_, Shard>> {
        Some(self.shards.get(place)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Meets all claims, or none.
    pub(super) fn take(&self, claims: &[Claim], now: Now) -> Answer {
        let mut places: Vec<usize> = claims.iter().map(|claim| self.place(&claim.account)).collect();
        places.sort_unstable();
        places.dedup();
        let mut shards: Vec<_> =
            places.iter().filter_map(|place| Some((*place, self.lock(*place)?))).collect();
        shards.iter_mut().for_each(|(_, shard)| shard.sweep(now));
        let (mut standings, mut short) = (Standings::default(), None::<Short>);
        for claim in claims {
            let Some(shard) = shard_of(&mut shards, self.place(&claim.account)) else { continue };
            let (fits, level) = shard.look(claim, now);
            let left =
                if fits.is_ok() { level.remaining.saturating_sub(claim.cost) } else { level.remaining };
            standings.see(&claim.account, Level { remaining: left, ..level });
            if let Err(wait) = fits {
                let this = Short { account: claim.account.clone(), limit: claim.limit, wait };
                short = Some(this.or(short));
            }
        }
        let result = match short {
            Some(short) => Err(short),
            None => Ok(claims
                .iter()
                .filter_map(|claim| {
                    let shard = shard_of(&mut shards, self.place(&claim.account))?;
                    Some(shard.meter(&claim.account).take(claim, now))
                })
                .collect()),
        };
        Answer { result, standings }
    }

    /// What was taken is over.
    pub(super) fn settle(&self, takes: &[Take], spent: Spent, now: Now) {
        for take in takes {
            if let Some(mut shard) = self.lock(self.place(&take.account)) {
                shard.meter(&take.account).settle(take, spent, now);
            }
        }
    }

    /// Goes over everything, one lock after the other.
    fn each(&self, mut see: impl FnMut(&Account, &Meter)) {
        for place in 0..self.shards.len() {
            if let Some(shard) = self.lock(place) {
                shard.meters.iter().for_each(|(account, meter)| see(account, meter));
            }
        }
    }

    /// What is not written down yet of a day.
    pub(super) fn fresh(&self, day: i64) -> Vec<(Account, u64)> {
        let mut fresh = Vec::new();
        self.each(|account, meter| match meter.fresh(day) {
            0 => {}
            amount => fresh.push((account.clone(), amount)),
        });
        fresh
    }

    /// So much was written down of an account; `total` is what all gateways have used of it, where that is known.
    pub(super) fn note(&self, account: &Account, day: i64, written: u64, total: Option<u64>) {
        if let Some(mut shard) = self.lock(self.place(account)) {
            shard.meter(account).note(day, written, total);
        }
    }

    /// How many numbers there are, how many requests they count as open, and how many tokens of a day are reserved.
    pub(super) fn held(&self) -> (usize, u64, u64) {
        let (mut count, mut open, mut reserved) = (0, 0_u64, 0_u64);
        self.each(|_, meter| {
            let (more_open, more_reserved) = meter.held();
            count += 1;
            open = open.saturating_add(more_open);
            reserved = reserved.saturating_add(more_reserved);
        });
        (count, open, reserved)
    }
}

fn shard_of<'a>(shards: &'a mut [(usize, MutexGuard<'_, Shard>)], place: usize) -> Option<&'a mut Shard> {
    shards.iter_mut().find(|(at, _)| *at == place).map(|(_, shard)| &mut **shard)
}

impl Shard {
    /// What is not there has not been used, and is not made for somebody who is refused.
    fn look(&mut self, claim: &Claim, now: Now) -> (Result<(), super::meter::Wait>, Level) {
        match self.meters.get_mut(&claim.account) {
            Some(meter) => meter.look(claim, now),
            None => Meter::new(claim.account.kind).look(claim, now),
        }
    }

    fn meter(&mut self, account: &Account) -> &mut Meter {
        self.meters.entry(account.clone()).or_insert_with(|| Meter::new(account.kind))
    }

    /// Forgets what nobody uses any more.
    fn sweep(&mut self, now: Now) {
        if now.ms.saturating_sub(self.swept) < SWEEP {
            return;
        }
        self.swept = now.ms;
        self.meters.retain(|account, meter| !meter.is_idle(account.kind, now));
        if self.meters.len() < self.meters.capacity() / 4 {
            self.meters.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::admission::account::{Kind, Owner, Whose};

    fn now(ms: u64) -> Now {
        Now { ms, unix: 1_000_000 * 86_400 + 10 }
    }

    fn user(name: &str) -> Whose {
        Whose::User(Owner { tenant: "t".into(), since: 0, name: name.into() })
    }

    fn claim(whose: &Whose, kind: Kind, limit: u64, tokens: u64) -> Claim {
        Claim::new(whose, kind, limit, tokens).unwrap()
    }

    /// Takes one and gives it up at once.
    fn fits(local: &Local, claim: &Claim, at: Now) -> bool {
        let taken = local.take(std::slice::from_ref(claim), at).result;
        taken.is_ok_and(|takes| {
            local.settle(&takes, Spent::NOTHING, at);
            true
        })
    }

    #[test]
    fn who_is_refused_by_one_limit_takes_nothing_of_the_others() {
        let local = Local::default();
        let (ann, ben) = (user("ann"), user("ben"));
        let kinds =
            [Kind::RequestsPerSecond, Kind::RequestsPerMinute, Kind::TokensPerMinute, Kind::TokensPerDay];
        let scarce = claim(&ben, Kind::Concurrent, 1, 0);
        let held = local.take(std::slice::from_ref(&scarce), now(0)).result.unwrap();
        for kind in kinds {
            let plenty = claim(&ann, kind, 1, 1);
            for claims in [[plenty.clone(), scarce.clone()], [scarce.clone(), plenty.clone()]] {
                let short = local.take(&claims, now(0)).result.unwrap_err();
                assert_eq!(short.account, scarce.account);
            }
            assert!(fits(&local, &plenty, now(0)), "{kind:?}");
        }
        local.settle(&held, Spent::AS_RESERVED, now(0));
        assert!(fits(&local, &scarce, now(0)));
        assert_eq!((local.held().1, local.held().2), (0, 0));
    }

    #[test]
    fn many_threads_get_exactly_what_there_is() {
        const ROUNDS: usize = 3_000;
        for kind in [Kind::RequestsPerMinute, Kind::TokensPerMinute, Kind::TokensPerDay, Kind::Concurrent] {
            let (local, start) = (Arc::new(Local::default()), Arc::new(std::sync::Barrier::new(4)));
            let threads = (0..4).map(|_| {
                let (local, start) = (Arc::clone(&local), Arc::clone(&start));
                std::thread::spawn(move || {
                    let rounds = (0..ROUNDS).map(|round| {
                        if round % 50 == 0 {
                            start.wait(); // so that they keep step
                        }
                        let wanted = claim(&user(&round.to_string()), kind, 5, 1);
                        let take = |_: &u32| local.take(std::slice::from_ref(&wanted), now(0)).result.is_ok();
                        (0..4).filter(take).count()
                    });
                    rounds.collect::<Vec<usize>>()
                })
            });
            let threads: Vec<_> = threads.collect();
            let got: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            for round in 0..ROUNDS {
                let all: usize = got.iter().map(|rounds| rounds[round]).sum();
                assert_eq!(all, 5, "{kind:?} in round {round}");
            }
        }
    }

    #[test]
    fn a_million_users_do_not_stay() {
        let local = Local::default();
        for number in 0..20_000 {
            let whose = Whose::User(Owner { tenant: format!("{number}").into(), since: 0, name: "u".into() });
            let claims =
                [claim(&whose, Kind::RequestsPerMinute, 9, 0), claim(&whose, Kind::Concurrent, 9, 0)];
            let takes = local.take(&claims, now(0)).result.unwrap();
            local.settle(&takes, Spent::AS_RESERVED, now(0));
        }
        assert_eq!(local.held().0, 40_000);
        for number in 0..2_000 {
            let whose = Whose::User(Owner { tenant: format!("{number}").into(), since: 0, name: "u".into() });
            local.take(&[claim(&whose, Kind::Concurrent, 9, 0)], now(200_000)).result.unwrap();
        }
        assert_eq!(local.held().0, 2_000, "only what is in use is left");
    }

    #[test]
    fn tokens_are_settled_with_what_was_used() {
        let local = Local::default();
        let wanted = claim(&user("ann"), Kind::TokensPerMinute, 100, 60);
        let first = local.take(std::slice::from_ref(&wanted), now(0)).result.unwrap();
        let short = local.take(std::slice::from_ref(&wanted), now(0)).result.unwrap_err();
        assert_eq!(short.wait, Some(Duration::from_secs(61)));
        local.settle(&first, Spent { counts: true, tokens: Some(10) }, now(0));
        let second = local.take(std::slice::from_ref(&wanted), now(0));
        assert_eq!(second.standings.caller.tokens.unwrap().remaining, 30);
        // More than was thought counts from when it is known.
        local.settle(&second.result.unwrap(), Spent { counts: true, tokens: Some(200) }, now(50_000));
        assert!(!fits(&local, &claim(&user("ann"), Kind::TokensPerMinute, 100, 1), now(100_000)));
        assert!(fits(&local, &wanted, now(111_000)));
    }

    #[test]
    fn a_day_ends_and_what_is_used_up_is_told_from_what_is_reserved() {
        let local = Local::default();
        let wanted = claim(&user("ann"), Kind::TokensPerDay, 100, 60);
        let today = now(0);
        let held = local.take(std::slice::from_ref(&wanted), today).result.unwrap();
        let refused = |at| local.take(std::slice::from_ref(&wanted), at).result.unwrap_err().wait;
        assert_eq!(refused(today), Some(Duration::from_secs(1)), "it is only reserved");
        local.settle(&held, Spent { counts: true, tokens: Some(90) }, today);
        assert_eq!(refused(today), None);
        assert_eq!(local.fresh(today.day()).len(), 1);
        assert_eq!(refused(Now { unix: today.unix - 86_400, ..today }), None, "a clock that is set back");
        assert!(fits(&local, &wanted, Now { unix: today.unix + 86_400, ..today }));
    }
}
