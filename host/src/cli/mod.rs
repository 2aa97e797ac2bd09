//! The command line: one file for each subcommand. What scripts read goes to standard output, what people
//! read to standard error.

mod adaptor;
mod backup;
mod check;
mod compile;
mod completions;
mod data;
mod demo;
mod entries;
mod keys;
mod openapi;
mod reload;
mod remote;
mod secret;
mod serve;
mod store;
mod usage;

use std::{fmt::Display, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::config::{Confine, Env, Overrides, Settings};

/// One OpenAI-compatible API in front of every model backend; adaptors are sandboxed WebAssembly components.
#[derive(Parser)]
#[command(name = "airlock", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API for the clusters and endpoints of a folder of fixtures.
    Serve(SettingsArgs),
    /// Check settings, fixtures and adaptors, and name every mistake with file, line and remedy.
    Check(SettingsArgs),
    /// Try it out: the gateway, a model server inside, demo fixtures and a fresh key.
    Demo(demo::DemoArgs),
    /// Make, list and revoke API keys: in the store, or over the API of a gateway (`--url`).
    Keys(keys::KeysArgs),
    /// Write what the embedded store holds to one file, also while a gateway serves from it.
    Backup(backup::BackupArgs),
    /// Put a backup into a data folder that holds no store.
    Restore(backup::BackupArgs),
    /// Put the entries of fixture files into the store; gateways on it follow within a second.
    Loaddata(data::LoadArgs),
    /// Write the entries of the store as fixtures on standard output.
    Dumpdata(data::DumpArgs),
    /// Look at components, and bring them to a running gateway.
    Adaptor(adaptor::AdaptorArgs),
    /// Put the entries of fixture files into a running gateway, and say what became of each.
    Apply(remote::ApplyArgs),
    /// List what a running gateway has, or show one of it.
    Get(remote::GetArgs),
    /// Delete something that `get` lists.
    Delete(remote::DeleteArgs),
    /// Set and delete the secrets that a gateway adds to requests, and change the key that they are encrypted with.
    Secret(secret::SecretArgs),
    /// Say whose signature uploads need.
    Signer(remote::SignerArgs),
    /// Make, change and delete tenants.
    Tenant(remote::TenantArgs),
    /// Say who belongs to a tenant, and what they may do.
    Member(remote::MemberArgs),
    /// Take a cluster down for a time, with a notice for clients, and have it up again.
    Maintenance(remote::MaintenanceArgs),
    /// Say where a request for a model goes, and why.
    Route(remote::RouteArgs),
    /// Report what was used: by tenant, user, model, day and more; of the store, or over the API of a gateway (`--url`).
    Usage(usage::UsageArgs),
    /// Write a script that completes commands and flags in a shell.
    Completions(completions::CompletionArgs),
    /// Write the description of the HTTP API (OpenAPI 3.1), which a gateway serves at `/openapi.json`.
    Openapi,
    /// Compile the component on standard input; what the gateway runs as a child of its own.
    #[command(hide = true)]
    Compile(compile::CompileArgs),
}

/// Where settings come from. Flags win over `AIRLOCK_…` variables, those over the file.
#[derive(Args, Default)]
struct SettingsArgs {
    /// The settings file [default: AIRLOCK_CONFIG, else airlock.toml where there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the fixture files [default: fixtures]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// Folder of the embedded store [default: airlock-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// PostgreSQL server in the place of the embedded store, as postgres://…; a password is better kept in
    /// the variable AIRLOCK_DATABASE
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Folder of the bundled adaptors [default: ../adaptors, from the binary]
    #[arg(long, value_name = "DIR")]
    adaptors: Option<PathBuf>,
    /// Threads that serve requests; 0 is one for each core [default: 0]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

impl SettingsArgs {
    fn load(&self, env: &Env) -> Result<Settings, Failure> {
        // Parsed here, as what clap refuses it also shows.
        let database = self.database.as_deref().map(str::parse).transpose().map_err(Failure::new)?;
        let flags = Overrides {
            database,
            listen: self.listen,
            data: self.data.clone(),
            fixtures: self.fixtures.clone(),
            adaptors: self.adaptors.clone(),
            workers: self.workers,
        };
        Settings::load(self.file(env), &flags).map_err(Failure::new)
    }

    /// The settings file, where one is named.
    fn file(&self, env: &Env) -> Option<PathBuf> {
        self.config.clone().or_else(|| env.get("AIRLOCK_CONFIG").map(PathBuf::from))
    }
}

/// A command that failed, in words for the person who gave it.
struct Failure(String);

impl Failure {
    fn new(message: impl Display) -> Self {
        Self(message.to_string())
    }

    /// Of loading: that a file is out of reach may be of the operator's own making.
    fn to_load(message: impl Display, confine: Confine) -> Self {
        let mut text = message.to_string();
        if confine != Confine::Off && text.contains("Permission denied") {
            text.push_str("\n  the process is confined: name files in other places in process.read_paths");
        }
        Self(text)
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let env = &Env::of_process();
    done(match cli.command {
        Command::Serve(args) => wait(serve::run(args, env)),
        Command::Check(args) => wait(check::run(args, env)),
        Command::Demo(args) => wait(demo::run(args, env)),
        Command::Keys(args) => keys::run(args, env),
        Command::Backup(args) => wait(backup::backup(args, env)),
        Command::Restore(args) => wait(backup::restore(args, env)),
        Command::Loaddata(args) => wait(data::load(args, env)),
        Command::Dumpdata(args) => wait(data::dump(args, env)),
        Command::Adaptor(args) => adaptor::run(args, env),
        Command::Apply(args) => remote::apply(&args, env),
        Command::Get(args) => remote::get(args, env),
        Command::Delete(args) => remote::delete(args, env),
        Command::Secret(args) => secret::run(args, env),
        Command::Signer(args) => remote::signer(args, env),
        Command::Tenant(args) => remote::tenant(args, env),
        Command::Member(args) => remote::member(args, env),
        Command::Maintenance(args) => remote::maintenance(args, env),
        Command::Route(args) => remote::route(&args, env),
        Command::Usage(args) => usage::run(args, env),
        Command::Completions(args) => completions::run(&args),
        Command::Openapi => openapi::run(),
        Command::Compile(args) => compile::run(&args),
    })
}

/// Runs a command on a runtime of its own.
fn wait<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::new)?.block_on(command)
}

fn done(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    say(format_args!("error: {}", failure.0.trim_end()));
    ExitCode::FAILURE
}

/// A line for people. A closed standard error is nobody's loss.
fn say(line: impl Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line for scripts.
fn print(line: impl Display) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(Failure::new)
}
