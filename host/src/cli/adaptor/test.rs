//! `airlock adaptor test`: what the gate of a gateway would find out, on this machine.

use std::path::PathBuf;

use airlock_sandbox::{Tenant, TenantLimits};
use clap::Args;

use super::{
    junit, named,
    workbench::{Candidate, Workbench},
};
use crate::{
    cli::{
        Failure, print,
        remote::{Output, OutputArgs, json, report_lines},
        say, wait,
    },
    config::Env,
    gate::{Evidence, Gate, Report, Upload},
    observe,
};

/// Whose the run is.
const TENANT: &str = "local";

#[derive(Args)]
pub(super) struct TestArgs {
    /// The project's folder, or a .wasm file
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    target: PathBuf,
    /// A file with the JSON object that it is configured with [default: `[config]` of the project]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the results as JUnit XML too, for CI
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Folder of the bundled adaptors, of which a middleware needs one behind it [default: ../adaptors, from the binary]
    #[arg(long, value_name = "DIR")]
    adaptors: Option<PathBuf>,
    #[command(flatten)]
    form: OutputArgs,
}

pub(super) fn run(args: &TestArgs, env: &Env) -> Result<(), Failure> {
    let candidate = Candidate::of(&args.target, args.config.as_deref(), |project| {
        if project.check().map_err(Failure::new)? {
            say("✓ the project's own tests");
        }
        Ok(())
    })?;
    let asked = env.get("AIRLOCK_LOG").is_some();
    let _log = asked.then(|| observe::start(env)).transpose().map_err(Failure::new)?;
    let name = candidate.name.clone();
    let mut report = wait(examine(Workbench::open(args.adaptors.clone(), env)?, candidate))?;
    // Whose signature counts is a tenant's business, and here is none.
    report.checks.retain(|check| check.name != "signature");
    if let Some(file) = &args.junit {
        std::fs::write(file, junit::document(&name, &report)).map_err(|e| named(file, e))?;
    }
    let value = serde_json::to_value(&report).map_err(Failure::new)?;
    match args.form.output {
        Output::Table => print(report_lines(&value).join("\n"))?,
        Output::Json => json(&value)?,
    }
    match report.failed() {
        Some(check) => Err(Failure::new(format_args!(
            "{name}: no gateway takes it: `{}` fails{}",
            check.name,
            if asked {
                ""
            } else {
                "\n  AIRLOCK_LOG=adaptor=info shows what it has logged, and its last words"
            }
        ))),
        None => Ok(()),
    }
}

async fn examine(workbench: Workbench, candidate: Candidate) -> Result<Report, Failure> {
    let Workbench { settings, sandbox, connector } = workbench;
    let gate = Gate::new(sandbox, connector, settings.budgets(), settings.adaptors_dir());
    let bytes = std::fs::read(&candidate.component).map_err(|e| named(&candidate.component, e))?;
    let upload = Upload {
        name: candidate.name,
        bytes: bytes.into(),
        tenant: Tenant::new(TENANT, TenantLimits::default()),
        config: candidate.config,
        signers: Vec::new(),
        evidence: Evidence::default(),
    };
    let turn = gate.turn().await.map_err(Failure::new)?;
    gate.examine(&turn, upload).await.map_err(Failure::new)
}
