//! What tenants used, day by day. Every gateway on a store adds what it has counted.

use std::collections::HashMap;

use airlock_sandbox::Amounts;
use sqlx::Row as _;

use super::{Store, StoreError};

/// A tenant, told from an earlier one of the same name by when it was made, in Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsageOwner {
    /// Its name.
    pub tenant: String,
    /// When it was made.
    pub since: i64,
}

impl Store {
    /// Adds to what was used on a day, counted from 1970, and reads what all have used on it then. In one order, so that
    /// two gateways do not wait for each other.
    pub async fn add_usage(
        &self,
        day: i64,
        mut more: Vec<(UsageOwner, Amounts)>,
    ) -> Result<HashMap<UsageOwner, Amounts>, StoreError> {
        self.check_file()?;
        more.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut transaction = self.pool.begin().await?;
        for (owner, amounts) in more {
            sqlx::query(
                "INSERT INTO tenant_usage (tenant, since, day, cpu_ns, egress_bytes) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (tenant, since, day) DO UPDATE SET
                     cpu_ns = tenant_usage.cpu_ns + excluded.cpu_ns,
                     egress_bytes = tenant_usage.egress_bytes + excluded.egress_bytes",
            )
            .bind(owner.tenant)
            .bind(owner.since)
            .bind(day)
            .bind(signed(amounts.cpu_ns))
            .bind(signed(amounts.egress_bytes))
            .execute(&mut *transaction)
            .await?;
        }
        let select = "SELECT tenant, since, cpu_ns, egress_bytes FROM tenant_usage WHERE day = $1";
        let rows = sqlx::query(select).bind(day).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        let rows = rows.iter().map(|row| {
            let owner = UsageOwner { tenant: row.try_get("tenant")?, since: row.try_get("since")? };
            let amount = |column| Ok::<_, sqlx::Error>(unsigned(row.try_get(column)?));
            let amounts = Amounts { cpu_ns: amount("cpu_ns")?, egress_bytes: amount("egress_bytes")? };
            Ok((owner, amounts))
        });
        rows.collect()
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn unsigned(amount: i64) -> u64 {
    u64::try_from(amount).unwrap_or_default()
}
