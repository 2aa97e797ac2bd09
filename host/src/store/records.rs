//! What became of requests: a row for each, the contents of those that are kept, and how long both stay.

use sqlx::{Any, Row as _, Transaction, query::Query};

use super::{Store, StoreError, totals::add_totals};
use crate::ledger::{Record, micros};

/// Longest text of a row that comes from outside, in bytes. What a model is called is the client's choice.
const MAX_TEXT: usize = 256;
/// Rows of one statement: 64 times the columns are far below what either database takes.
const ROWS: usize = 64;
/// Rows that are pruned at a time, so that nobody waits for long.
const PRUNED: i64 = 2000;

const COLUMNS: [&str; 26] = [
    "id",
    "at",
    "request_id",
    "tenant",
    "user_id",
    "key_id",
    "caller",
    "operation",
    "model",
    "endpoint",
    "owner",
    "cluster",
    "adaptor",
    "stream",
    "status",
    "error",
    "cause",
    "outcome",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "first_byte_us",
    "duration_us",
    "cpu_us",
    "memory_bytes",
    "egress_bytes",
];

/// A record with the id that it is stored under.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Its id. Later ones are greater.
    pub id: String,
    /// The record.
    pub record: Record,
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// `x-request-id`.
    pub request_id: String,
    /// The caller's tenant, where there was a caller.
    pub tenant: Option<String>,
    /// The caller's user.
    pub user: Option<String>,
    /// The model as the client named it.
    pub model: Option<String>,
    /// The endpoint that answered.
    pub endpoint: Option<String>,
    /// What the client got.
    pub status: i64,
    /// The error's code.
    pub error: Option<String>,
    /// Whose business the error is.
    pub cause: String,
    /// Tokens of prompt and answer together.
    pub total_tokens: Option<i64>,
    /// CPU time of guests, in microseconds.
    pub cpu_us: i64,
    /// The most memory that an instance had.
    pub memory_bytes: i64,
    /// Bytes of bodies that went to backends.
    pub egress_bytes: i64,
    /// What was asked, and what was answered, where that is kept; each with whether it is cut.
    pub content: Option<[(String, bool); 2]>,
}

