//! `airlock keys create|list|revoke`

use std::{io::IsTerminal as _, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, SettingsArgs, print, say};
use crate::{
    config::Env,
    store::{ApiKey, Store},
};

#[derive(Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make a key. It is printed once, alone, on standard output; only its digest is stored.
    Create {
        /// A name, for the log and for `revoke`
        name: String,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// List keys, revoked ones too: id, name, made, revoked; separated by tabs.
    List {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Revoke a key, by name or id. A running gateway refuses it within a second.
    Revoke {
        /// The key's name or id
        key: String,
        #[command(flatten)]
        store: StoreArgs,
    },
}

#[derive(Args)]
struct StoreArgs {
    /// The settings file [default: AIRLOCK_CONFIG, else airlock.toml where there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the embedded store [default: airlock-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl StoreArgs {
    /// The store that `serve` with the same settings uses.
    async fn open(self, env: &Env) -> Result<Store, Failure> {
        let args = SettingsArgs { config: self.config, data: self.data, ..SettingsArgs::default() };
        Store::open(&args.load(env)?.data).await.map_err(Failure::new)
    }
}

/// Longest name of a key, in bytes.
const MAX_NAME: usize = 100;

pub(super) async fn run(args: KeysArgs, env: &Env) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Create { name, store } => create(&name, store.open(env).await?).await,
        KeysCommand::List { store } => list(store.open(env).await?).await,
        KeysCommand::Revoke { key, store } => {
            let store = store.open(env).await?;
            store.revoke_key(&key).await.map_err(Failure::new)?;
            say(format_args!("{key} is revoked"));
            store.close().await;
            Ok(())
        }
    }
}

async fn create(name: &str, store: Store) -> Result<(), Failure> {
    let usable = !name.trim().is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
    if !usable {
        return Err(Failure::new(format_args!(
            "a key's name is 1 to {MAX_NAME} bytes long and holds no control characters"
        )));
    }
    let key = store.create_key(name).await.map_err(Failure::new)?;
    store.close().await;
    if std::io::stdout().is_terminal() {
        say("keep this key; it is not shown again:");
    }
    print(key.secret)
}

async fn list(store: Store) -> Result<(), Failure> {
    let keys = store.keys().await.map_err(Failure::new)?;
    store.close().await;
    if keys.is_empty() {
        say("there are no keys; `airlock keys create NAME` makes one");
    }
    for ApiKey { id, name, created_at, revoked_at, .. } in keys {
        let revoked = revoked_at.map_or_else(|| "active".to_owned(), |at| format!("revoked {at}"));
        print(format_args!("{id}\t{name}\t{created_at}\t{revoked}"))?;
    }
    Ok(())
}
