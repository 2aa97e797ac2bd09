//! Requests at a steady rate, whatever becomes of those before.

use crate::client::{Chat, Client};
use crate::error::Fallible;
use crate::stats::Spread;
use crate::tally::Tally;
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often somebody asks, and over how many connections.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Requests in a second.
    pub rate: u32,
    /// Connections: requests that are due while all wait for answers are late.
    pub connections: usize,
}

/// What became of requests at a steady rate.
#[derive(Clone, Serialize)]
pub struct Paced {
    /// Right answers in a second.
    pub per_second: f64,
    /// From when a request was due to its whole answer.
    pub latency: Option<Spread>,
    /// What they came to.
    pub tally: Tally,
}

impl Pace {
    /// Asks for `time`. An answer is right where it is `right`.
    pub async fn run(
        self,
        address: SocketAddr,
        chat: &Chat,
        right: &Bytes,
        time: Duration,
    ) -> Fallible<Paced> {
        let (begin, next) = (Instant::now(), Arc::new(AtomicU32::new(0)));
        let mut lanes = JoinSet::new();
        for _ in 0..self.connections {
            let (chat, right, next) = (chat.clone(), right.clone(), next.clone());
            lanes.spawn(async move {
                let (mut kept, mut times, mut tally) = (None, Vec::new(), Tally::default());
                while let Some(due) = self.due(&next, begin, time) {
                    tokio::time::sleep_until(due).await;
                    let outcome = ask(address, &mut kept, &chat).await;
                    let is_right = outcome.as_ref().is_ok_and(|(_, body)| *body == right);
                    let told = outcome.map_or_else(|error| error.to_string(), |(told, _)| told);
                    times.extend(is_right.then(|| due.elapsed()));
                    tally.add(if is_right { Ok(told) } else { Err(told) });
                }
                (times, tally)
            });
        }
        let (mut times, mut tally) = (Vec::new(), Tally::default());
        while let Some(lane) = lanes.join_next().await {
            let (more, counted) = lane?;
            times.extend(more);
            tally.merge(&counted);
        }
        // Until the last answer: what could not be kept up with makes it longer.
        let took = begin.elapsed().max(time);
        Ok(Paced { per_second: times.len() as f64 / took.as_secs_f64(), latency: Spread::of(times), tally })
    }

    /// When the next request is due; `None` after the last one.
    pub fn due(self, next: &AtomicU32, begin: Instant, time: Duration) -> Option<Instant> {
        let after = Duration::from_secs(1) * next.fetch_add(1, Ordering::Relaxed) / self.rate;
        (after < time).then(|| begin + after)
    }
}

/// Asks once: status and code, and the body.
pub async fn ask(address: SocketAddr, kept: &mut Option<Client>, chat: &Chat) -> Fallible<(String, Bytes)> {
    let client = match kept {
        Some(client) => client,
        None => kept.insert(Client::connect(address).await?),
    };
    match client.chat(chat).await {
        Ok(answer) if answer.status == StatusCode::OK => Ok(("200".into(), answer.body)),
        Ok(answer) => Ok((answer.outcome(), Bytes::new())),
        Err(error) => {
            *kept = None; // another connection next time
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_the_rate() {
        let (pace, next, begin) = (Pace { rate: 4, connections: 1 }, AtomicU32::new(0), Instant::now());
        let due: Vec<_> = std::iter::from_fn(|| pace.due(&next, begin, Duration::from_millis(600)))
            .map(|d| d - begin)
            .collect();
        assert_eq!(due, [0, 250, 500].map(Duration::from_millis));
    }
}
