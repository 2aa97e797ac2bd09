//! How an endpoint has fared lately: what it has open, and whether it is given a rest after failures. It outlives the
//! catalogs that the endpoint stands in.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use crate::gauge::{Counted, Gauge};

/// A retry, in the thousandths that a budget counts in.
const RETRY: u64 = 1000;

/// When an endpoint is given a rest, and how much may be asked again elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Failures in a row after which it rests.
    pub failures: u32,
    /// The first rest; each further one without a success between is twice as long.
    pub rest: Duration,
    /// The longest.
    pub longest_rest: Duration,
    /// Requests, of a thousand, that may be asked again elsewhere.
    pub retries_per_mille: u64,
    /// So many more at once, after a time without any.
    pub retry_burst: u64,
}

/// Whether an endpoint should be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It should.
    Ready,
    /// It rests until then; or one request is finding out whether it is back.
    Resting(Instant),
}

/// One endpoint.
#[derive(Debug, Default)]
pub struct Pulse {
    open: Gauge,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rest: Option<Rest>,
    /// What may be asked elsewhere, in thousandths of a request; `None`: as much as there may be at all.
    retries: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    length: Duration,
    /// One request has been let through to find out.
    is_tried: bool,
}

impl Pulse {
    /// Requests that it has open.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Whether it should be asked now.
    pub fn standing(&self, now: Instant) -> Standing {
        match self.state().rest {
            Some(rest) if rest.is_tried || now < rest.until => Standing::Resting(rest.until),
            _ => Standing::Ready,
        }
    }

    /// It is asked. `is_first`: it is the first one that the request is sent to, which earns a part of a retry.
    pub fn ask(self: &Arc<Self>, rules: &Rules, is_first: bool, now: Instant) -> Attempt {
        let mut state = self.state();
        let most = rules.retry_burst.saturating_mul(RETRY);
        if is_first && let Some(retries) = &mut state.retries {
            *retries = most.min(*retries + rules.retries_per_mille);
        }
        let tries = state.rest.as_mut().filter(|rest| !rest.is_tried && rest.until <= now);
        let is_try = tries.map(|rest| rest.is_tried = true).is_some();
        drop(state);
        Attempt { pulse: Arc::clone(self), is_try, _open: self.open.count() }
    }

