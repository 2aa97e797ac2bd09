//! The numbers of several gateways, in Redis: one script looks at all claims of a request and meets them, one round trip. What
//! is open is leased, so that a gateway that is killed holds nothing for long. Where the server cannot be reached nobody waits
//! for it: one task looks for it, and requests go on by what the operator has chosen.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use redis::{
    AsyncConnectionConfig, Client, RedisError, Script, ScriptInvocation, aio::MultiplexedConnection,
};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::account::{Account, Answer, Claim, Level, Short, Spent, Standings, Take, Whose};
use crate::config::{LimitsSection, RedisUrl};

/// How long what is open stays so without a word of its gateway.
const LEASE: Duration = Duration::from_secs(30);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(10);
/// How often a server that is there is looked at, and one that is not is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// What goes to the server in one piece.
const AT_ONCE: usize = 64;
/// Numbers for each claim in the script's answer.
const FIELDS: usize = 5;

/// The server cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost;

/// One key of a settlement.
struct Settled {
    key: String,
    id: u64,
    span: i64,
    slot: u64,
    at: i64,
    more: i64,
}

/// The server.
pub(super) struct Redis {
    client: Client,
    shown: String,
    timeout: Duration,
    connection: ArcSwapOption<MultiplexedConnection>,
    /// Somebody has found that it is gone.
    gone: Notify,
    take: Script,
    settle: Script,
    /// Tells the ids of this gateway from those of others.
    gateway: u64,
    next: AtomicU64,
    /// What is not settled, with what has to be renewed.
    open: Mutex<HashMap<u64, Vec<String>>>,
    settled: mpsc::UnboundedSender<Vec<Settled>>,
    waiting: Mutex<Option<mpsc::UnboundedReceiver<Vec<Settled>>>>,
}

impl Redis {
    /// Says nothing to the server yet. `Err`: the address cannot be used.
    pub(super) fn new(url: &RedisUrl, section: &LimitsSection) -> Result<Self, String> {
        let (settled, waiting) = mpsc::unbounded_channel();
        Ok(Self {
            client: Client::open(url.secret()).map_err(|error| error.to_string())?,
            shown: url.to_string(),
            timeout: Duration::from_millis(section.redis_timeout_ms),
            connection: ArcSwapOption::empty(),
            gone: Notify::new(),
            take: Script::new(include_str!("take.lua")),
            settle: Script::new(include_str!("settle.lua")),
            gateway: rand::random(),
            next: AtomicU64::new(0),
            open: Mutex::default(),
            settled,
            waiting: Mutex::new(Some(waiting)),
        })
    }

    /// Whether it counts at this moment.
    pub(super) fn is_there(&self) -> bool {
        self.connection.load().is_some()
    }