impl Store {
    /// Stores records and adds them to the sums of their days: all or nothing.
    pub async fn add_records(&self, records: &[NewRecord]) -> Result<(), StoreError> {
        self.check_file()?;
        let mut transaction = self.pool.begin().await?;
        for rows in records.chunks(ROWS) {
            let statement = insert("request_records", &COLUMNS, rows.len());
            let query = rows.iter().fold(sqlx::query(&statement).persistent(false), bind_record);
            query.execute(&mut *transaction).await?;
        }
        add_contents(&mut transaction, records).await?;
        add_totals(&mut transaction, records).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whether there is a record with this id.
    pub async fn has_record(&self, id: &str) -> Result<bool, StoreError> {
        self.check_file()?;
        let look = sqlx::query("SELECT 1 FROM request_records WHERE id = $1").bind(id);
        Ok(look.fetch_optional(&self.pool).await?.is_some())
    }

    /// Removes records and contents of before this time, in Unix milliseconds. The sums of their days stay.
    pub async fn prune_records(&self, before: i64) -> Result<(), StoreError> {
        for table in ["request_contents", "request_records"] {
            let some = format!(
                "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE at < $1 ORDER BY at LIMIT $2)"
            );
            loop {
                self.check_file()?;
                let done = sqlx::query(&some).bind(before).bind(PRUNED).execute(&self.pool).await?;
                if done.rows_affected() < PRUNED.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The newest records, of one tenant or of all.
    pub async fn newest_records(
        &self,
        tenant: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let own = if tenant.is_some() { "tenant = $1" } else { "$1 IS NULL" };
        let select = format!(
            "SELECT r.*, prompt, prompt_cut, result, result_cut FROM request_records r
             LEFT JOIN request_contents c ON c.id = r.id WHERE {own} ORDER BY r.at DESC, r.id DESC LIMIT $2"
        );
        let rows = sqlx::query(&select).bind(tenant).bind(i64::from(limit)).fetch_all(&self.pool).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let prompt: Option<String> = row.try_get("prompt")?;
            let content = match prompt {
                None => None,
                Some(prompt) => Some([
                    (prompt, row.try_get::<i64, _>("prompt_cut")? != 0),
                    (row.try_get("result")?, row.try_get::<i64, _>("result_cut")? != 0),
                ]),
            };
            Ok::<_, sqlx::Error>(StoredRecord {
                request_id: row.try_get("request_id")?,
                tenant: row.try_get("tenant")?,
                user: row.try_get("user_id")?,
                model: row.try_get("model")?,
                endpoint: row.try_get("endpoint")?,
                status: row.try_get("status")?,
                error: row.try_get("error")?,
                cause: row.try_get("cause")?,
                total_tokens: row.try_get("total_tokens")?,
                cpu_us: row.try_get("cpu_us")?,
                memory_bytes: row.try_get("memory_bytes")?,
                egress_bytes: row.try_get("egress_bytes")?,
                content,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}

async fn add_contents(
    transaction: &mut Transaction<'_, Any>,
    records: &[NewRecord],
) -> Result<(), sqlx::Error> {
    let kept = records.iter().filter_map(|new| Some((new, new.record.content.as_deref()?)));
    for (new, content) in kept {
        sqlx::query(
            "INSERT INTO request_contents (id, at, prompt, prompt_bytes, prompt_cut, result, result_bytes, result_cut)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&new.id)
        .bind(new.record.at_millis())
        .bind(storable(content.prompt.text()))
        .bind(signed(content.prompt.length()))
        .bind(i64::from(content.prompt.is_cut()))
        .bind(storable(content.result.text()))
        .bind(signed(content.result.length()))
        .bind(i64::from(content.result.is_cut()))
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// `INSERT INTO table (a, b) VALUES ($1, $2), ($3, $4)`
fn insert(table: &str, columns: &[&str], rows: usize) -> String {
    let row = |at: usize| {
        let marks = (1..=columns.len()).map(|column| format!("${}", at * columns.len() + column));
        format!("({})", marks.collect::<Vec<_>>().join(", "))
    };
    let rows = (0..rows).map(row).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {table} ({}) VALUES {rows}", columns.join(", "))
}

type Values<'q> = Query<'q, Any, sqlx::any::AnyArguments<'q>>;

/// In the order of [`COLUMNS`]. What an error says beside its code is not stored: backends repeat prompts in it.
fn bind_record<'q>(query: Values<'q>, new: &'q NewRecord) -> Values<'q> {
    let r = &new.record;
    let text = |text: &str| storable(text.to_owned());
    let given = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(|text| storable(text.to_owned()));
    let answerer = r.answerer.as_ref();
    query
        .bind(&new.id)
        .bind(r.at_millis())
        .bind(text(&r.request_id))
        .bind(given(&r.tenant))
        .bind(given(&r.user))
        .bind(given(&r.key_id))
        .bind(given(&r.caller))
        .bind(r.operation.path())
        .bind(r.model.as_deref().map(short))
        .bind(given(&r.endpoint))
        .bind(answerer.and_then(|a| given(&a.owner)))
        .bind(answerer.map(|a| text(&a.cluster)))
        .bind(answerer.and_then(|a| given(&a.adaptor)))
        .bind(i64::from(r.stream))
        .bind(i64::from(r.status))
        .bind(r.error.as_deref().map(short))
        .bind(r.cause.as_str())
        .bind(r.outcome.as_str())
        .bind(r.usage.map(|u| signed(u.prompt_tokens)))
        .bind(r.usage.map(|u| signed(u.completion_tokens)))
        .bind(r.usage.map(|u| signed(u.total_tokens)))
        .bind(r.first_byte.map(|d| signed(micros(d))))
        .bind(signed(micros(r.duration)))
        .bind(signed(micros(r.costs.cpu)))
        .bind(signed(r.costs.peak_memory as u64))
        .bind(signed(r.costs.egress_bytes))
}

/// The beginning of a text of somebody's choice.
pub(super) fn short(text: &str) -> String {
    storable(text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned())
}

/// PostgreSQL's text cannot hold a NUL, and one row that cannot be stored would hold up all others.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// Most of anything that one request is counted for. Backends may say any number of tokens, and a sum that does not fit
/// would hold up all others: this fits more than a hundred million times.
const MOST: i64 = 1 << 36;

/// Neither database has numbers without a sign.
pub(super) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_short_and_has_no_nul() {
        assert_eq!(short("a\0b"), "a\u{fffd}b");
        assert_eq!(short(&"é".repeat(300)).len(), MAX_TEXT);
        assert_eq!(insert("t", &["a", "b"], 2), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)");
        assert_eq!(signed(u64::MAX), MOST);
    }
}
