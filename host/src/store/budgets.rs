//! Tokens that keys, users and tenants used, day by day. Every gateway on a store adds what it has counted.

use sqlx::Row as _;

use super::{Store, StoreError};

/// Days that are kept beside the one that is written.
const KEPT: i64 = 2;

/// Whose tokens they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BudgetOwner {
    /// `key`, `user` or `tenant`.
    pub of: String,
    /// The tenant.
    pub tenant: String,
    /// When it was made, in Unix seconds: tells it from an earlier one of the same name.
    pub since: i64,
    /// The key's id, or the user; empty for the tenant itself.
    pub name: String,
}

impl Store {
    /// Adds to what was used on a day, counted from 1970, and reads what all have used on it of which something was written
    /// from `since` on, in Unix seconds. In one order, so that two gateways do not wait for each other.
    pub async fn add_tokens(
        &self,
        day: i64,
        at: i64,
        mut more: Vec<(BudgetOwner, u64)>,
        since: i64,
    ) -> Result<Vec<(BudgetOwner, u64)>, StoreError> {
        self.check_file()?;
        more.sort();
        let mut transaction = self.pool.begin().await?;
        for (owner, tokens) in more {
            sqlx::query(
                "INSERT INTO token_budgets (owner, tenant, since, name, day, tokens, written_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (owner, tenant, since, name, day) DO UPDATE SET
                     tokens = token_budgets.tokens + excluded.tokens, written_at = excluded.written_at",
            )
            .bind(owner.of)
            .bind(owner.tenant)
            .bind(owner.since)
            .bind(owner.name)
            .bind(day)
            .bind(i64::try_from(tokens).unwrap_or(i64::MAX))
            .bind(at)
            .execute(&mut *transaction)
            .await?;
        }
        if since == 0 {
            let gone = sqlx::query("DELETE FROM token_budgets WHERE day < $1");
            gone.bind(day - KEPT).execute(&mut *transaction).await?;
        }
        let select = "SELECT owner, tenant, since, name, tokens FROM token_budgets WHERE day = $1 AND written_at >= $2";
        let rows = sqlx::query(select).bind(day).bind(since).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        let rows = rows.iter().map(|row| {
            let owner = BudgetOwner {
                of: row.try_get("owner")?,
                tenant: row.try_get("tenant")?,
                since: row.try_get("since")?,
                name: row.try_get("name")?,
            };
            Ok((owner, u64::try_from(row.try_get::<i64, _>("tokens")?).unwrap_or_default()))
        });
        rows.collect()
    }
}
