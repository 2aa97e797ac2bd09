//! Where the store is: a file in the data folder, or a PostgreSQL server. What is done with it does not differ.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use sqlx::{
    AnyConnection, AnyPool, Connection as _, Executor as _,
    any::{AnyConnectOptions, AnyPoolOptions},
    migrate::{MigrateError, Migrator},
};
use url::Url;

use super::StoreError;
use crate::config::{DatabaseUrl, Settings};

/// The file inside the data folder.
pub(super) const FILE: &str = "airlock.sqlite3";

/// Connections: one looks for changes, the others are for whoever has something to do.
const CONNECTIONS: u32 = 5;
/// How long a connection is waited for.
const ACQUIRE: Duration = Duration::from_secs(5);

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// For each connection to the file. A confined process writes nowhere else, so that SQLite's temporary files
/// would fail.
const SQLITE_SESSION: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
                              PRAGMA synchronous = FULL; PRAGMA temp_store = memory";
/// For each connection to a server: a gateway that vanishes within a write does not keep others from theirs, and nobody
/// waits for a lock, or for a statement, without end.
const POSTGRES_SESSION: &str = "SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '10s'; \
                                SET statement_timeout = '30s'";

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In this data folder.
    Folder(PathBuf),
    /// On a server.
    Server(DatabaseUrl),
}

impl From<&Path> for Place {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}

impl From<&PathBuf> for Place {
    fn from(folder: &PathBuf) -> Self {
        Self::Folder(folder.clone())
    }
}

impl From<&Settings> for Place {
    fn from(settings: &Settings) -> Self {
        match &settings.database {
            Some(url) => Self::Server(url.clone()),
            None => Self::Folder(settings.data.clone()),
        }
    }
}

/// The file that connections were made to. SQLite goes on with a file that was moved away or deleted, and what
/// is written to it then is lost.
pub(super) struct OpenFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl OpenFile {
    fn new(path: PathBuf) -> std::io::Result<Self> {
        Ok(Self { identity: identity(&path)?, path })
    }

    /// Fails where another file stands in its place, or none.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match identity(&self.path) {
            Ok(found) if found == self.identity => Ok(()),
            _ => Err(StoreError::Moved(self.path.display().to_string())),
        }
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Opens the file in `folder`, makes both where they are missing, and brings the schema up to date.
pub(super) async fn open_folder(folder: &Path) -> Result<(AnyPool, OpenFile), StoreError> {
    let refuse = |why: String| StoreError::Folder { path: folder.display().to_string(), why };
    super::Store::make_folder(folder)?;
    let folder = folder.canonicalize().map_err(|e| refuse(e.to_string()))?;
    // One process at a time makes the file and its tables; SQLite itself has no lock for that.
    let _lock = lock(folder.clone()).await.map_err(|e| refuse(e.to_string()))?;
    let file = folder.join(FILE);
    let url = file_url(&file).ok_or_else(|| refuse("its path cannot be written as a URL".into()))?;
    let pool = connect(url, SQLITE_SESSION).await.map_err(|e| refuse(e.to_string()))?;
    migrate(&SQLITE, &pool).await.map_err(|error| match error {
        Migration::Newer(version) => StoreError::Newer { place: file.display().to_string(), version },
        Migration::Failed(why) => refuse(why),
    })?;
    let open = OpenFile::new(file).map_err(|e| refuse(e.to_string()))?;
    Ok((pool, open))
}

/// Connects to a server and brings the schema up to date, while no other process does.
pub(super) async fn open_server(server: &DatabaseUrl) -> Result<AnyPool, StoreError> {
    let refuse = |why: String| StoreError::Server { server: server.to_string(), why };
    let url = Url::parse(server.secret()).map_err(|_| refuse("its address is no URL".into()))?;
    try_server(&url).await.map_err(&refuse)?;
    let pool = connect(url, POSTGRES_SESSION).await.map_err(|e| refuse(e.to_string()))?;
    migrate(&POSTGRES, &pool).await.map_err(|error| match error {
        Migration::Newer(version) => StoreError::Newer { place: server.to_string(), version },
        Migration::Failed(why) => refuse(why),
    })?;
    Ok(pool)
}

/// Connects once, as a pool tries again until its time is over and does not say why.
async fn try_server(url: &Url) -> Result<(), String> {
    sqlx::any::install_default_drivers();
    let connecting = async { AnyConnection::connect(url.as_str()).await?.close().await };
    match tokio::time::timeout(ACQUIRE, connecting).await {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(_) => Err(format!("no answer within {} seconds", ACQUIRE.as_secs())),
    }
}

async fn connect(url: Url, session: &'static str) -> Result<AnyPool, sqlx::Error> {
    sqlx::any::install_default_drivers();
    let options = AnyConnectOptions::from_str(url.as_str())?;
    AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(session).await.map(drop) })
        })
        .connect_with(options)
        .await
}

enum Migration {
    Newer(i64),
    Failed(String),
}

async fn migrate(migrator: &Migrator, pool: &AnyPool) -> Result<(), Migration> {
    match migrator.run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(Migration::Newer(version)),
        Err(error) => Err(Migration::Failed(error.to_string())),
    }
}

/// The newest schema of a file that this version reads.
pub(super) fn newest_schema() -> i64 {
    SQLITE.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Held until it is dropped. Waited for on a thread of its own, as whoever holds it may need this one.
pub(super) async fn lock(folder: PathBuf) -> std::io::Result<File> {
    let locking = tokio::task::spawn_blocking(move || {
        let folder = File::open(folder)?;
        folder.lock()?;
        Ok(folder)
    });
    locking.await.map_err(std::io::Error::other)?
}

/// `sqlite:` in the place of `file:`, with every odd character of the path escaped.
fn file_url(file: &Path) -> Option<Url> {
    let url = Url::from_file_path(file).ok()?;
    Url::parse(&format!("sqlite://{}?mode=rwc", url.path())).ok()
}
