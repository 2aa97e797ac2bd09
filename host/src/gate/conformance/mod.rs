//! The component in the real sandbox, with the budgets of real requests, against a backend with a script.
//!
//! The backend is in memory (`backend`): a confined gateway may open no further port, and a component that nobody has
//! looked at yet reaches no network at all, wherever its configuration points.

mod backend;
mod call;
mod cluster;
mod cost;
mod endpoint;
mod verdict;

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use airlock_sandbox::{Adaptor, AddressPolicy, Budgets, Connector, Grant, Sandbox, Tenant};
use serde_json::{Map, Value};

use self::verdict::Stop;
use super::{
    Busy,
    report::{Finding, Report},
};
use crate::catalog;

/// The model of every task, and what the run is called in the log.
const MODEL: &str = "conformance";
const SLUG: &str = "conformance";
/// Where the backend is, as far as adaptors are told.
const API_URL: &str = "http://backend.invalid/v1";
/// How long a call may wait for the backend.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same where the backend is slow on purpose.
const LITTLE_PATIENCE: Duration = Duration::from_millis(400);

/// What is examined.
pub(super) struct Subject {
    pub(super) sandbox: Sandbox,
    pub(super) connector: Connector,
    pub(super) adaptor: Arc<Adaptor>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) budgets: Arc<Budgets>,
    /// What the uploader configures it with.
    pub(super) config: Map<String, Value>,
}

impl Subject {
    /// What the adaptor is configured with: the backend's address, and what the uploader says.
    fn config(&self) -> Map<String, Value> {
        let mut config = self.config.clone();
        config.entry("api_url").or_insert_with(|| API_URL.into());
        config
    }

    /// What the configuration grants. There is no credential: nothing is there to be sent to anybody.
    fn grant(&self) -> Arc<Grant> {
        let origins = catalog::origins(&self.config());
        Arc::new(Grant::new(Arc::clone(&self.tenant), AddressPolicy::default(), origins, Vec::new()))
    }

    /// The budgets of a request, with less time: enough to say something after the backend's is up.
    fn budgets(&self, patience: Duration) -> Arc<Budgets> {
        let wall = (2 * patience).min(self.budgets.wall);
        Arc::new(Budgets { wall, ..Budgets::clone(&self.budgets) })
    }
}

/// Runs what it can be used as, up to the first check that fails.
pub(super) async fn run(subject: &Subject, report: &mut Report) -> Result<(), Busy> {
    if subject.adaptor.is_endpoint() {
        endpoint::run(subject, report).await?;
    }
    if subject.adaptor.is_cluster() && report.failed().is_none() {
        cluster::run(subject, report).await?;
    }
    Ok(())
}

/// Makes one check, which gives its warnings; whether those after it can be made.
async fn step(
    report: &mut Report,
    (name, holds): (&str, &str),
    check: impl Future<Output = Result<Vec<String>, Stop>>,
) -> Result<bool, Busy> {
    let started = Instant::now();
    let finding = match check.await {
        Ok(warnings) => Finding::Holds { message: holds.to_owned(), warnings },
        Err(Stop::Found(finding)) => finding,
        Err(Stop::Busy(what)) => {
            return Err(Busy(format!("The component cannot be run at the moment: {what}.")));
        }
    };
    Ok(report.note(name, started, finding))
}
