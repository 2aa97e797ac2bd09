//! In which order endpoints that may all answer are asked.

use std::{sync::Arc, time::Instant};

use sha2::{Digest as _, Sha256};

use crate::{
    auth::Caller,
    catalog::CatalogEndpoint,
    config::{Affinity, RoutingSection},
    pulse::Standing,
};

/// What a cluster says of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warmth {
    /// It runs; or nobody has said anything else.
    Running,
    /// It waits to start, or starts.
    Starting,
    /// It does not run.
    Stopped,
}

/// What requests of one conversation have in common, so that they may meet the same endpoint, where the prompt's beginning
/// may be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session(u64);

impl Session {
    /// What the client says it is, else its user; none, where sessions do not count.
    pub fn of(settings: &RoutingSection, caller: &Caller, said: Option<&str>) -> Option<Self> {
        let name = match settings.affinity {
            Affinity::Off => return None,
            Affinity::Session => said.unwrap_or(&caller.user),
        };
        Some(Self(digest(&[caller.tenant.as_bytes(), name.as_bytes()])))
    }
}

/// How one endpoint compares; the least is asked first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Those that rest come last, as when all others have failed they are better than nothing.
    rests_until: Option<Instant>,
    warmth: Warmth,
    /// From the session, where there is one.
    distance: usize,
    load: usize,
    place: usize,
}

/// A load, in thousandths of a request for each unit of weight.
const LOAD: usize = 1000;

/// Those that are ready before those that rest; those that run before those that start; the session's own before others;
/// those with less to do for their weight before others; and between equals by weight, in turn.
pub fn order(
    endpoints: Vec<Arc<CatalogEndpoint>>,
    turn: usize,
    session: Option<Session>,
    warmth: impl Fn(&CatalogEndpoint) -> Warmth,
) -> Vec<Arc<CatalogEndpoint>> {
    if endpoints.len() < 2 {
        return endpoints;
    }
    let (now, first, count) = (Instant::now(), first(&endpoints, turn), endpoints.len());
    let mut ranked: Vec<(Rank, Arc<CatalogEndpoint>)> = endpoints
        .into_iter()
        .enumerate()
        .map(|(at, endpoint)| {
            let rests_until = match endpoint.pulse.standing(now) {
                Standing::Ready => None,
                Standing::Resting(until) => Some(until),
            };
            let rank = Rank {
                rests_until,
                warmth: warmth(&endpoint),
                distance: 0,
                load: endpoint.pulse.open() * LOAD / weight(&endpoint),
                place: (at + count - first) % count,
            };
            (rank, endpoint)
        })
        .collect();
    if let Some(session) = session {
        prefer_own(&mut ranked, session);
    }
    ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
    ranked.into_iter().map(|(_, endpoint)| endpoint).collect()
}

/// Which of equals has the turn: of every hundred turns each has as many as its weight is of a hundred.
fn first(endpoints: &[Arc<CatalogEndpoint>], turn: usize) -> usize {
    let all: usize = endpoints.iter().map(|endpoint| weight(endpoint)).sum();
    let mut left = turn % all.max(1);
    for (at, endpoint) in endpoints.iter().enumerate() {
        match left.checked_sub(weight(endpoint)) {
            Some(rest) => left = rest,
            None => return at,
        }
    }
    0
}

fn weight(endpoint: &CatalogEndpoint) -> usize {
    endpoint.weight.max(1).try_into().unwrap_or(usize::MAX)
}

/// Puts them in the session's own order, which stays the same when others come and go (rendezvous hashing by weight, Thaler
/// and Ravishankar). Those that have twice as much to do as all have on average come behind the others.
fn prefer_own(ranked: &mut [(Rank, Arc<CatalogEndpoint>)], session: Session) {
    let bound = 2 * LOAD + 2 * ranked.iter().map(|(rank, _)| rank.load).sum::<usize>() / ranked.len().max(1);
    ranked.sort_by(|(_, a), (_, b)| distance(session, a).total_cmp(&distance(session, b)));
    let count = ranked.len();
    for (at, (rank, _)) in ranked.iter_mut().enumerate() {
        rank.distance = if rank.load > bound { count } else { at };
    }
}

#[expect(clippy::cast_precision_loss, reason = "the order of a few random numbers is all that is wanted")]
fn distance(session: Session, endpoint: &CatalogEndpoint) -> f64 {
    let hash = digest(&[&session.0.to_le_bytes(), endpoint.slug.as_bytes()]);
    // In (0, 1].
    let uniform = (hash as f64 + 1.0) / (u64::MAX as f64 + 1.0);
    -uniform.ln() / weight(endpoint) as f64
}

/// The same in every process and version: replicas agree on where a session belongs.
fn digest(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
