//! `airlock signer set|delete`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use super::RemoteArgs;
use crate::{
    cli::{Failure, say},
    config::Env,
};

#[derive(Args)]
pub(crate) struct SignerArgs {
    #[command(subcommand)]
    command: SignerCommand,
}

#[derive(Subcommand)]
enum SignerCommand {
    /// Trust a key to sign components. Once a tenant trusts one, every upload needs a signature of one.
    Set {
        /// What the signer is called
        name: String,
        /// The public key in PEM, such as cosign.pub: ECDSA on P-256, or Ed25519
        key: PathBuf,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Trust it no more. Versions that are there stay. Without any signer, uploads need no signature.
    Delete {
        /// What the signer is called
        name: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
}

pub(crate) fn run(args: SignerArgs, env: &Env) -> Result<(), Failure> {
    match args.command {
        SignerCommand::Set { name, key, remote } => {
            let text = std::fs::read_to_string(&key)
                .map_err(|error| Failure::new(format_args!("{}: {error}", key.display())))?;
            let signer = json!({ "public_key": text });
            remote.open(env)?.ask(Method::PUT, &["signers", &name]).json(&signer).send()?.good()?;
            say(format_args!("the signer {name} is set"));
        }
        SignerCommand::Delete { name, remote } => {
            remote.open(env)?.ask(Method::DELETE, &["signers", &name]).send()?.good()?;
            say(format_args!("the signer {name} is deleted"));
        }
    }
    Ok(())
}
