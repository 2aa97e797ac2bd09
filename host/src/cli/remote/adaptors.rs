//! `airlock adaptor push|list|show|rollout|rollback|delete`

use std::{
    io::{Cursor, IsTerminal as _, Read, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{RemoteArgs, get, report, table, table::OutputArgs};
use crate::{
    cli::{Failure, say},
    config::Env,
};

#[derive(Subcommand)]
pub(crate) enum AdaptorCommand {
    /// Upload a component to a running gateway. It is examined, stored, and gets tasks at once, without a restart.
    Push(PushArgs),
    /// List a tenant's adaptors.
    List(ListArgs),
    /// Show which versions an adaptor has, and which of them get tasks.
    Show(NamedArgs),
    /// Let a version get all tasks, or so many of a hundred.
    Rollout(RolloutArgs),
    /// End a trial; without one, go back to the version before. Counts at once.
    Rollback(NamedArgs),
    /// Delete an adaptor with all its versions. Refused where an endpoint names it.
    Delete(NamedArgs),
}

#[derive(Args)]
pub(crate) struct PushArgs {
    /// The .wasm file
    file: PathBuf,
    /// The adaptor's name [default: the file's name without its ending]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only so many of a hundred tasks go to this version, 1 to 99
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99), conflicts_with = "hold")]
    canary: Option<u8>,
    /// No task goes to this version for now
    #[arg(long)]
    hold: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    form: OutputArgs,
}

#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    form: OutputArgs,
}

#[derive(Args)]
pub(crate) struct NamedArgs {
    /// The adaptor's name
    name: String,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    form: OutputArgs,
}

#[derive(Args)]
pub(crate) struct RolloutArgs {
    /// The adaptor's name
    name: String,
    /// The version: its digest, or how that begins
    version: String,
    /// How many of a hundred tasks it gets; with 100 it goes live
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    form: OutputArgs,
}

pub(crate) fn run(command: AdaptorCommand, env: &Env) -> Result<(), Failure> {
    match command {
        AdaptorCommand::Push(args) => push(args, env),
        AdaptorCommand::List(ListArgs { remote, form }) => get::adaptors(&remote.open(env)?, form.output),
        AdaptorCommand::Show(args) => show(&args, env),
        AdaptorCommand::Rollout(args) => {
            let RolloutArgs { name, version, percent, remote, form } = args;
            let wanted = json!({ "version": version, "percent": percent });
            let own = remote.open(env)?;
            let done = own.ask(Method::POST, &["adaptors", &name, "rollout"]).json(&wanted).send()?.good()?;
            form.output.lines(&done, &[rollout(done.get("spec"))])
        }
        AdaptorCommand::Rollback(NamedArgs { name, remote, form }) => {
            let own = remote.open(env)?;
            let done =
                own.ask(Method::POST, &["adaptors", &name, "rollback"]).json(&json!({})).send()?.good()?;
            form.output.lines(&done, &[rollout(done.get("spec"))])
        }
        AdaptorCommand::Delete(NamedArgs { name, remote, .. }) => {
            remote.open(env)?.ask(Method::DELETE, &["adaptors", &name]).send()?.good()?;
            say(format_args!("the adaptor {name} is deleted"));
            Ok(())
        }
    }
}

fn push(args: PushArgs, env: &Env) -> Result<(), Failure> {
    let PushArgs { file, name, canary, hold, remote, form } = args;
    let bytes = std::fs::read(&file).map_err(|e| Failure::new(format_args!("{}: {e}", file.display())))?;
    let name = name
        .or_else(|| stem(&file))
        .ok_or_else(|| Failure::new(format_args!("{}: name the adaptor with --name", file.display())))?;
    let own = remote.open(env)?;
    let release = match (canary, hold) {
        (Some(percent), _) => format!("canary:{percent}"),
        (None, true) => "hold".to_owned(),
        (None, false) => "live".to_owned(),
    };
    let length = bytes.len();
    let ask = own.ask(Method::POST, &["adaptors", &name, "versions"]).query("release", &release);
    let answer = ask.body(Uploading::of(bytes), length).send();
    if std::io::stderr().is_terminal() {
        say("");
    }
    let done = answer?.good()?;
    let mut lines = vec![format!("adaptor {name} of {}", own.tenant)];
    lines.extend(report::lines(done.get("report").unwrap_or(&Value::Null)));
    lines.push(rollout(done.get("rollout")));
    form.output.lines(&done, &lines)
}

fn stem(file: &Path) -> Option<String> {
    Some(file.file_stem()?.to_str()?.to_owned())
}

/// A component on its way, which tells a terminal how far it is.
struct Uploading {
    bytes: Cursor<Vec<u8>>,
    is_watched: bool,
}

impl Uploading {
    fn of(bytes: Vec<u8>) -> Self {
        Self { bytes: Cursor::new(bytes), is_watched: std::io::stderr().is_terminal() }
    }
}

impl Read for Uploading {
    fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read(space)?;
        if self.is_watched {
            let (sent, all) = (self.bytes.position() >> 10, self.bytes.get_ref().len() as u64 >> 10);
            let waits = if sent == all { ", the gate examines it …" } else { "" };
            let _ = write!(std::io::stderr(), "\ruploading: {sent} of {all} KiB{waits}");
        }
        Ok(count)
    }
}

fn show(args: &NamedArgs, env: &Env) -> Result<(), Failure> {
    let own = args.remote.open(env)?;
    let mut adaptor = own.get(&["adaptors", &args.name])?;
    let spec = adaptor.get("spec").cloned().unwrap_or_default();
    let mut versions = own.list(&["adaptors", &args.name, "versions"], usize::MAX)?;
    if args.form.output == table::Output::Json {
        if let Some(adaptor) = adaptor.as_object_mut() {
            adaptor.insert("versions".to_owned(), versions.into());
        }
        return table::json(&adaptor);
    }
    crate::cli::print(rollout(Some(&spec)))?;
    for version in &mut versions {
        let state = state(&spec, version.pointer("/spec/digest"));
        if let Some(version) = version.as_object_mut() {
            version.insert("state".to_owned(), state.into());
        }
    }
    let columns = [
        ("VERSION", "/spec/digest"),
        ("STATE", "/state"),
        ("BYTES", "/spec/size"),
        ("PUSHED", "/created_at"),
    ];
    args.form.output.list(&columns, &versions)
}

/// What a version is in a rollout.
fn state(spec: &Value, digest: Option<&Value>) -> &'static str {
    let is = |at: &str| digest.is_some() && spec.pointer(at) == digest;
    match () {
        () if is("/live") => "live",
        () if is("/canary/version") => "on trial",
        () if is("/previous") => "before",
        () => "held",
    }
}

/// Which versions get tasks, in a line.
fn rollout(spec: Option<&Value>) -> String {
    let digest = |at: &str| spec.and_then(|spec| spec.pointer(at)).and_then(Value::as_str).map(table::short);
    let mut line = format!("live: {}", digest("/live").unwrap_or_else(|| "no version".to_owned()));
    if let Some(trial) = digest("/canary/version") {
        let percent =
            spec.and_then(|spec| spec.pointer("/canary/percent")).map(table::cell).unwrap_or_default();
        line.push_str(&format!("; on trial with {percent} of 100 tasks: {trial}"));
    }
    if let Some(previous) = digest("/previous") {
        line.push_str(&format!("; before: {previous}"));
    }
    line
}
