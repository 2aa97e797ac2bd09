//! Where instances meet that want the same kind of call at the same time: one of them leads and makes it for all.
//! `wit/coalescing.wit` says what adaptors see of it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};

use crate::AdaptorError;

/// What all groups of a tenant may hold: items and outcomes together.
const MAX_BYTES: usize = 64 << 20;
const MAX_NAME: usize = 256;
/// Names of budgets that are remembered, of those in use.
const MAX_BUDGETS: usize = 256;
/// Longest gathering, interval and budget period.
const MAX_WAIT: Duration = Duration::from_mins(10);

/// How many leads are allowed in which time.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pub(crate) name: String,
    pub(crate) calls: u32,
    pub(crate) per: Duration,
}

/// When a group's next call is due.
#[derive(Debug, Clone)]
pub(crate) struct CallPace {
    pub(crate) gather: Duration,
    pub(crate) interval: Duration,
    pub(crate) max_items: usize,
    pub(crate) budget: Option<Budget>,
}

pub(crate) type Outcome = Result<Bytes, AdaptorError>;

/// What comes next for a member.
#[derive(Debug)]
pub(crate) enum Turn {
    Lead(Vec<(u64, Bytes)>),
    Settled(Outcome),
}

/// Why somebody cannot join.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum JoinError {
    TooLarge,
    Full,
}

/// All groups of one tenant. The lock is held for one step, never while somebody waits.
#[derive(Default)]
pub(crate) struct Groups(Mutex<State>);

#[derive(Default)]
struct State {
    groups: HashMap<String, Group>,
    budgets: HashMap<String, VecDeque<Instant>>,
    bytes: usize,
    last_ticket: u64,
}

#[derive(Default)]
struct Group {
    members: BTreeMap<u64, Waiting>,
    leader: Option<u64>,
    last_lead: Option<Instant>,
    changed: Arc<Notify>,
}

struct Waiting {
    item: Bytes,
    joined: Instant,
    handed_out: Option<Instant>,
    progress: Progress,
}

/// How far an item has got.
enum Progress {
    /// It waits for its outcome.
    Open,
    /// It has one.
    Settled(Outcome),
    /// Its member has taken it.
    Taken,
}

/// A place in a group. Dropping it gives it up.
pub struct Member {
    groups: Arc<Groups>,
    group: String,
    ticket: u64,
    pace: CallPace,
    changed: Arc<Notify>,
}

fn size(outcome: &Outcome) -> usize {
    match outcome {
        Ok(bytes) => bytes.len(),
        Err(error) => error.message.len() + error.code.len(),
    }
}

impl Groups {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins a group, which is made where there is none.
    pub(crate) fn join(
        self: &Arc<Self>,
        group: &str,
        item: Bytes,
        mut pace: CallPace,
    ) -> Result<Member, JoinError> {
        let is_long = |name: &str| name.len() > MAX_NAME;
        if is_long(group) || item.len() > MAX_BYTES || pace.budget.as_ref().is_some_and(|b| is_long(&b.name))
        {
            return Err(JoinError::TooLarge);
        }
        pace.gather = pace.gather.min(MAX_WAIT);
        pace.interval = pace.interval.min(MAX_WAIT);
        pace.max_items = pace.max_items.max(1);
        let mut state = self.state();
        if state.bytes + item.len() > MAX_BYTES {
            return Err(JoinError::Full);
        }
        state.bytes += item.len();
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        let entry = state.groups.entry(group.to_owned()).or_default();
        let waiting = Waiting { item, joined: Instant::now(), handed_out: None, progress: Progress::Open };
        entry.members.insert(ticket, waiting);
        let changed = Arc::clone(&entry.changed);
        drop(state);
        changed.notify_waiters(); // there may be enough for a full call now
        Ok(Member { groups: Arc::clone(self), group: group.to_owned(), ticket, pace, changed })
    }
}

/// What a look at the group says.
enum Step {
    Turn(Turn),
    /// Until then, or until something changes.
    Wait(Option<Instant>),
}

