//! Flags of commands that use the store and serve nothing.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, SettingsArgs};
use crate::{
    config::{Env, Settings},
    store::Store,
};

#[derive(Args)]
pub(super) struct StoreArgs {
    /// The settings file [default: AIRLOCK_CONFIG, else airlock.toml where there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the embedded store [default: airlock-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// PostgreSQL server in the place of the embedded store, as postgres://…; a password is better kept in
    /// the variable AIRLOCK_DATABASE
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

impl StoreArgs {
    /// The settings that `serve` with the same flags has.
    pub(super) fn settings(self, env: &Env) -> Result<Settings, Failure> {
        let args = SettingsArgs {
            config: self.config,
            data: self.data,
            database: self.database,
            ..SettingsArgs::default()
        };
        args.load(env)
    }

    /// The store that `serve` with the same flags uses.
    pub(super) async fn open(self, env: &Env) -> Result<Store, Failure> {
        Store::open(&self.settings(env)?).await.map_err(Failure::new)
    }
}
