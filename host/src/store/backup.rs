//! A copy of the embedded store in one file, made while others use it, and the way back.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    Store, StoreError,
    place::{FILE, lock, newest_schema},
};

/// Writes what the store in `folder` holds at this moment to the file `to`, which must not be there yet. The
/// schema stays as it is.
pub async fn backup(folder: &Path, to: &Path) -> Result<(), StoreError> {
    let file = folder.join(FILE);
    if !file.is_file() {
        let why = "it holds no store".to_owned();
        return Err(StoreError::Folder { path: folder.display().to_string(), why });
    }
    copy(&file, to).await.map_err(|why| StoreError::Backup { path: to.display().to_string(), why })
}

/// Puts a backup into `folder`, which must not hold a store.
pub async fn restore(from: &Path, folder: &Path) -> Result<(), StoreError> {
    let refuse = |why: String| StoreError::Folder { path: folder.display().to_string(), why };
    let unusable = |why: String| StoreError::Backup { path: from.display().to_string(), why };
    let schema = check(from).await.map_err(unusable)?;
    if schema > newest_schema() {
        return Err(StoreError::Newer { place: from.display().to_string(), version: schema });
    }
    Store::make_folder(folder)?;
    let _lock = lock(folder.to_owned()).await.map_err(|e| refuse(e.to_string()))?;
    // A log that was left behind would be taken for the restored file's.
    let names = ["", "-wal", "-shm"].map(|end| format!("{FILE}{end}"));
    if let Some(name) = names.iter().find(|name| folder.join(name).exists()) {
        return Err(refuse(format!(
            "it holds {name}; stop airlock, and move the store's files ({}) away first",
            names.join(", ")
        )));
    }
    copy(from, &folder.join(FILE)).await.map_err(refuse)
}

/// The schema of an undamaged store.
async fn check(file: &Path) -> Result<i64, String> {
    let mut connection = open(file).await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .map_err(|e| e.to_string())?;
    if found != "ok" {
        return Err(format!("it is damaged: {found}"));
    }
    let schema = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut connection);
    let schema: Option<i64> = schema.await.map_err(|_| "it is no store of airlock".to_owned())?;
    schema.ok_or_else(|| "it is no store of airlock".to_owned())
}

async fn open(file: &Path) -> Result<SqliteConnection, String> {
    if !file.is_file() {
        return Err("there is no such file".to_owned());
    }
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    SqliteConnection::connect_with(&options).await.map_err(|e| e.to_string())
}

/// Under another name until it is whole and on the disk: a link appears at once, and only where nothing is yet.
async fn copy(from: &Path, to: &Path) -> Result<(), String> {
    if to.exists() {
        return Err("there is a file of this name already".to_owned());
    }
    let unfinished = to.with_extension(format!("{:016x}", rand::random::<u64>()));
    let done = match write(from, &unfinished).await {
        Ok(()) => publish(&unfinished, to).map_err(|e| e.to_string()),
        Err(why) => Err(why),
    };
    let _ = fs::remove_file(&unfinished);
    done
}

/// SQLite writes to an empty file that is there. It is made here, as nobody else is to read it: it holds digests
/// of keys.
async fn write(from: &Path, to: &Path) -> Result<(), String> {
    let name = to.to_str().ok_or("its path is not UTF-8")?;
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    made.map_err(|e| e.to_string())?;
    let mut connection = open(from).await?;
    let copy = sqlx::query("VACUUM INTO $1").bind(name);
    copy.execute(&mut connection).await.map_err(|e| e.to_string())?;
    connection.close().await.map_err(|e| e.to_string())
}

fn publish(unfinished: &Path, to: &Path) -> io::Result<()> {
    fs::File::open(unfinished)?.sync_all()?;
    fs::hard_link(unfinished, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.map_or_else(|| PathBuf::from("."), Path::to_owned))?.sync_all()
}
