//! Writes that come one after the other, and the number by which others see that there was one.

use sqlx::{Any, Transaction, pool::PoolConnection};

use super::{Store, StoreError};

/// What writes are put in line by: writes of one line never overlap, whichever process makes them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line {
    /// Keys and documents: everything that gateways keep snapshots of.
    Store,
    /// Reservations of batches.
    Batches,
}

impl Line {
    /// The name of its counter.
    const fn counter(self) -> &'static str {
        match self {
            Self::Store => "store_revision",
            Self::Batches => "batches",
        }
    }
}

impl Store {
    /// Begins a write and takes its number. The counter comes first: whoever raises it next waits until this
    /// write is done, so that it decides by what it then sees.
    pub(super) async fn begin(&self, line: Line) -> Result<(Transaction<'static, Any>, i64), StoreError> {
        self.check_file()?;
        let mut transaction = self.pool.begin().await?;
        let raise =
            sqlx::query_scalar("UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value");
        let number = raise.bind(line.counter()).fetch_one(&mut *transaction).await?;
        Ok((transaction, number))
    }

    /// Watches for writes of keys and documents, of whichever process.
    pub async fn watch(&self) -> Result<ChangeWatch, StoreError> {
        let mut connection = self.pool.acquire().await?;
        // It is given up when it has failed: nothing is to wait for it then.
        connection.close_on_drop();
        let mut watch = ChangeWatch { store: self.clone(), connection, revision: 0 };
        watch.changed().await?;
        Ok(watch)
    }
}

/// A connection that only asks whether somebody has written.
pub struct ChangeWatch {
    store: Store,
    connection: PoolConnection<Any>,
    revision: i64,
}

impl ChangeWatch {
    /// Whether anybody has written since the last call.
    pub async fn changed(&mut self) -> Result<bool, StoreError> {
        self.store.check_file()?;
        let look = sqlx::query_scalar("SELECT value FROM counters WHERE name = $1");
        let revision = look.bind(Line::Store.counter()).fetch_one(&mut *self.connection).await?;
        Ok(std::mem::replace(&mut self.revision, revision) != revision)
    }
}