impl Member {
    /// Waits for the next turn.
    pub(crate) async fn next(&self) -> Turn {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.step() {
                Step::Turn(turn) => return turn,
                Step::Wait(None) => changed.await,
                Step::Wait(Some(until)) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
            }
        }
    }

    fn step(&self) -> Step {
        let now = Instant::now();
        let mut state = self.groups.state();
        let State { groups, budgets, bytes, .. } = &mut *state;
        let Some(group) = groups.get_mut(&self.group) else { return Step::Wait(None) };
        if let Some(outcome) = group.members.get_mut(&self.ticket).and_then(Waiting::take) {
            *bytes = bytes.saturating_sub(size(&outcome));
            return Step::Turn(Turn::Settled(outcome));
        }
        if group.leader == Some(self.ticket) {
            group.leader = None; // its round is over
            group.changed.notify_waiters();
        }
        if group.leader.is_some() {
            return Step::Wait(None);
        }
        let Some(mut due) = group.due(&self.pace) else { return Step::Wait(None) };
        if let Some(budget) = &self.pace.budget {
            due = due.max(earliest(budgets, budget, now));
        }
        if due > now {
            return Step::Wait(Some(due));
        }
        if let Some(budget) = &self.pace.budget {
            budgets.entry(budget.name.clone()).or_default().push_back(now);
        }
        // Whoever is awake first when a call is due: nobody who does something else meanwhile is waited for.
        group.leader = Some(self.ticket);
        Step::Turn(Turn::Lead(group.hand_out(self.pace.max_items, now)))
    }

    /// Gives an item its outcome. False where this member does not lead, or was not handed the item.
    pub(crate) fn settle(&self, ticket: u64, outcome: Outcome) -> bool {
        let mut state = self.groups.state();
        let room = MAX_BYTES.saturating_sub(state.bytes);
        let outcome = if size(&outcome) > room { Err(too_large()) } else { outcome };
        let added = size(&outcome);
        let Some(group) = state.groups.get_mut(&self.group) else { return false };
        if group.leader != Some(self.ticket) {
            return false;
        }
        let waiting = group.members.get_mut(&ticket);
        let Some(waiting) = waiting.filter(|w| w.handed_out.is_some() && w.is_open()) else {
            return false;
        };
        waiting.progress = Progress::Settled(outcome);
        group.changed.notify_waiters();
        state.bytes += added;
        true
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.groups.state();
        let State { groups, bytes, .. } = &mut *state;
        let Some(group) = groups.get_mut(&self.group) else { return };
        if let Some(own) = group.members.remove(&self.ticket) {
            *bytes = bytes.saturating_sub(own.item.len() + own.outcome_size());
        }
        if group.leader == Some(self.ticket) {
            group.leader = None;
        }
        group.changed.notify_waiters();
        if group.members.is_empty() {
            groups.remove(&self.group);
        }
    }
}

impl Waiting {
    fn is_open(&self) -> bool {
        matches!(self.progress, Progress::Open)
    }

    fn outcome_size(&self) -> usize {
        if let Progress::Settled(outcome) = &self.progress { size(outcome) } else { 0 }
    }

    /// Its outcome, once.
    fn take(&mut self) -> Option<Outcome> {
        if !matches!(self.progress, Progress::Settled(_)) {
            return None;
        }
        match std::mem::replace(&mut self.progress, Progress::Taken) {
            Progress::Settled(outcome) => Some(outcome),
            Progress::Open | Progress::Taken => None,
        }
    }
}

impl Group {
    /// Those without an outcome.
    fn open(&self) -> impl Iterator<Item = (u64, &Waiting)> {
        self.members.iter().filter(|(_, w)| w.is_open()).map(|(ticket, w)| (*ticket, w))
    }

    /// When the next call is due, as far as the group itself goes; `None`: there is nothing to call for.
    fn due(&self, pace: &CallPace) -> Option<Instant> {
        let first = self.open().map(|(_, w)| w.joined).min()?;
        let is_new = self.open().all(|(_, w)| w.handed_out.is_none());
        let is_full = self.open().count() >= pace.max_items;
        // Who joins while others are called for again goes along with the next call.
        let gathered = if is_new && !is_full { first + pace.gather } else { first };
        Some(self.last_lead.map_or(gathered, |last| gathered.max(last + pace.interval)))
    }

    /// The items that have waited longest since they were handed out last.
    fn hand_out(&mut self, most: usize, now: Instant) -> Vec<(u64, Bytes)> {
        self.last_lead = Some(now);
        let mut open: Vec<_> = self.open().map(|(ticket, w)| (w.handed_out, ticket)).collect();
        open.sort_unstable();
        open.truncate(most);
        open.sort_unstable_by_key(|(_, ticket)| *ticket);
        let mut handed = Vec::with_capacity(open.len());
        for (_, ticket) in open {
            if let Some(waiting) = self.members.get_mut(&ticket) {
                waiting.handed_out = Some(now);
                handed.push((ticket, waiting.item.clone()));
            }
        }
        handed
    }
}

/// When a budget has room for one more. Old leads, and budgets that nothing counts against any more, are forgotten.
fn earliest(budgets: &mut HashMap<String, VecDeque<Instant>>, budget: &Budget, now: Instant) -> Instant {
    let per = budget.per.min(MAX_WAIT);
    if budgets.len() > MAX_BUDGETS {
        budgets.retain(|_, leads| leads.back().is_some_and(|last| *last + MAX_WAIT > now));
    }
    let Some(leads) = budgets.get_mut(&budget.name) else { return now };
    while leads.front().is_some_and(|first| *first + per <= now) {
        leads.pop_front();
    }
    let calls = usize::try_from(budget.calls.max(1)).unwrap_or(usize::MAX);
    // The lead that has to be old enough for one more to fit.
    let hindering = leads.len().checked_sub(calls).and_then(|at| leads.get(at));
    hindering.map_or(now, |lead| *lead + per)
}

fn too_large() -> AdaptorError {
    AdaptorError {
        status: 502,
        code: "too_large".into(),
        message: "the outcome is larger than the gateway keeps for those who wait".into(),
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests;
