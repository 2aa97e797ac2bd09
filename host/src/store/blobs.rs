//! Components, by digest. They are stored before a document names them, and removed when none does any more.

use std::collections::HashSet;

use sqlx::Row as _;

use super::{Store, StoreError, now};

impl Store {
    /// Stores bytes under their digest. That they are there already is no mistake: they count as new again.
    pub async fn put_blob(&self, digest: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.check_file()?;
        let again = sqlx::query("UPDATE blobs SET stored_at = $2 WHERE digest = $1");
        let done = again.bind(digest).bind(now()).execute(&self.pool).await?;
        if done.rows_affected() > 0 {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO blobs (digest, bytes, stored_at) VALUES ($1, $2, $3)
             ON CONFLICT (digest) DO UPDATE SET stored_at = excluded.stored_at",
        )
        .bind(digest)
        .bind(bytes)
        .bind(now())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The bytes with this digest.
    pub async fn blob(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let select = sqlx::query("SELECT bytes FROM blobs WHERE digest = $1");
        let row = select.bind(digest).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.try_get("bytes")).transpose()?)
    }

    /// Removes what is not among `used` and was last stored before `older_than`, in Unix seconds, and says how
    /// many that were. What was stored later may be about to be named.
    pub async fn delete_unused_blobs(&self, used: &[String], older_than: i64) -> Result<u64, StoreError> {
        self.check_file()?;
        let used: HashSet<&str> = used.iter().map(String::as_str).collect();
        let select = sqlx::query_scalar("SELECT digest FROM blobs WHERE stored_at < $1");
        let old: Vec<String> = select.bind(older_than).fetch_all(&self.pool).await?;
        let mut removed = 0;
        for digest in old.iter().filter(|digest| !used.contains(digest.as_str())) {
            let delete = sqlx::query("DELETE FROM blobs WHERE digest = $1 AND stored_at < $2");
            removed += delete.bind(digest).bind(older_than).execute(&self.pool).await?.rows_affected();
        }
        Ok(removed)
    }
}
