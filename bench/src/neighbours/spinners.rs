//! Hostile clients: each asks a guest that computes until it is stopped, again and again.

use crate::client::{Chat, Client};
use crate::error::Fallible;
use crate::models;
use crate::stage::{INSTANCES, REST_LIMIT, Stage, restless};
use crate::tally::Tally;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// How a dead loop ends, plain and streamed.
const ENDS: [&str; 2] = ["504 adaptor_cpu_limit", "200 adaptor_cpu_limit"];
/// From the first guest that computes until all do.
const SETTLING: Duration = Duration::from_millis(200);

/// Clients of guests that compute. Dropping it ends them.
pub struct Spinners {
    tasks: JoinSet<()>,
    tally: Arc<Mutex<Tally>>,
}

impl Spinners {
    /// Starts `count` of them, every other one asks for a stream, and waits until guests compute.
    pub async fn start(stage: &Stage, observer: &mut Client, count: usize) -> Fallible<Self> {
        let mut spinners = Self { tasks: JoinSet::new(), tally: Arc::default() };
        for number in 0..count {
            let chat = stage.chat(&models::SPIN, number % 2 == 1);
            spinners.tasks.spawn(spin(stage.address, chat, spinners.tally.clone()));
        }
        if count > 0 {
            let computing = async {
                while observer.gauges().await?.get(INSTANCES).is_none_or(|instances| *instances == 0) {}
                Fallible::Ok(())
            };
            tokio::time::timeout(REST_LIMIT, computing).await.map_err(|_| "no guest began to compute")??;
            tokio::time::sleep(SETTLING).await;
        }
        Ok(spinners)
    }

    /// Lets the clients go and waits until their guests are gone: what their requests came to.
    pub async fn stop(mut self, stage: &Stage, observer: &mut Client) -> Fallible<Tally> {
        self.tasks.shutdown().await;
        if let Some(fault) = restless(&stage.rest(observer).await?) {
            return Err(format!("after the clients of dead loops had gone, {fault}").into());
        }
        Ok(self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

async fn spin(address: SocketAddr, chat: Chat, tally: Arc<Mutex<Tally>>) {
    let mut kept = None;
    loop {
        let done = dead_loop(address, &mut kept, &chat).await;
        tally.lock().unwrap_or_else(PoisonError::into_inner).add(done);
    }
}

/// Asks for one dead loop: how it ended, as it should or not.
pub async fn dead_loop(
    address: SocketAddr,
    kept: &mut Option<Client>,
    chat: &Chat,
) -> Result<String, String> {
    let asked = async {
        let client = match kept {
            Some(client) => client,
            None => kept.insert(Client::connect(address).await?),
        };
        Fallible::Ok(client.chat(chat).await?.outcome())
    };
    match asked.await {
        Ok(outcome) if ENDS.contains(&outcome.as_str()) => Ok(outcome),
        Ok(outcome) => Err(outcome),
        Err(error) => {
            *kept = None; // another connection next time
            Err(error.to_string())
        }
    }
}