    /// Meets all claims, or none.
    pub(super) async fn take(&self, claims: &[Claim]) -> Result<Answer, Lost> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut call = self.take.prepare_invoke();
        call.arg(millis(LEASE)).arg(self.name(id));
        for claim in claims {
            let (span, slot) = claim.account.kind.span().map_or((0, 1), |span| (span.length, span.slot));
            call.key(key(&claim.account)).arg(claim.limit).arg(claim.cost).arg(span).arg(slot);
        }
        let numbers: Vec<i64> = self.call(&call).await?;
        if numbers.len() != claims.len() * FIELDS {
            return Err(Lost);
        }
        let answer = read(claims, &numbers, id);
        if answer.result.is_ok() {
            let is_open = |claim: &&Claim| claim.account.kind.span().is_none();
            let renewed = claims.iter().filter(is_open).map(|claim| key(&claim.account)).collect();
            self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, renewed);
        }
        Ok(answer)
    }

    /// What was taken is over. Whoever says so waits for nothing.
    pub(super) fn settle(&self, takes: &[Take], spent: Spent) {
        let mut settled = Vec::with_capacity(takes.len());
        for take in takes {
            let Some(id) = take.shared else { continue };
            self.close(id, &key(&take.account));
            let more = signed(spent.of(take)).saturating_sub(signed(take.amount));
            let span = take.account.kind.span();
            if span.is_none() || more != 0 {
                let (span, slot) = span.map_or((0, 1), |span| (signed(span.length), span.slot));
                settled.push(Settled { key: key(&take.account), id, span, slot, at: take.at, more });
            }
        }
        if !settled.is_empty() {
            let _ = self.settled.send(settled); // nobody listens once the gateway has stopped
        }
    }

    /// One thing that a request has taken is over; what else it has is renewed on.
    fn close(&self, id: u64, key: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = open.get_mut(&id) {
            keys.retain(|known| known != key);
            if keys.is_empty() {
                open.remove(&id);
            }
        }
    }

    /// Requests that are not settled.
    pub(super) fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Keeps the connection, until `stop` and until all that is open is settled.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut waiting) = waiting else { return };
        loop {
            if self.is_there() {
                self.serve(&mut waiting, &stop).await;
                self.connection.store(None);
            }
            if stop.is_cancelled() {
                return;
            }
            // Leases and windows end by themselves.
            while waiting.try_recv().is_ok() {}
            match self.connect().await {
                Ok(()) => tracing::info!(redis = self.shown, "limits are counted in Redis"),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Looks for the server for the first time. A gateway starts without it, too.
    pub(super) async fn begin(&self) {
        if let Err(error) = self.connect().await {
            tracing::error!(redis = self.shown, %error, "limits cannot be counted in Redis");
        }
    }

    async fn connect(&self) -> Result<(), RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(CONNECT));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd("PING").exec_async(&mut connection).await?;
        self.connection.store(Some(Arc::new(connection)));
        Ok(())
    }

    /// Until the server is gone, or nothing is left to be done.
    async fn serve(&self, waiting: &mut mpsc::UnboundedReceiver<Vec<Settled>>, stop: &CancellationToken) {
        let mut renewal = tokio::time::Instant::now() + RENEWAL;
        let mut settled = Vec::with_capacity(AT_ONCE);
        loop {
            settled.clear();
            tokio::select! {
                () = self.gone.notified() => {}
                _ = waiting.recv_many(&mut settled, AT_ONCE) => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            // Who was told may have been told of the connection before this one.
            if !self.is_there() {
                return;
            }
            let mut all: Vec<Settled> = settled.drain(..).flatten().collect();
            if tokio::time::Instant::now() >= renewal {
                renewal += RENEWAL;
                all.splice(0..0, self.renewed());
            }
            if self.tell(&all).await.is_err() {
                return;
            }
            if stop.is_cancelled() && waiting.is_empty() && self.open() == 0 {
                return;
            }
        }
    }

    /// Everything that is open.
    fn renewed(&self) -> Vec<Settled> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = open.iter().flat_map(|(id, keys)| keys.iter().map(|key| (*id, key.clone())));
        keys.map(|(id, key)| Settled { key, id, span: -1, slot: 1, at: 0, more: 0 }).collect()
    }

    /// Sends settlements, and asks whether the server is there where there are none.
    async fn tell(&self, settled: &[Settled]) -> Result<(), Lost> {
        if settled.is_empty() {
            return self.call(self.settle.prepare_invoke().arg(millis(LEASE))).await;
        }
        for some in settled.chunks(AT_ONCE * 4) {
            let mut call = self.settle.prepare_invoke();
            call.arg(millis(LEASE));
            for Settled { key, id, span, slot, at, more } in some {
                call.key(key).arg(self.name(*id)).arg(*span).arg(*slot).arg(*at).arg(*more);
            }
            self.call::<()>(&call).await?;
        }
        Ok(())
    }

    async fn call<T: redis::FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, Lost> {
        let used = self.connection.load_full().ok_or(Lost)?;
        let mut connection = MultiplexedConnection::clone(&used);
        let failure = match tokio::time::timeout(self.timeout, call.invoke_async(&mut connection)).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.timeout),
        };
        // The first one that notices says so. There may be another connection already.
        let lost = Some(used);
        let before = self.connection.compare_and_swap(&lost, None);
        if before.as_ref().zip(lost.as_ref()).is_some_and(|(before, lost)| Arc::ptr_eq(before, lost)) {
            tracing::error!(redis = self.shown, error = failure, "Redis does not count limits any more");
            self.gone.notify_one();
        }
        Err(Lost)
    }

    fn name(&self, id: u64) -> String {
        format!("{:016x}.{id}", self.gateway)
    }
}

/// What the script has answered.
fn read(claims: &[Claim], numbers: &[i64], id: u64) -> Answer {
    let (mut standings, mut short, mut takes) = (Standings::default(), None::<Short>, Vec::new());
    for (claim, numbers) in claims.iter().zip(numbers.chunks_exact(FIELDS)) {
        let &[fits, used, wait, reset, at] = numbers else { continue };
        let left = claim.limit.saturating_sub(unsigned(used));
        let remaining = if fits == 1 { left.saturating_sub(claim.cost) } else { left };
        let reset = Duration::from_millis(unsigned(reset));
        standings.see(&claim.account, Level { limit: claim.limit, remaining, reset });
        if fits == 1 {
            takes.push(Take { account: claim.account.clone(), amount: claim.cost, at, shared: Some(id) });
        } else {
            let wait = Some(Duration::from_millis(unsigned(wait)));
            short = Some(Short { account: claim.account.clone(), limit: claim.limit, wait }.or(short));
        }
    }
    Answer { result: short.map_or(Ok(takes), Err), standings }
}

/// With the length of each part, so that no two accounts have one key.
fn key(account: &Account) -> String {
    let parts: &[&str] = match &account.whose {
        Whose::Key(owner) => &["key", &owner.tenant, &owner.name],
        Whose::User(owner) => &["user", &owner.tenant, &owner.name],
        Whose::Tenant(owner) => &["tenant", &owner.tenant],
        Whose::Endpoint(place) => &["endpoint", &place.owner, &place.slug],
        Whose::UserOf(place, owner) => &["user-of", &place.owner, &place.slug, &owner.tenant, &owner.name],
    };
    let parts = parts.iter().map(|part| format!(":{}:{part}", part.len()));
    format!("airlock:{}{}", account.kind.label(), parts.collect::<String>())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::account::{Kind, Owner};

    #[test]
    fn no_two_accounts_share_a_key() {
        let user = |tenant: &str, name: &str| {
            let owner = Owner { tenant: tenant.into(), since: 0, name: name.into() };
            key(&Account { whose: Whose::User(owner), kind: Kind::RequestsPerMinute })
        };
        assert_ne!(user("a", "b:1:c"), user("a:1:b", "c"));
        assert_eq!(user("a", "b"), "airlock:requests_per_minute:4:user:1:a:1:b");
    }
}
