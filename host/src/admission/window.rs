//! What was used in the last second or minute, in slots: at most the limit in any such time, whenever it begins. What was used
//! counts until its whole slot is that long ago, so it comes back up to a slot late, and never early.

use std::{collections::VecDeque, time::Duration};

/// The time that is looked back over, and its grain, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) length: u64,
    pub(super) slot: u64,
}

impl Span {
    pub(super) const SECOND: Self = Self { length: 1_000, slot: 50 };
    pub(super) const MINUTE: Self = Self { length: 60_000, slot: 1_000 };

    /// When what was used in a slot counts no more.
    const fn end_of(self, slot: u64) -> u64 {
        (slot + 1).saturating_mul(self.slot).saturating_add(self.length)
    }
}

/// Slots in which something was used, oldest first. There are no more than fit into the span.
#[derive(Debug, Default)]
pub(super) struct Window {
    slots: VecDeque<(u64, u64)>,
    sum: u64,
}

impl Window {
    /// What counts at this moment.
    pub(super) fn sum(&mut self, span: Span, now: u64) -> u64 {
        while let Some((slot, amount)) = self.slots.front() {
            if span.end_of(*slot) > now {
                break;
            }
            self.sum = self.sum.saturating_sub(*amount);
            self.slots.pop_front();
        }
        self.sum
    }

    /// Until `cost` fits under the limit.
    pub(super) fn wait(&self, span: Span, now: u64, cost: u64, limit: u64) -> Duration {
        let mut left = self.sum;
        for (slot, amount) in &self.slots {
            left = left.saturating_sub(*amount);
            if left.saturating_add(cost) <= limit {
                return Duration::from_millis(span.end_of(*slot).saturating_sub(now));
            }
        }
        Duration::from_millis(span.length)
    }

    /// Until nothing counts any more.
    pub(super) fn reset(&self, span: Span, now: u64) -> Duration {
        let last = self.slots.back().map_or(now, |(slot, _)| span.end_of(*slot));
        Duration::from_millis(last.saturating_sub(now))
    }

    /// Uses something now, and says in which slot.
    pub(super) fn add(&mut self, span: Span, now: u64, amount: u64) -> u64 {
        let slot = now.checked_div(span.slot).unwrap_or(now);
        match self.slots.back_mut() {
            Some((last, used)) if *last >= slot => *used = used.saturating_add(amount),
            _ => self.slots.push_back((slot, amount)),
        }
        self.sum = self.sum.saturating_add(amount);
        slot
    }

    /// What was used in a slot was less. What counts no more is not given back twice.
    pub(super) fn give_back(&mut self, slot: u64, amount: u64) {
        if let Some((_, used)) = self.slots.iter_mut().find(|(at, _)| *at == slot) {
            let less = amount.min(*used);
            *used -= less;
            self.sum = self.sum.saturating_sub(less);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span::MINUTE;

    /// Uses 1 where it fits.
    fn take(window: &mut Window, now: u64, limit: u64) -> bool {
        let fits = window.sum(SPAN, now) < limit;
        if fits {
            window.add(SPAN, now, 1);
        }
        fits
    }

    #[test]
    fn no_minute_whenever_it_begins_holds_more_than_the_limit() {
        let mut window = Window::default();
        let mut rng = 7_u64;
        let mut now = 0;
        let mut taken: Vec<u64> = Vec::new();
        for _ in 0..20_000 {
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now += (rng >> 33) % 900;
            if take(&mut window, now, 10) {
                taken.push(now);
            }
        }
        for (at, first) in taken.iter().enumerate() {
            let within = taken[at..].iter().take_while(|t| **t < first + SPAN.length).count();
            assert!(within <= 10, "{within} from {first}");
        }
        let most = usize::try_from(now / SPAN.length).unwrap() * 10;
        assert!(
            taken.len() > most * 9 / 10,
            "{} of {most}: hardly anything is lost to the grain",
            taken.len()
        );
        assert!(window.slots.len() <= 61);
    }

    #[test]
    fn the_wait_is_over_when_the_next_fits() {
        let mut window = Window::default();
        for now in [0, 10_000, 20_000] {
            window.add(SPAN, now, 3);
        }
        assert_eq!(window.sum(SPAN, 30_000), 9);
        let wait = window.wait(SPAN, 30_000, 5, 10);
        assert_eq!(wait, Duration::from_millis(71_000 - 30_000), "two of three have to go");
        assert!(window.sum(SPAN, 70_999) + 5 > 10);
        assert!(window.sum(SPAN, 71_000) + 5 <= 10);
        assert_eq!(window.reset(SPAN, 71_000), Duration::from_secs(10));
    }

    #[test]
    fn what_is_given_back_is_given_back_once_and_not_after_its_time() {
        let mut window = Window::default();
        let slot = window.add(SPAN, 500, 8);
        window.give_back(slot, 5);
        assert_eq!(window.sum(SPAN, 1_000), 3);
        window.give_back(slot, 5);
        assert_eq!(window.sum(SPAN, 1_000), 0);
        window.add(SPAN, 70_000, 2);
        window.give_back(slot, 8);
        assert_eq!(window.sum(SPAN, 70_000), 2);
    }
}