    /// Takes one of the requests that may be asked again elsewhere; false where there is none left.
    pub fn take_retry(&self, rules: &Rules) -> bool {
        let mut state = self.state();
        let retries = state.retries.get_or_insert_with(|| rules.retry_burst.saturating_mul(RETRY));
        let left = retries.checked_sub(RETRY);
        *retries = left.unwrap_or(*retries);
        left.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; it is whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request at an endpoint, open until it is dropped.
#[must_use = "what is dropped at once is not open"]
pub struct Attempt {
    pulse: Arc<Pulse>,
    /// It finds out whether the endpoint is back.
    is_try: bool,
    _open: Counted,
}

impl Attempt {
    /// Whose it is.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The endpoint answers: where that was to be found out, it is back.
    pub fn answered(&mut self) {
        if std::mem::take(&mut self.is_try) {
            self.pulse.state().rest = None;
        }
    }

    /// Its answer came to its end.
    pub fn completed(&mut self) {
        self.answered();
        self.pulse.state().failures = 0;
    }

    /// It failed. Where it said for how long, it rests at once, and for so long.
    pub fn fail(&mut self, rules: &Rules, said: Option<Duration>, now: Instant) {
        let was_try = std::mem::take(&mut self.is_try);
        let mut state = self.pulse.state();
        state.failures = state.failures.saturating_add(1);
        let length = match (said.filter(|said| !said.is_zero()), state.rest) {
            (Some(said), _) => said,
            (None, Some(rest)) if was_try => rest.length.saturating_mul(2),
            (None, None) if state.failures >= rules.failures => rules.rest,
            // It rests already, or may fail some more times.
            _ => return,
        };
        let length = length.min(rules.longest_rest);
        let before = state.rest.filter(|_| !was_try);
        let until = before.map_or(now + length, |before| before.until.max(now + length));
        let is_tried = before.is_some_and(|before| before.is_tried);
        state.rest = Some(Rest { until, length, is_tried });
    }
}

impl Drop for Attempt {
    /// One that ended without a word, as its client went away, leaves the finding out to the next.
    fn drop(&mut self) {
        if self.is_try
            && let Some(rest) = &mut self.pulse.state().rest
        {
            rest.is_tried = false;
        }
    }
}

/// Those of all endpoints, as long as a catalog has them. An endpoint that is defined anew begins anew; where that is only
/// tried, the one that is there stays as it is.
#[derive(Default)]
pub struct Pulses(Mutex<HashMap<Defined, Weak<Pulse>>>);

/// An endpoint's owner and slug, and all that is said of it.
type Defined = (Arc<str>, String, String);

impl Pulses {
    /// The one of an endpoint that `definition` says all about.
    pub fn of(&self, tenant: &Arc<str>, slug: &str, definition: &str) -> Arc<Pulse> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (Arc::clone(tenant), slug.to_owned(), definition.to_owned());
        all.get(&name).and_then(Weak::upgrade).unwrap_or_else(|| {
            let pulse = Arc::default();
            all.retain(|_, pulse| pulse.strong_count() > 0);
            all.insert(name, Arc::downgrade(&pulse));
            pulse
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        failures: 2,
        rest: Duration::from_secs(5),
        longest_rest: Duration::from_secs(15),
        retries_per_mille: 200,
        retry_burst: 2,
    };

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn it_rests_after_failures_in_a_row_and_one_request_finds_out_whether_it_is_back() {
        let (pulse, start) = (Arc::new(Pulse::default()), Instant::now());
        let ask = |seconds| pulse.ask(&RULES, true, after(start, seconds));
        ask(0).fail(&RULES, None, start);
        ask(0).completed();
        ask(0).fail(&RULES, None, start);
        assert_eq!(pulse.standing(start), Standing::Ready, "a success lies between");
        ask(0).fail(&RULES, None, start);
        assert_eq!(pulse.standing(after(start, 4)), Standing::Resting(after(start, 5)));
        assert_eq!(pulse.standing(after(start, 5)), Standing::Ready);

        let mut one = ask(5);
        assert_eq!(pulse.standing(after(start, 5)), Standing::Resting(after(start, 5)), "one is enough");
        let mut another = ask(5);
        another.fail(&RULES, None, after(start, 5));
        assert_eq!(
            pulse.standing(after(start, 5)),
            Standing::Resting(after(start, 5)),
            "it found out nothing"
        );
        one.fail(&RULES, None, after(start, 5));
        assert_eq!(pulse.standing(after(start, 14)), Standing::Resting(after(start, 15)), "twice as long");
        ask(15).fail(&RULES, None, after(start, 15));
        assert_eq!(pulse.standing(after(start, 29)), Standing::Resting(after(start, 30)), "and no longer");
        let mut back = ask(30);
        back.answered();
        assert_eq!(pulse.standing(after(start, 30)), Standing::Ready);
    }

    #[test]
    fn it_rests_for_as_long_as_it_says_within_limits_and_a_client_that_goes_away_says_nothing() {
        let (pulse, start) = (Arc::new(Pulse::default()), Instant::now());
        pulse.ask(&RULES, true, start).fail(&RULES, Some(Duration::from_secs(3)), start);
        assert_eq!(pulse.standing(start), Standing::Resting(after(start, 3)));
        drop(pulse.ask(&RULES, true, after(start, 3)));
        assert_eq!(pulse.standing(after(start, 3)), Standing::Ready);
        pulse.ask(&RULES, true, start).fail(&RULES, Some(Duration::from_secs(999)), start);
        assert_eq!(pulse.standing(start), Standing::Resting(after(start, 15)));
        assert_eq!(pulse.open(), 0);
    }

    #[test]
    fn a_rest_is_not_made_shorter_by_what_others_say() {
        let (pulse, start) = (Arc::new(Pulse::default()), Instant::now());
        let mut late = pulse.ask(&RULES, true, start);
        pulse.ask(&RULES, true, start).fail(&RULES, Some(Duration::from_secs(9)), start);
        late.fail(&RULES, Some(Duration::from_secs(1)), start);
        assert_eq!(pulse.standing(start), Standing::Resting(after(start, 9)));
        let other = Arc::new(Pulse::default());
        other.ask(&RULES, true, start).fail(&RULES, Some(Duration::ZERO), start);
        assert_eq!(other.standing(start), Standing::Ready, "no time is no word");
        other.ask(&RULES, true, start).fail(&RULES, Some(Duration::ZERO), start);
        assert_eq!(
            other.standing(start),
            Standing::Resting(after(start, 5)),
            "two failures are two failures"
        );
    }

    #[test]
    fn retries_are_a_part_of_the_requests_and_a_few_more() {
        let (pulse, now) = (Arc::new(Pulse::default()), Instant::now());
        assert!(pulse.take_retry(&RULES) && pulse.take_retry(&RULES));
        assert!(!pulse.take_retry(&RULES), "the burst is used up");
        for _ in 0..4 {
            drop(pulse.ask(&RULES, true, now));
            drop(pulse.ask(&RULES, false, now));
        }
        assert!(!pulse.take_retry(&RULES), "four fifths of one");
        drop(pulse.ask(&RULES, true, now));
        assert!(pulse.take_retry(&RULES));
        (0..1000).for_each(|_| drop(pulse.ask(&RULES, true, now)));
        assert_eq!(
            (0..10).filter(|_| pulse.take_retry(&RULES)).count(),
            2,
            "no more than the burst is saved up"
        );
    }

    #[test]
    fn an_endpoint_keeps_its_own_until_it_is_defined_anew() {
        let (pulses, tenant): (_, Arc<str>) = (Pulses::default(), "t".into());
        let one = pulses.of(&tenant, "s", "{}");
        assert!(Arc::ptr_eq(&one, &pulses.of(&tenant, "s", "{}")));
        assert!(!Arc::ptr_eq(&one, &pulses.of(&"u".into(), "s", "{}")), "another tenant's");
        assert!(!Arc::ptr_eq(&one, &pulses.of(&tenant, "s", "{\"a\":1}")));
        assert!(Arc::ptr_eq(&one, &pulses.of(&tenant, "s", "{}")), "the other was only tried");
    }
}
