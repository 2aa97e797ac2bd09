//! What an uploaded component has to pass before it can be used, and the report that says so.

mod conformance;
mod report;
mod signature;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use airlock_sandbox::{Adaptor, Budgets, Connector, Import, Inspection, LoadError, Sandbox, Tenant, inspect};
use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::{conformance::Subject, report::Finding};
pub use self::{
    report::{Capability, Check, Cost, Report},
    signature::{Evidence, Signed},
};
use crate::{catalog::remedy, tenants::Signer};

/// Uploads that are examined at one moment, and those that wait for their turn.
const AT_ONCE: usize = 2;
const WAITING: usize = 8;

/// The longest that the conformance run of one component takes. Compiling has limits of its own.
const LONGEST_RUN: Duration = Duration::from_secs(30);

/// What a middleware stands in front of while it is examined.
const BEHIND: &str = "direct-api";

/// Examines what is uploaded, a few at a time.
pub struct Gate {
    sandbox: Sandbox,
    connector: Connector,
    budgets: Arc<Budgets>,
    bundled: PathBuf,
    places: Semaphore,
    queue: Semaphore,
}

/// A component that somebody uploads.
pub struct Upload {
    /// What it will be called.
    pub name: String,
    /// The component.
    pub bytes: Bytes,
    /// Who uploads: the run counts against this tenant's limits.
    pub tenant: Arc<Tenant>,
    /// What the uploader configures it with for the run.
    pub config: Map<String, Value>,
    /// Whom the tenant trusts to make components. Where there is nobody, anybody may.
    pub signers: Vec<Signer>,
    /// What shows who made it.
    pub evidence: Evidence,
}

/// The turn of one upload: no more components than there are turns are in memory.
pub struct Turn<'a> {
    _queued: SemaphorePermit<'a>,
    _place: SemaphorePermit<'a>,
}

/// There is no room for the examination at the moment.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Busy(pub(crate) String);

impl Gate {
    /// A gate whose runs have the budgets of requests. `bundled` is the folder of the bundled adaptors.
    pub fn new(sandbox: Sandbox, connector: Connector, budgets: Arc<Budgets>, bundled: PathBuf) -> Self {
        let (places, queue) = (Semaphore::new(AT_ONCE), Semaphore::new(AT_ONCE + WAITING));
        Self { sandbox, connector, budgets, bundled, places, queue }
    }

    /// Waits until it is an upload's turn to be read into memory and examined.
    pub async fn turn(&self) -> Result<Turn<'_>, Busy> {
        let full = || Busy(format!("{} uploads are being examined or wait for it.", AT_ONCE + WAITING));
        let queued = self.queue.try_acquire().map_err(|_| full())?;
        let place = self.places.acquire().await.map_err(|_| full())?;
        Ok(Turn { _queued: queued, _place: place })
    }

    /// Examines a component in its turn.
    pub async fn examine(&self, _turn: &Turn<'_>, upload: Upload) -> Result<Report, Busy> {
        let mut report = Report {
            passed: false,
            digest: String::new(),
            size: upload.bytes.len(),
            signer: None,
            roles: Vec::new(),
            capabilities: Vec::new(),
            checks: Vec::new(),
            cost: None,
        };
        if is_trusted(&mut report, &upload).await
            && let Some(inspection) = read(&mut report, upload.bytes.clone()).await
            && let Some(adaptor) = self.compile(&mut report, &upload, &inspection).await
        {
            Box::pin(self.run(&mut report, &upload, adaptor)).await?;
        }
        report.passed = report.failed().is_none();
        Ok(report)
    }

    /// Compiles it as it will be compiled: a middleware together with what stands behind it.
    async fn compile(&self, report: &mut Report, upload: &Upload, found: &Inspection) -> Option<Adaptor> {
        let started = Instant::now();
        let behind = if found.kind.middleware {
            match std::fs::read(self.bundled.join(format!("{BEHIND}.wasm"))) {
                Ok(bytes) => Some(bytes),
                Err(error) => {
                    let message = format!("the bundled adaptor {BEHIND}, to stand behind it: {error}");
                    report.note("compilation", started, Finding::fails(message, "tell the operator"));
                    return None;
                }
            }
        } else {
            None
        };
        let parts: Vec<&[u8]> = [&*upload.bytes].into_iter().chain(behind.as_deref()).collect();
        match self.sandbox.load_chain(&upload.name, &parts).await {
            Ok(adaptor) => {
                report.note("compilation", started, Finding::holds("it compiles"));
                Some(adaptor)
            }
            Err(error) => {
                report.note("compilation", started, refused(&error));
                None
            }
        }
    }

    async fn run(&self, report: &mut Report, upload: &Upload, adaptor: Adaptor) -> Result<(), Busy> {
        let subject = Subject {
            sandbox: self.sandbox.clone(),
            connector: self.connector.clone(),
            adaptor: Arc::new(adaptor),
            tenant: Arc::clone(&upload.tenant),
            budgets: Arc::clone(&self.budgets),
            config: upload.config.clone(),
        };
        let started = Instant::now();
        let run = conformance::run(&subject, report);
        if let Ok(done) = tokio::time::timeout(LONGEST_RUN, run).await {
            return done;
        }
        let message = format!("its calls took more than {LONGEST_RUN:?} together");
        let remedy = "make it quicker, or try again when the gateway has less to do";
        report.note("duration", started, Finding::fails(message, remedy));
        Ok(())
    }
}

