//! What outlives the process, in SQLite or PostgreSQL. Never on the path of a request for a model: rooms that
//! serve requests keep snapshots.

mod audit;
mod backup;
mod batches;
mod blobs;
mod budgets;
mod cache_key;
mod documents;
mod keys;
mod place;
mod records;
mod totals;
mod usage;
mod writes;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sqlx::AnyPool;

pub use audit::{AuditEntry, NewAudit};
pub use backup::{backup, restore};
pub use batches::{Batch, BatchStatus, NewBatch, Reservation};
pub use budgets::BudgetOwner;
pub use cache_key::{cache_key, existing_cache_key};
pub use documents::{Change, Document, Expect};
pub use keys::{ApiKey, COMMAND_LINE, DEFAULT_TENANT, KeyOrder, MEMBER, TENANT};
pub use place::Place;
pub use records::{NewRecord, StoredRecord};
pub use totals::{Sums, UsageKey, UsageLine, UsageQuery};
pub use usage::UsageOwner;
pub use writes::ChangeWatch;

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
    /// The server cannot be used.
    #[error("the database {server} cannot be used: {why}")]
    Server {
        /// Its address, without what is secret.
        server: String,
        /// What it says.
        why: String,
    },
    /// The store was written by a newer version.
    #[error(
        "{place} was written by a newer version of airlock (schema {version}). Run that version, or \
         name another folder with --data, or another database with --database"
    )]
    Newer {
        /// The file's path, or the server.
        place: String,
        /// The schema's number.
        version: i64,
    },
    /// A backup that cannot be made or used.
    #[error("the backup {path} cannot be used: {why}")]
    Backup {
        /// Its path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file is no longer where it was opened.
    #[error("{0} was moved, removed or replaced while it was open; put it back, or restart airlock")]
    Moved(String),
    /// A document is not as a change expects it.
    #[error("the {kind} {name:?} is not as it was expected to be")]
    Conflict {
        /// The document's kind.
        kind: String,
        /// Its name.
        name: String,
        /// Its revision, where there is such a document.
        found: Option<i64>,
    },
    /// A key of this name exists.
    #[error("there is an active key named {0:?} already; revoke it first or choose another name")]
    NameTaken(String),
    /// No such key.
    #[error(
        "there is no active key with the name or id {name:?} in the tenant {tenant:?}; `airlock keys list` \
         shows them"
    )]
    UnknownKey {
        /// The tenant that it was looked for in.
        tenant: String,
        /// What was looked for.
        name: String,
    },
    /// A key for a tenant that is not there.
    #[error("there is no tenant {0:?}; `airlock tenant create` makes one")]
    UnknownTenant(String),
    /// A key for a member who is not there.
    #[error("the tenant {tenant:?} has no member {name:?}; `airlock member add` makes one")]
    UnknownMember {
        /// The tenant.
        tenant: String,
        /// Who was looked for.
        name: String,
    },
    /// It takes longer than it may.
    #[error("the store has not answered within {0:?}")]
    Slow(Duration),
    /// Anything else that the database says.
    #[error("the store failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    /// Where it is a file.
    file: Option<Arc<place::OpenFile>>,
}

impl Store {
    /// Opens the store, makes it where it is missing, and brings its schema up to date.
    pub async fn open(place: impl Into<Place>) -> Result<Self, StoreError> {
        match place.into() {
            Place::Folder(folder) => {
                let (pool, file) = place::open_folder(&folder).await?;
                Ok(Self { pool, file: Some(Arc::new(file)) })
            }
            Place::Server(url) => Ok(Self { pool: place::open_server(&url).await?, file: None }),
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

    /// Closes the connections, so that SQLite's write-ahead log is folded into its file.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// Fails where the file of the store is not where it was.
    fn check_file(&self) -> Result<(), StoreError> {
        self.file.as_deref().map_or(Ok(()), place::OpenFile::check)
    }
}

/// The time, as the store counts it: Unix seconds.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
