//! What an uploaded component has to pass before it can be used, and the report that says so.

use std::time::Instant;

use airlock_sandbox::{Import, Inspection, Sandbox, inspect};
use serde::{Deserialize, Serialize};

use crate::catalog::remedy;

/// What the gate found out about a component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Whether it can be used.
    pub passed: bool,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Its size, in bytes.
    pub size: usize,
    /// What it can be used as: `endpoint`, `cluster`, `batch`, `middleware`.
    pub roles: Vec<String>,
    /// What it imports, and what that lets it do.
    pub capabilities: Vec<Capability>,
    /// Every check, in order, up to the first that failed.
    pub checks: Vec<Check>,
}

/// One import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capability {
    /// Its name.
    pub import: String,
    /// What it lets the component do.
    pub lets: String,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// Whether it holds.
    pub passed: bool,
    /// What was found, in one line.
    pub message: String,
    /// What to do, where it does not hold.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Report {
    /// The first check that failed.
    pub fn failed(&self) -> Option<&Check> {
        self.checks.iter().find(|check| !check.passed)
    }
}

/// A check's finding, or what is wrong and what to do.
type Finding = Result<String, (String, String)>;

/// Examines a component called `name`.
pub async fn examine(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> Report {
    let mut report = Report {
        passed: false,
        digest: digest(bytes),
        size: bytes.len(),
        roles: Vec::new(),
        capabilities: Vec::new(),
        checks: Vec::new(),
    };
    let started = Instant::now();
    let inspected = inspect(bytes);
    let inspection = match inspected {
        Ok(inspection) => inspection,
        Err(error) => {
            let finding = Err((error.to_string(), remedy(&error).to_owned()));
            report.note("component", started, finding);
            return report;
        }
    };
    report.roles = roles(&inspection);
    report.capabilities = inspection.imports.iter().filter_map(capability).collect();
    report.note("component", started, Ok(format!("a component of {} bytes", bytes.len())));
    let started = Instant::now();
    report.note("interfaces", started, interfaces(&inspection));
    if report.failed().is_none() {
        let started = Instant::now();
        let compiled = compile(sandbox, name, bytes, &inspection).await;
        report.note("compilation", started, compiled);
    }
    report.passed = report.failed().is_none();
    report
}

impl Report {
    fn note(&mut self, name: &str, started: Instant, finding: Finding) {
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (passed, message, remedy) = match finding {
            Ok(message) => (true, message, None),
            Err((message, remedy)) => (false, message, Some(remedy)),
        };
        self.checks.push(Check { name: name.to_owned(), passed, message, remedy, took_ms });
    }
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
        return Err((format!("it imports `{name}`: {why}"), remedy.to_owned()));
    }
    let kind = inspection.kind;
    if !kind.endpoint && !kind.cluster {
        let message = "it exports neither `airlock:adaptor/endpoint` nor `airlock:adaptor/cluster`";
        return Err((message.to_owned(), "build it for one of the worlds in wit/worlds.wit".to_owned()));
    }
    Ok(format!("it can be used as {}", roles(inspection).join(", ")))
}

/// Compiles it as it will be compiled. A middleware is compiled with what stands behind it: not yet.
async fn compile(sandbox: &Sandbox, name: &str, bytes: &[u8], inspection: &Inspection) -> Finding {
    if inspection.kind.middleware {
        return Ok("a middleware, which is compiled together with what stands behind it".to_owned());
    }
    match sandbox.load_chain(name, &[bytes]).await {
        Ok(_) => Ok("it compiles".to_owned()),
        Err(error) => {
            let remedy = remedy(&error).to_owned();
            Err((error.to_string(), remedy))
        }
    }
}
