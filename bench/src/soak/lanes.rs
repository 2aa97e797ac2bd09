//! The load: lanes, each of which sends one request of one kind after the other, at its pace.

use super::kinds::{ALL, Act, Kind, Moment, Right};
use super::tallies::Tallies;
use crate::client::{Answer, Chat, Client, Visitor};
use crate::error::Fallible;
use crate::probe::stream_fault;
use crate::stage::Stage;
use bytes::Bytes;
use hyper::StatusCode;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Who leaves early does so after this time: when the backend has the request, or within a loop.
const EARLY: Duration = Duration::from_millis(15);

/// All lanes. Dropping it ends them at once.
pub struct Lanes {
    /// What becomes of the requests.
    pub tallies: Tallies,
    tasks: JoinSet<()>,
}

/// What a lane knows.
#[derive(Clone)]
struct Lane {
    kind: &'static Kind,
    address: SocketAddr,
    chat: Chat,
    /// The right answer, where there is always the same.
    right: Bytes,
    tallies: Tallies,
    /// The part of their pace at which good requests begin.
    scale: watch::Receiver<f64>,
    end: Instant,
}

impl Lanes {
    /// Checks one good request of each kind, then starts all lanes. They end by themselves.
    pub async fn start(stage: &Stage, scale: &watch::Receiver<f64>, time: Duration) -> Fallible<Self> {
        let mut rights = Vec::new();
        for kind in &ALL {
            rights.push(right(stage, kind).await?);
        }
        let end = Instant::now() + time;
        let mut lanes = Self { tallies: Tallies::default(), tasks: JoinSet::new() };
        for (kind, right) in ALL.iter().zip(rights) {
            let chat = stage.chat(&kind.model, kind.streamed);
            let (tallies, scale) = (lanes.tallies.clone(), scale.clone());
            let lane = Lane { kind, address: stage.address, chat, right, tallies, scale, end };
            for number in 0..kind.at_once {
                lanes.tasks.spawn(lane.clone().run(number));
            }
        }
        Ok(lanes)
    }

    /// Waits until the last request of every lane is answered.
    pub async fn ended(&mut self) -> Fallible<()> {
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// Asks once and checks the answer with care, so that later ones need only be the same.
async fn right(stage: &Stage, kind: &Kind) -> Fallible<Bytes> {
    let Act::Good(right) = kind.act else { return Ok(Bytes::new()) };
    let answer = stage.client().await?.chat(&stage.chat(&kind.model, kind.streamed)).await?;
    let text = String::from_utf8_lossy(&answer.body);
    let mock = &stage.backend.mock;
    let fault = match right {
        Right::Backend if kind.streamed => (answer.body != mock.events().concat()).then(|| "differs".into()),
        Right::Backend => (answer.body != mock.completion()).then(|| "differs".into()),
        Right::Events(_, word) if !text.contains(word) => Some(format!("has no {word}")),
        Right::Events(count, _) => stream_fault(&text, count),
    };
    match fault {
        Some(fault) => {
            Err(format!("{}: the first answer {fault}: {}: {text}", kind.name, answer.status).into())
        }
        None => Ok(answer.body),
    }
}

impl Lane {
    async fn run(self, number: u32) {
        let period = Duration::from_secs_f64(f64::from(self.kind.at_once) / self.kind.per_second);
        let mut due = Instant::now() + period * number / self.kind.at_once;
        let mut kept = None;
        while due < self.end {
            tokio::time::sleep_until(due).await;
            let done = self.act(&mut kept).await;
            self.tallies.add(self.kind, done);
            // Who comes late does not hurry.
            due = (due + period.div_f64(self.scale())).max(Instant::now());
        }
    }

    /// Only good requests make room.
    fn scale(&self) -> f64 {
        if self.kind.is_good() { *self.scale.borrow() } else { 1.0 }
    }

    /// One request: what it came to, or what is wrong with that.
    async fn act(&self, kept: &mut Option<Client>) -> Result<String, String> {
        let done = match self.kind.act {
            Act::Leave(moment) => self.leave(moment).await.map(|()| Ok("left".to_owned())),
            Act::Good(_) => self.ask(kept).await.map(|answer| self.check(&answer)),
            Act::Hostile(end) => self.ask(kept).await.map(|answer| match answer.outcome() {
                outcome if outcome == end => Ok(outcome),
                outcome => Err(outcome),
            }),
        };
        done.unwrap_or_else(|error| {
            *kept = None; // another connection next time
            Err(error.to_string())
        })
    }

    async fn ask(&self, kept: &mut Option<Client>) -> Fallible<Answer> {
        let client = match kept {
            Some(client) => client,
            None => kept.insert(Client::connect(self.address).await?),
        };
        client.chat(&self.chat).await
    }

    fn check(&self, answer: &Answer) -> Result<String, String> {
        if answer.status != StatusCode::OK {
            Err(answer.outcome())
        } else if answer.body != self.right {
            Err(format!("another answer ({})", answer.outcome()))
        } else {
            Ok(answer.outcome())
        }
    }

    async fn leave(&self, moment: Moment) -> Fallible<()> {
        let mut visitor = Visitor::send(self.address, &self.chat).await?;
        match moment {
            Moment::Early => tokio::time::sleep(EARLY).await,
            Moment::Streaming => visitor.first_event().await?,
        }
        Ok(())
    }
}