/// Whether somebody made it whom the tenant trusts, where it trusts only some.
async fn is_trusted(report: &mut Report, upload: &Upload) -> bool {
    let started = Instant::now();
    let (bytes, signers) = (upload.bytes.clone(), upload.signers.clone());
    let evidence = upload.evidence.clone();
    let checking =
        tokio::task::spawn_blocking(move || (digest(&bytes), signature::check(&bytes, &signers, &evidence)));
    let finding = match checking.await {
        Ok((digest, checked)) => {
            report.digest = digest;
            match checked {
                Ok(signer) => {
                    let finding = Finding::holds(format!("signed by {signer}"));
                    report.signer = Some(signer);
                    finding
                }
                Err(finding) => finding,
            }
        }
        Err(error) => Finding::fails(error.to_string(), "try again"),
    };
    report.note("signature", started, finding);
    report.failed().is_none()
}

/// What can be told from the bytes alone. Nobody else's request waits for that.
async fn read(report: &mut Report, bytes: Bytes) -> Option<Inspection> {
    let started = Instant::now();
    let reading = tokio::task::spawn_blocking(move || inspect(&bytes)).await;
    let inspected = reading.unwrap_or_else(|error| Err(LoadError::Invalid(error.to_string())));
    let inspection = match inspected {
        Ok(inspection) => inspection,
        Err(error) => {
            report.note("component", started, refused(&error));
            return None;
        }
    };
    report.roles = roles(&inspection);
    report.capabilities = inspection.imports.iter().filter_map(capability).collect();
    report.note("component", started, Finding::holds(format!("a component of {} bytes", report.size)));
    let fits = report.note("interfaces", Instant::now(), interfaces(&inspection));
    fits.then_some(inspection)
}

fn refused(error: &LoadError) -> Finding {
    Finding::fails(error.to_string(), remedy(error))
}

/// SHA-256, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    hex::encode(Sha256::digest(bytes))
}

fn roles(inspection: &Inspection) -> Vec<String> {
    let kind = inspection.kind;
    let roles = [
        (kind.endpoint && !kind.middleware, "endpoint"),
        (kind.middleware, "middleware"),
        (kind.cluster, "cluster"),
        (kind.batch, "batch"),
    ];
    roles.iter().filter(|(has, _)| *has).map(|(_, name)| (*name).to_owned()).collect()
}

fn capability(import: &Import) -> Option<Capability> {
    let lets = import.grants.as_ref().ok()?;
    Some(Capability { import: import.name.clone(), lets: (*lets).to_owned() })
}

/// What it exports makes it an adaptor, and what it imports it may have.
fn interfaces(inspection: &Inspection) -> Finding {
    if let Some((name, why)) =
        inspection.imports.iter().find_map(|i| Some((&i.name, i.grants.as_ref().err()?)))
    {
        let remedy = "build it without; `airlock adaptor inspect` shows what it imports";
        return Finding::fails(format!("it imports `{name}`: {why}"), remedy);
    }
    let kind = inspection.kind;
    if !kind.endpoint && !kind.cluster {
        let message = "it exports neither `airlock:adaptor/endpoint` nor `airlock:adaptor/cluster`";
        return Finding::fails(message, "build it for one of the worlds in wit/worlds.wit");
    }
    Finding::holds(format!("it can be used as {}", roles(inspection).join(", ")))
}
