//! What tenants have, as documents: read singly or by the page, changed together or not at all.

use sqlx::{Any, Row as _, Transaction, any::AnyRow};

use super::{
    Store, StoreError,
    audit::{NewAudit, write_audit},
    keys::{MEMBER, revoke_keys},
    now,
    writes::Line,
};

/// One thing that a tenant has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Whose it is.
    pub tenant: String,
    /// What it is: an adaptor, an endpoint, a member, ….
    pub kind: String,
    /// Its name, of which a tenant has one of each kind.
    pub name: String,
    /// What it says, as JSON.
    pub body: String,
    /// The number of the write that made it what it is.
    pub revision: i64,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last changed, in Unix seconds.
    pub updated_at: i64,
}

/// What has to be there for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anything or nothing.
    Any,
    /// No document of this name.
    Absent,
    /// The document, as this write left it.
    Revision(i64),
}

/// A change of one document.
#[derive(Debug, Clone)]
pub enum Change {
    /// It is made, or replaced.
    Put {
        /// Whose it is.
        tenant: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What it says from now on, as JSON.
        body: String,
        /// What has to be there.
        expect: Expect,
    },
    /// It is removed; that there is none is no mistake, unless one is expected. A member's keys are revoked with it.
    Delete {
        /// Whose it is.
        tenant: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What has to be there.
        expect: Expect,
    },
    /// All that a tenant has is removed, and its keys are revoked. As one change, so that nothing is left of what others
    /// put at the same time.
    Forget {
        /// Whose it is.
        tenant: String,
        /// The kind of the document that stands for the tenant itself.
        kind: String,
        /// Its name.
        name: String,
        /// What has to be there of that document.
        expect: Expect,
    },
}

impl Store {
    /// Makes all changes and writes down who made them, or does nothing. What is returned is the number of this
    /// write, which the documents that it puts get as their revision. Later changes see earlier ones.
    pub async fn apply(&self, changes: &[Change], audit: &NewAudit) -> Result<i64, StoreError> {
        let (mut transaction, revision) = self.begin(Line::Store).await?;
        for change in changes {
            make(&mut transaction, revision, change).await?;
        }
        write_audit(&mut transaction, revision, audit).await?;
        transaction.commit().await?;
        Ok(revision)
    }

    /// One document.
    pub async fn document(
        &self,
        tenant: &str,
        kind: &str,
        name: &str,
    ) -> Result<Option<Document>, StoreError> {
        let select = sqlx::query("SELECT * FROM documents WHERE tenant = $1 AND kind = $2 AND name = $3");
        let row = select.bind(tenant).bind(kind).bind(name).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(document_from_row).transpose()?)
    }

    /// All documents, or those of a tenant, of a kind, of both; ordered by tenant, kind and name.
    pub async fn documents(
        &self,
        tenant: Option<&str>,
        kind: Option<&str>,
    ) -> Result<Vec<Document>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM documents WHERE tenant = COALESCE($1, tenant) AND kind = COALESCE($2, kind)
             ORDER BY tenant, kind, name",
        )
        .bind(tenant)
        .bind(kind)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(document_from_row).collect::<Result<_, _>>()?)
    }

    /// The first documents of a kind by name, at most `limit`, those that follow the name `after`.
    pub async fn page(
        &self,
        tenant: &str,
        kind: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Document>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM documents WHERE tenant = $1 AND kind = $2 AND ($3 IS NULL OR name > $3)
             ORDER BY name LIMIT $4",
        )
        .bind(tenant)
        .bind(kind)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(document_from_row).collect::<Result<_, _>>()?)
    }
}

/// Nobody else writes meanwhile, so what is found stays as it is until the change is made.
async fn make(
    transaction: &mut Transaction<'_, Any>,
    revision: i64,
    change: &Change,
) -> Result<(), StoreError> {
    let (Change::Put { tenant, kind, name, expect, .. }
    | Change::Delete { tenant, kind, name, expect }
    | Change::Forget { tenant, kind, name, expect }) = change;
    let select = "SELECT revision FROM documents WHERE tenant = $1 AND kind = $2 AND name = $3";
    let select = sqlx::query_scalar(select).bind(tenant).bind(kind).bind(name);
    let found: Option<i64> = select.fetch_optional(&mut **transaction).await?;
    let fits = match expect {
        Expect::Any => true,
        Expect::Absent => found.is_none(),
        Expect::Revision(expected) => found == Some(*expected),
    };
    if !fits {
        return Err(StoreError::Conflict { kind: kind.clone(), name: name.clone(), found });
    }
    let statement = match change {
        Change::Put { body, .. } => sqlx::query(
            "INSERT INTO documents (tenant, kind, name, body, revision, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $6)
             ON CONFLICT (tenant, kind, name) DO UPDATE
             SET body = excluded.body, revision = excluded.revision, updated_at = excluded.updated_at",
        )
        .bind(tenant)
        .bind(kind)
        .bind(name)
        .bind(body)
        .bind(revision)
        .bind(now()),
        Change::Delete { .. } => {
            if kind == MEMBER {
                revoke_keys(transaction, tenant, Some(name)).await?;
            }
            let delete = "DELETE FROM documents WHERE tenant = $1 AND kind = $2 AND name = $3";
            sqlx::query(delete).bind(tenant).bind(kind).bind(name)
        }
        Change::Forget { .. } => {
            revoke_keys(transaction, tenant, None).await?;
            sqlx::query("DELETE FROM documents WHERE tenant = $1").bind(tenant)
        }
    };
    statement.execute(&mut **transaction).await?;
    Ok(())
}

fn document_from_row(row: &AnyRow) -> Result<Document, sqlx::Error> {
    Ok(Document {
        tenant: row.try_get("tenant")?,
        kind: row.try_get("kind")?,
        name: row.try_get("name")?,
        body: row.try_get("body")?,
        revision: row.try_get("revision")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
