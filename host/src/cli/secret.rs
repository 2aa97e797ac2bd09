//! `airlock secret`: `rotate` here, on the store; what speaks to a gateway, in `remote`.

use clap::{Args, Subcommand};

use super::{Failure, remote, say, store::StoreArgs, wait};
use crate::{
    config::Env,
    gateway,
    store::{COMMAND_LINE, Store},
    tenants::{self, Rotation},
};

#[derive(Args)]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    command: SecretCommand,
}

#[derive(Subcommand)]
enum SecretCommand {
    /// Encrypt the secrets of all tenants anew with the first master key, so that the other ones can be thrown away. Works
    /// on the store; gateways on it may run, where they have the same master keys.
    Rotate(StoreArgs),
    #[command(flatten)]
    Remote(remote::SecretCommand),
}

pub(super) fn run(args: SecretArgs, env: &Env) -> Result<(), Failure> {
    match args.command {
        SecretCommand::Rotate(store) => wait(rotate(store, env)),
        SecretCommand::Remote(command) => remote::secret(command, env),
    }
}

async fn rotate(place: StoreArgs, env: &Env) -> Result<(), Failure> {
    let settings = place.settings(env)?;
    let master = gateway::master_keys(&settings, env).map_err(Failure::new)?;
    let store = Store::open(&settings).await.map_err(Failure::new)?;
    let done = tenants::rotate(&store, &master, COMMAND_LINE).await;
    store.close().await;
    let Rotation { rotated, new, lost } = done.map_err(Failure::new)?;
    say(format_args!("{rotated} encrypted anew, {new} with the first master key already"));
    if lost.is_empty() {
        return Ok(());
    }
    let names: String = lost.iter().map(|(tenant, name)| format!("\n  {name} of {tenant}")).collect();
    Err(Failure::new(format_args!(
        "no master key opens these secrets, which are as they were; add the key that they were encrypted with, or set them \
         again with `airlock secret set`:{names}"
    )))
}
