//! Where records of requests go: metrics, the store, a collector, the log.

use std::{sync::Arc, thread, time::Duration};

use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::{
    accounts::Accounts,
    config::{Env, Settings},
    ledger::{Ledger, Ledgers},
    observe::{Metrics, Telemetry},
    store::{Store, StoreError},
};

/// Longest time for a collector to take the last spans, once no request is open.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// What is done with records of requests.
pub struct Records {
    all: Arc<dyn Ledger>,
    accounts: Option<Accounts>,
    metrics: Arc<Metrics>,
    telemetry: Option<Arc<Telemetry>>,
}

impl Records {
    /// As the settings want it, and for one ledger more, which comes last.
    pub(super) fn open(
        settings: &Settings,
        env: &Env,
        store: &Store,
        further: Arc<dyn Ledger>,
    ) -> Result<Self, StartError> {
        let accounts = settings.ledger.records.then(|| Accounts::new(store, settings.ledger.keep_days));
        let metrics = Arc::new(Metrics::new().map_err(StartError::Metrics)?);
        let telemetry = match settings.otlp_endpoint(env)? {
            Some(endpoint) => {
                let started = Telemetry::start(&endpoint, settings.telemetry.genai_conventions);
                Some(Arc::new(started.map_err(StartError::Telemetry)?))
            }
            None => None,
        };
        let mut all = vec![Arc::clone(&metrics) as Arc<dyn Ledger>];
        all.extend(accounts.iter().map(|accounts| Arc::new(accounts.clone()) as Arc<dyn Ledger>));
        all.extend(telemetry.iter().map(|telemetry| Arc::clone(telemetry) as Arc<dyn Ledger>));
        all.push(further);
        Ok(Self { all: Arc::new(Ledgers(all)), accounts, metrics, telemetry })
    }

    /// All of them.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.all
    }

    /// Those on their way into the store, where they are kept.
    pub fn accounts(&self) -> Option<&Accounts> {
        self.accounts.as_ref()
    }

    /// What is counted of them.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether requests are spans of traces.
    pub fn has_traces(&self) -> bool {
        self.telemetry.is_some()
    }

    /// Writes them until `stop`.
    pub(super) fn start_writing(&self, stop: &CancellationToken) {
        if let Some(accounts) = &self.accounts {
            tokio::spawn(accounts.clone().keep(stop.clone()));
        }
    }

    /// Writes and sends what waits. Whether it is written is no business of the collector's.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        let told = self.telemetry.clone().map(|telemetry| (tell(telemetry), Instant::now() + LAST_SPANS));
        let written = match &self.accounts {
            Some(accounts) => accounts.flush().await,
            None => Ok(()),
        };
        if let Some((told, until)) = told
            && !matches!(tokio::time::timeout_at(until, told).await, Ok(Ok(())))
        {
            tracing::warn!("the last spans and metrics could not be sent in time");
        }
        written
    }
}

/// Sends what waits, beside the writes, which have a time limit around them. In a thread that nobody waits for: a runtime
/// does not end before its own.
fn tell(telemetry: Arc<Telemetry>) -> oneshot::Receiver<()> {
    let (done, told) = oneshot::channel();
    // Where there is no thread nothing is told, and nor where nobody waits any more.
    let _ = thread::Builder::new().name("airlock-last-spans".into()).spawn(move || {
        telemetry.flush();
        let _ = done.send(());
    });
    told
}
