//! `airlock backup` and `airlock restore`

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, say, store::StoreArgs};
use crate::{
    config::{Env, Settings},
    store,
};

#[derive(Args)]
pub(super) struct BackupArgs {
    /// The file of the backup
    file: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn backup(args: BackupArgs, env: &Env) -> Result<(), Failure> {
    let settings = args.store.settings(env)?;
    store::backup(folder(&settings)?, &args.file).await.map_err(Failure::new)?;
    say(format_args!("{} holds the store as it was just now", args.file.display()));
    Ok(())
}

pub(super) async fn restore(args: BackupArgs, env: &Env) -> Result<(), Failure> {
    let settings = args.store.settings(env)?;
    let folder = folder(&settings)?;
    store::restore(&args.file, folder).await.map_err(Failure::new)?;
    say(format_args!("{} holds what {} does; start airlock", folder.display(), args.file.display()));
    Ok(())
}

/// The folder of the embedded store; a server has programs of its own for this.
fn folder(settings: &Settings) -> Result<&Path, Failure> {
    match &settings.database {
        None => Ok(&settings.data),
        Some(server) => Err(Failure::new(format_args!(
            "the store is in {server}: back it up with pg_dump, and restore it with pg_restore"
        ))),
    }
}
