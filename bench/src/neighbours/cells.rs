//! One cell of the measurement: chats in a closed loop and a probe of `/health`, for some seconds.

use crate::backend::DELAY;
use crate::client::{Chat, Client};
use crate::error::Fallible;
use crate::models;
use crate::rungs::Model;
use crate::server::own_usage;
use crate::stage::Stage;
use crate::stats::Spread;
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const PROBE_EVERY: Duration = Duration::from_millis(5);

/// What is loaded meanwhile.
pub struct Cell {
    /// Chats at a time.
    pub clients: usize,
    /// Whether the backend takes its time.
    pub slow: bool,
}

/// All of them.
pub const CELLS: [Cell; 4] = [
    Cell { clients: 1, slow: false },
    Cell { clients: 8, slow: false },
    Cell { clients: 1, slow: true },
    Cell { clients: 8, slow: true },
];

/// What a cell came to.
#[derive(Clone, Serialize)]
pub struct Sample {
    /// Right answers.
    pub requests: u64,
    /// Answers that were not the backend's, and connections that broke.
    pub wrong: u64,
    /// Right answers per second.
    pub requests_per_second: f64,
    /// How long they took.
    pub chat: Option<Spread>,
    /// Cores that the gateway took.
    pub gateway_cores: f64,
    /// Cores that the load, the probe and the backend took: they share the machine with the gateway.
    pub tool_cores: f64,
    /// How long `/health` took.
    #[serde(skip)]
    pub health: Vec<Duration>,
}

impl Cell {
    /// Time that the backend takes, in milliseconds.
    pub fn delay_ms(&self) -> u128 {
        if self.slow { DELAY.as_millis() } else { 0 }
    }

    /// The model that is asked.
    pub fn model(&self) -> Model {
        if self.slow { models::SLOW_FORWARD } else { models::FORWARD }
    }

    /// Loads and probes for `time`.
    pub async fn measure(&self, stage: &Stage, time: Duration) -> Fallible<Sample> {
        let began = Instant::now();
        let (gateway, own) = (stage.gateway.server.usage()?.cpu, own_usage().cpu);
        let end = began + time;
        let mut chatting = JoinSet::new();
        for _ in 0..self.clients {
            let (chat, right) = (stage.chat(&self.model(), false), stage.backend.mock.completion().clone());
            chatting.spawn(chats(stage.address, chat, right, end));
        }
        let health = probe(stage.address, end).await?;
        let (mut times, mut wrong) = (Vec::new(), 0);
        while let Some(one) = chatting.join_next().await {
            let (more, bad) = one?;
            times.extend(more);
            wrong += bad;
        }
        let seconds = began.elapsed().as_secs_f64();
        let cores = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() / seconds;
        Ok(Sample {
            requests: times.len() as u64,
            wrong,
            requests_per_second: times.len() as f64 / time.as_secs_f64(),
            chat: Spread::of(times),
            gateway_cores: cores(gateway, stage.gateway.server.usage()?.cpu),
            tool_cores: cores(own, own_usage().cpu),
            health,
        })
    }
}

/// Asks again and again until `end`: the times of right answers, and the number of others.
async fn chats(address: SocketAddr, chat: Chat, right: Bytes, end: Instant) -> (Vec<Duration>, u64) {
    let (mut times, mut wrong) = (Vec::new(), 0);
    let work = async {
        let mut kept = None;
        loop {
            let began = Instant::now();
            match ask(address, &mut kept, &chat, &right).await {
                Ok(true) => times.push(began.elapsed()),
                Ok(false) => wrong += 1,
                Err(_) => (kept, wrong) = (None, wrong + 1),
            }
        }
    };
    let _: Result<(), _> = tokio::time::timeout_at(end, work).await;
    (times, wrong)
}

async fn ask(address: SocketAddr, kept: &mut Option<Client>, chat: &Chat, right: &Bytes) -> Fallible<bool> {
    let client = match kept {
        Some(client) => client,
        None => kept.insert(Client::connect(address).await?),
    };
    let answer = client.chat(chat).await?;
    Ok(answer.status == StatusCode::OK && answer.body == *right)
}

/// Asks for `/health` every few milliseconds. Whoever would have asked while an answer was waited for has
/// waited too, for as long as was left.
async fn probe(address: SocketAddr, end: Instant) -> Fallible<Vec<Duration>> {
    let mut client = Client::connect(address).await?;
    let (mut times, mut due) = (Vec::new(), Instant::now());
    while due < end {
        tokio::time::sleep_until(due).await;
        let answer = client.get("/health").await?;
        if answer.status != StatusCode::OK {
            return Err(format!("/health answers {}", answer.outcome()).into());
        }
        due = count_waits(due, Instant::now(), &mut times);
    }
    Ok(times)
}

/// Adds the waits of all that were due until `now`, and returns when the next one is.
fn count_waits(mut due: Instant, now: Instant, times: &mut Vec<Duration>) -> Instant {
    while due <= now {
        times.push(now - due);
        due += PROBE_EVERY;
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_is_that_of_many() {
        let start = Instant::now();
        let mut times = Vec::new();
        let next = count_waits(start, start + Duration::from_millis(1), &mut times);
        assert_eq!((next - start, times.len()), (PROBE_EVERY, 1));
        times.clear();
        let next = count_waits(start, start + Duration::from_millis(12), &mut times);
        assert_eq!(next - start, PROBE_EVERY * 3);
        assert_eq!(times, [12, 7, 2].map(Duration::from_millis));
    }
}
