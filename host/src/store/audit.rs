//! Who did what: one entry for each write of keys and documents, in the transaction of the write.

use sqlx::{Any, Row as _, Transaction, any::AnyRow};

use super::{Store, StoreError, now};

/// What is written down about a write.
#[derive(Debug, Clone)]
pub struct NewAudit {
    /// Whose things it changes.
    pub tenant: String,
    /// The id of the key that asked for it, or where no key was needed.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To a thing of which kind.
    pub kind: String,
    /// And of which name.
    pub name: String,
    /// Anything else, as JSON. Never a secret.
    pub detail: String,
}

/// What was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The number of the write: later ones have higher ones.
    pub id: i64,
    /// When, in Unix seconds.
    pub at: i64,
    /// Whose things were changed.
    pub tenant: String,
    /// The id of the key that asked for it, or where no key was needed.
    pub actor: String,
    /// The member that this key was made for.
    pub member: Option<String>,
    /// What was done.
    pub action: String,
    /// To a thing of which kind.
    pub kind: String,
    /// And of which name.
    pub name: String,
    /// Anything else, as JSON.
    pub detail: String,
}

impl Store {
    /// Entries of one tenant or of all, newest first, those before the entry `before`.
    pub async fn audit_page(
        &self,
        tenant: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        // Two statements, as there is an index for each. Keys stay where they are when they are revoked.
        let select = match tenant {
            Some(_) => {
                "SELECT audit.*, api_keys.member FROM audit LEFT JOIN api_keys ON api_keys.id = audit.actor
                 WHERE audit.tenant = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3"
            }
            None => {
                "SELECT audit.*, api_keys.member FROM audit LEFT JOIN api_keys ON api_keys.id = audit.actor
                 WHERE $1 IS NULL AND revision < $2 ORDER BY revision DESC LIMIT $3"
            }
        };
        let select = sqlx::query(select).bind(tenant).bind(before.unwrap_or(i64::MAX)).bind(i64::from(limit));
        let rows = select.fetch_all(&self.pool).await?;
        Ok(rows.iter().map(entry_from_row).collect::<Result<_, _>>()?)
    }
}

/// Writes an entry as a part of the write `revision`.
pub(super) async fn write_audit(
    transaction: &mut Transaction<'_, Any>,
    revision: i64,
    audit: &NewAudit,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit (revision, at, tenant, actor, action, kind, name, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(revision)
    .bind(now())
    .bind(&audit.tenant)
    .bind(&audit.actor)
    .bind(&audit.action)
    .bind(&audit.kind)
    .bind(&audit.name)
    .bind(&audit.detail)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn entry_from_row(row: &AnyRow) -> Result<AuditEntry, sqlx::Error> {
    Ok(AuditEntry {
        id: row.try_get("revision")?,
        at: row.try_get("at")?,
        tenant: row.try_get("tenant")?,
        actor: row.try_get("actor")?,
        member: row.try_get("member")?,
        action: row.try_get("action")?,
        kind: row.try_get("kind")?,
        name: row.try_get("name")?,
        detail: row.try_get("detail")?,
    })
}
