//! What outlives the process, in one SQLite file. Never on the path of a request for a model: rooms that serve
//! requests keep snapshots.

mod batches;
mod cache_key;
mod keys;

use std::{path::Path, time::Duration};

use sqlx::{
    SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use batches::{Batch, BatchStatus, NewBatch, Reservation};
pub use cache_key::{cache_key, existing_cache_key};
pub use keys::{ApiKey, ChangeWatch};

/// The file inside the data folder.
const FILE: &str = "airlock.sqlite3";

/// A failure of the store, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or the file cannot be used.
    #[error("the data folder {path} cannot be used: {why}")]
    Folder {
        /// Its path.
        path: String,
        /// What the system says.
        why: String,
    },
    /// The file was written by a newer version.
    #[error(
        "{path} was written by a newer version of airlock (schema {version}). Run that version, or \
         name another folder with --data"
    )]
    Newer {
        /// The file's path.
        path: String,
        /// The schema's number.
        version: i64,
    },
    /// A key of this name exists.
    #[error("there is an active key named {0:?} already; revoke it first or choose another name")]
    NameTaken(String),
    /// No such key.
    #[error("there is no active key with the name or id {0:?}; `airlock keys list` shows them")]
    UnknownKey(String),
    /// Anything else that the database says.
    #[error("the store failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// The embedded store.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the store in `folder`, makes both where they are missing, and brings the schema up to date.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let refuse = |why: String| StoreError::Folder { path: folder.display().to_string(), why };
        Self::make_folder(folder)?;
        let file = folder.join(FILE);
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // A confined process writes nowhere else, so that SQLite's temporary files would fail.
            .pragma("temp_store", "memory")
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
            .map_err(|e| refuse(e.to_string()))?;
        match sqlx::migrate!("./migrations").run(&pool).await {
            Ok(()) => Ok(Self { pool }),
            Err(MigrateError::VersionMissing(version)) => {
                Err(StoreError::Newer { path: file.display().to_string(), version })
            }
            Err(error) => Err(refuse(error.to_string())),
        }
    }

    /// Makes the folder of a store where it is missing. It holds digests of keys: nobody else needs to read it.
    pub fn make_folder(folder: &Path) -> Result<(), StoreError> {
        use std::os::unix::fs::DirBuilderExt as _;
        if folder.is_dir() {
            return Ok(());
        }
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| StoreError::Folder { path: folder.display().to_string(), why: e.to_string() })
    }

    /// Closes the connections, so that the write-ahead log is folded into the file.
    pub async fn close(self) {
        self.pool.close().await;
    }
}
