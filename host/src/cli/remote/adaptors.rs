//! `airlock adaptor push|list|show|rollout|rollback|delete`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{
    RemoteArgs, get,
    push::{PushArgs, push},
    table,
    table::OutputArgs,
};
use crate::{
    cli::{Failure, say},
    config::Env,
};

#[derive(Subcommand)]
pub(crate) enum AdaptorCommand {
    /// Upload a component to a running gateway, or let it pull one. It is examined, stored, and gets tasks at once,
    /// without a restart.
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
pub(super) fn rollout(spec: Option<&Value>) -> String {
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
