//! `airlock adaptor`: `inspect` here; projects and their trial below; what speaks to a gateway, in `remote`.

mod dev;
mod junit;
mod port;
mod project;
mod record;
mod replay;
mod run;
mod stage;
mod test;
mod workbench;

use std::path::{Path, PathBuf};

use airlock_sandbox::{AdaptorKind, CONTRACT_VERSION, Inspection, inspect};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Failure, print, remote};
use crate::config::Env;

#[derive(Args)]
pub(super) struct AdaptorArgs {
    #[command(subcommand)]
    command: AdaptorCommand,
}

#[derive(Subcommand)]
enum AdaptorCommand {
    /// Make a project: an adaptor that builds, is tested and runs at once, to be changed into your own.
    New(project::NewArgs),
    /// Make a project of an adaptor of FIRST: its Python file as it is, and what of it is not carried, with line and remedy.
    Port(port::PortArgs),
    /// Build a project's component, and say what it is.
    Build(project::BuildArgs),
    /// Run a project's own tests, then its component in the sandbox against a backend with a script, as the gate of a
    /// gateway does. Needs no gateway.
    Test(test::TestArgs),
    /// Build a project and push it to a running gateway, again and again whenever it changes.
    Dev(dev::DevArgs),
    /// Run one task in the sandbox on this machine, and show everything that the adaptor does. Needs no gateway.
    Run(run::RunArgs),
    /// Do the same, and write down everything that reached the adaptor, so that the run can be played again.
    Record(record::RecordArgs),
    /// Play a recording: the adaptor is told what it was told then, nothing goes out, and what comes of it is compared.
    Replay(replay::ReplayArgs),
    /// Say what a component is: its kind, what it imports and what that lets it do, its exports, size and digest.
    /// Ends with an error where a gateway would refuse it.
    Inspect {
        /// The .wasm file
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Remote(remote::AdaptorCommand),
}

pub(super) fn run(args: AdaptorArgs, env: &Env) -> Result<(), Failure> {
    match args.command {
        AdaptorCommand::New(args) => project::new(&args),
        AdaptorCommand::Port(args) => port::port(&args),
        AdaptorCommand::Build(args) => project::build(&args),
        AdaptorCommand::Test(args) => test::run(&args, env),
        AdaptorCommand::Dev(args) => dev::run(args, env),
        AdaptorCommand::Run(args) => run::run(&args, env),
        AdaptorCommand::Record(args) => record::run(&args, env),
        AdaptorCommand::Replay(args) => replay::run(&args, env),
        AdaptorCommand::Inspect { file, json } => look(&file, json),
        AdaptorCommand::Remote(command) => remote::adaptor(command, env),
    }
}

fn look(file: &Path, json: bool) -> Result<(), Failure> {
    let bytes = std::fs::read(file).map_err(|e| named(file, e))?;
    let found = inspect(&bytes).map_err(|e| named(file, e))?;
    if json {
        print(as_json(&found))?
    } else {
        print(as_text(file, &found))?
    }
    match refusal(&found) {
        Some(why) => Err(named(file, why)),
        None => Ok(()),
    }
}

fn named(file: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::new(format_args!("{}: {what}", file.display()))
}

/// Why no gateway would take it.
fn refusal(found: &Inspection) -> Option<String> {
    let refused = found.imports.iter().find_map(|i| Some((&i.name, i.grants.as_ref().err()?)));
    match refused {
        Some((name, why)) => Some(format!("the component imports `{name}`: {why}")),
        None if kinds(found.kind).is_empty() => Some(
            "the component exports neither `airlock:adaptor/endpoint` nor `airlock:adaptor/cluster`: build it for one \
             of the worlds in wit/worlds.wit"
                .into(),
        ),
        None => None,
    }
}

fn kinds(kind: AdaptorKind) -> Vec<&'static str> {
    let AdaptorKind { endpoint, cluster, batch, middleware } = kind;
    let named = [
        (endpoint && !middleware, "endpoint"),
        (middleware, "middleware"),
        (cluster, "cluster"),
        (batch && endpoint, "batch"),
    ];
    named.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
}

fn as_text(file: &Path, found: &Inspection) -> String {
    let kinds = kinds(found.kind);
    let kind = if kinds.is_empty() { "no adaptor".into() } else { kinds.join(", ") };
    let width = found.imports.iter().map(|import| import.name.len()).max().unwrap_or_default();
    let imports = found.imports.iter().map(|import| {
        let grants = import.grants.as_ref().map_or_else(|why| format!("REFUSED: {why}"), |g| (*g).to_owned());
        format!("  {:width$}  {grants}", import.name)
    });
    let exports = found.exports.iter().map(|name| format!("  {name}"));
    let head = [
        format!("file      {}", file.display()),
        format!("kind      {kind}"),
        format!("contract  airlock:adaptor@{CONTRACT_VERSION} is what this host speaks"),
        format!("size      {} bytes", found.size),
        format!("digest    sha256:{}", found.digest),
    ];
    head.into_iter()
        .chain(["imports".into()])
        .chain(imports)
        .chain(["exports".into()])
        .chain(exports)
        .collect::<Vec<_>>()
        .join("\n")
}

fn as_json(found: &Inspection) -> Value {
    let import = |import: &airlock_sandbox::Import| match &import.grants {
        Ok(grants) => json!({ "name": import.name, "allowed": true, "grants": grants }),
        Err(why) => json!({ "name": import.name, "allowed": false, "why": why }),
    };
    json!({
        "kinds": kinds(found.kind),
        "size": found.size,
        "digest": format!("sha256:{}", found.digest),
        "imports": found.imports.iter().map(import).collect::<Vec<_>>(),
        "exports": found.exports,
    })
}
