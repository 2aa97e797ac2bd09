//! `airlock maintenance start|end`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use super::RemoteArgs;
use crate::{
    cli::{Failure, say},
    config::Env,
};

#[derive(Args)]
pub(crate) struct MaintenanceArgs {
    #[command(subcommand)]
    command: MaintenanceCommand,
}

#[derive(Subcommand)]
enum MaintenanceCommand {
    /// Take a cluster down: clients get the notice with 503 where no other cluster has the model
    Start {
        /// The cluster
        cluster: String,
        /// What clients are told
        notice: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Have it up again
    End {
        /// The cluster
        cluster: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
}

pub(crate) fn run(args: MaintenanceArgs, env: &Env) -> Result<(), Failure> {
    match args.command {
        MaintenanceCommand::Start { cluster, notice, remote } => {
            let notice = json!({ "notice": notice });
            remote.open(env)?.ask(Method::PUT, &["maintenance", &cluster]).json(&notice).send()?.good()?;
            say(format_args!("{cluster} is down; to have it up again: airlock maintenance end {cluster}"));
        }
        MaintenanceCommand::End { cluster, remote } => {
            remote.open(env)?.ask(Method::DELETE, &["maintenance", &cluster]).send()?.good()?;
            say(format_args!("{cluster} is up again, where nothing else says that it is down"));
        }
    }
    Ok(())
}
