//! What was found out about tokens, for a while: by their digests, as whoever reads this memory must not be able to use
//! them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    auth::{AuthError, Caller},
    store::now,
};

/// SHA-256 of a token.
pub(super) type Digest = [u8; 32];
/// Who shows a token, or why nobody does.
pub(super) type Verdict = Result<Caller, AuthError>;

/// Known verdicts. Good and bad ones have room of their own, so that no flood of bad tokens pushes a good one out.
pub(super) struct Verdicts {
    keep: Duration,
    keep_refused: Duration,
    room: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    good: Generations<Caller>,
    bad: Generations<AuthError>,
}

impl Verdicts {
    /// With room for so many of each kind.
    pub(super) fn new(keep: Duration, keep_refused: Duration, room: usize) -> Self {
        Self { keep, keep_refused, room, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verdict that still counts.
    pub(super) fn get(&self, digest: &Digest) -> Option<Verdict> {
        let known = self.known();
        if let Some(caller) = known.good.get(digest) {
            let is_over = caller.expires_at.is_some_and(|end| end <= now());
            return if is_over { None } else { Some(Ok(caller.clone())) };
        }
        known.bad.get(digest).map(|error| Err(*error))
    }

    /// Keeps what is sure. That nobody could be asked is not.
    pub(super) fn keep(&self, digest: Digest, verdict: &Verdict) {
        match verdict {
            Ok(caller) => self.known().good.put(digest, caller.clone(), self.keep, self.room),
            Err(AuthError::Unavailable) => {}
            Err(error) => self.known().bad.put(digest, *error, self.keep_refused, self.room),
        }
    }
}

/// A map that forgets: when the young half is full it becomes the old one, and what was old is gone.
struct Generations<T> {
    young: HashMap<Digest, Kept<T>>,
    old: HashMap<Digest, Kept<T>>,
}

struct Kept<T> {
    value: T,
    until: Instant,
}

impl<T> Default for Generations<T> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<T> Generations<T> {
    fn get(&self, digest: &Digest) -> Option<&T> {
        let kept = self.young.get(digest).or_else(|| self.old.get(digest))?;
        (Instant::now() < kept.until).then_some(&kept.value)
    }

    fn put(&mut self, digest: Digest, value: T, life: Duration, room: usize) {
        if self.young.len() >= room / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, Kept { value, until: Instant::now() + life });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Role, Scopes};

    fn caller(expires_at: Option<i64>) -> Verdict {
        Ok(Caller {
            key_id: "i#s".into(),
            name: "n".into(),
            tenant: "default".into(),
            user: "i#s".into(),
            role: Role::User,
            scopes: Scopes::default(),
            expires_at,
            groups: [].into(),
            domain: None,
            identity: None,
        })
    }

    fn digest(n: u32) -> Digest {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&n.to_be_bytes());
        digest
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_verdict_counts_for_its_time_and_never_past_the_tokens() {
        let verdicts = Verdicts::new(MINUTE, MINUTE, 100);
        verdicts.keep(digest(1), &caller(Some(now() + 30)));
        verdicts.keep(digest(2), &caller(Some(now())));
        verdicts.keep(digest(3), &Err(AuthError::Invalid));
        verdicts.keep(digest(4), &Err(AuthError::Unavailable));
        assert!(verdicts.get(&digest(1)).unwrap().is_ok());
        assert!(verdicts.get(&digest(2)).is_none());
        assert_eq!(verdicts.get(&digest(3)).unwrap().unwrap_err(), AuthError::Invalid);
        assert!(verdicts.get(&digest(4)).is_none(), "an outage is not kept");
        let verdicts = Verdicts::new(Duration::ZERO, Duration::ZERO, 100);
        verdicts.keep(digest(1), &caller(None));
        verdicts.keep(digest(3), &Err(AuthError::Invalid));
        assert!(verdicts.get(&digest(1)).is_none() && verdicts.get(&digest(3)).is_none());
    }

    #[test]
    fn a_flood_of_bad_tokens_takes_no_more_than_its_room_and_no_good_token_along() {
        let verdicts = Verdicts::new(MINUTE, MINUTE, 100);
        verdicts.keep(digest(0), &caller(None));
        for n in 1..10_000 {
            verdicts.keep(digest(n), &Err(AuthError::Invalid));
        }
        assert!(verdicts.get(&digest(0)).is_some());
        assert!(verdicts.get(&digest(9_999)).is_some());
        let known = verdicts.known();
        assert!(known.bad.young.len() + known.bad.old.len() <= 100);
    }
}
