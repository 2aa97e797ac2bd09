//! API keys: made, listed, revoked, and watched for changes that another process makes.

use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use sqlx::{Row, Sqlite, pool::PoolConnection, sqlite::SqliteRow};

use super::{Store, StoreError};
use crate::auth::NewKey;

/// A key as it is stored. The key itself is nowhere.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Identifier, for logs and for revoking.
    pub id: String,
    /// Its owner's name for it.
    pub name: String,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was revoked, in Unix seconds.
    pub revoked_at: Option<i64>,
}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn key_from_row(row: &SqliteRow) -> Result<ApiKey, sqlx::Error> {
    let digest: Vec<u8> = row.try_get("digest")?;
    Ok(ApiKey {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        digest: digest
            .try_into()
            .map_err(|_| sqlx::Error::Decode("a key's digest is not 32 bytes long".into()))?,
        created_at: row.try_get("created_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

impl Store {
    /// Makes a key. It is shown once, here: only its digest is kept.
    pub async fn create_key(&self, name: &str) -> Result<NewKey, StoreError> {
        let key = NewKey::generate();
        let digest = Sha256::digest(key.secret.as_bytes());
        sqlx::query("INSERT INTO api_keys (id, name, digest, created_at) VALUES (?, ?, ?, ?)")
            .bind(&key.id)
            .bind(name)
            .bind(digest.as_slice())
            .bind(now())
            .execute(&self.pool)
            .await
            .map_err(|error| match error.as_database_error() {
                Some(e) if e.is_unique_violation() => StoreError::NameTaken(name.to_owned()),
                _ => error.into(),
            })?;
        Ok(key)
    }

    /// All keys, oldest first, revoked ones too.
    pub async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM api_keys ORDER BY created_at, id").fetch_all(&self.pool).await?;
        Ok(rows.iter().map(key_from_row).collect::<Result<_, _>>()?)
    }

    /// Revokes the active key with this name or id.
    pub async fn revoke_key(&self, name_or_id: &str) -> Result<(), StoreError> {
        let done = sqlx::query(
            "UPDATE api_keys SET revoked_at = ? WHERE (id = ? OR name = ?) AND revoked_at IS NULL",
        )
        .bind(now())
        .bind(name_or_id)
        .bind(name_or_id)
        .execute(&self.pool)
        .await?;
        match done.rows_affected() {
            0 => Err(StoreError::UnknownKey(name_or_id.to_owned())),
            _ => Ok(()),
        }
    }

    /// Watches for writes of other connections and processes.
    pub async fn watch(&self) -> Result<ChangeWatch, StoreError> {
        let mut watch = ChangeWatch { connection: self.pool.acquire().await?, version: 0 };
        watch.changed().await?;
        Ok(watch)
    }
}

/// A connection that only asks whether others have written (`PRAGMA data_version`, a look at shared
/// memory).
pub struct ChangeWatch {
    connection: PoolConnection<Sqlite>,
    version: i64,
}

impl ChangeWatch {
    /// Whether anybody has written since the last call.
    pub async fn changed(&mut self) -> Result<bool, StoreError> {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *self.connection).await?;
        Ok(std::mem::replace(&mut self.version, version) != version)
    }
}
