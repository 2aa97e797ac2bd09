//! Batches: reserved, started, followed, finished. What a row says once it is finished never changes.

use sqlx::{Row as _, any::AnyRow};

use super::{Store, StoreError, now, writes::Line};

/// Where a batch stands: FIRST's four words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchStatus {
    /// Accepted, not started.
    Pending,
    /// Being worked on.
    Running,
    /// Done, with a result.
    Completed,
    /// Ended without one.
    Failed,
}

impl BatchStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Running, Self::Completed, Self::Failed];

    /// FIRST's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The status with this word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A batch that somebody asks for.
#[derive(Debug, Clone)]
pub struct NewBatch {
    /// Its identifier.
    pub id: String,
    /// The caller's id.
    pub owner: String,
    /// The tenant whose endpoint runs it.
    pub tenant: String,
    /// The endpoint's slug.
    pub endpoint: String,
    /// The cluster's name.
    pub cluster: String,
    /// The framework's name.
    pub framework: String,
    /// The model.
    pub model: String,
    /// The file of tasks, where the cluster can read it.
    pub input_file: String,
    /// Where results go, where the client named a folder.
    pub output_folder_path: Option<String>,
}

/// A batch as it is stored. Times are Unix seconds.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What was asked for.
    pub asked: NewBatch,
    /// Where it stands.
    pub status: BatchStatus,
    /// The adaptor's name for it.
    pub handle: Option<String>,
    /// The backend's ids, separated by commas.
    pub task_ids: Option<String>,
    /// What it gave, or why it failed.
    pub result: Option<String>,
    /// When the adaptor accepted it.
    pub in_progress_at: Option<i64>,
    /// When its result was read.
    pub completed_at: Option<i64>,
    /// When it failed.
    pub failed_at: Option<i64>,
}

/// Whether there was room for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    /// There is a row for it now.
    Made,
    /// Its owner has as many active ones as are allowed.
    QuotaExceeded,
    /// An active one of its owner reads the same file.
    FileInUse,
}

impl Store {
    /// Makes a row for a batch, unless its owner has `most` active ones or one with the same file: one after the
    /// other, so that of many that try at once no more than `most` succeed.
    pub async fn reserve_batch(&self, batch: &NewBatch, most: u32) -> Result<Reservation, StoreError> {
        let (mut transaction, _) = self.begin(Line::Batches).await?;
        let done = sqlx::query(
            "INSERT INTO batches (id, owner, endpoint, cluster, framework, model, input_file,
                                  output_folder_path, status, created_at, tenant)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, $11
             WHERE (SELECT count(*) FROM batches
                    WHERE owner = $2 AND status IN ('pending', 'running')) < $10",
        )
        .bind(&batch.id)
        .bind(&batch.owner)
        .bind(&batch.endpoint)
        .bind(&batch.cluster)
        .bind(&batch.framework)
        .bind(&batch.model)
        .bind(&batch.input_file)
        .bind(&batch.output_folder_path)
        .bind(now())
        .bind(i64::from(most))
        .bind(&batch.tenant)
        .execute(&mut *transaction)
        .await;
        match done {
            Ok(done) if done.rows_affected() == 0 => Ok(Reservation::QuotaExceeded),
            Ok(_) => {
                transaction.commit().await?;
                Ok(Reservation::Made)
            }
            Err(error) if error.as_database_error().is_some_and(|e| e.is_unique_violation()) => {
                Ok(Reservation::FileInUse)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a reservation back: the batch was not accepted.
    pub async fn release_batch(&self, id: &str) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM batches WHERE id = $1 AND handle IS NULL");
        delete.bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// The adaptor has accepted a batch.
    pub async fn start_batch(
        &self,
        id: &str,
        handle: &str,
        task_ids: &str,
        status: BatchStatus,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE batches SET handle = $1, task_ids = $2, status = $3, in_progress_at = $4 WHERE id = $5",
        )
        .bind(handle)
        .bind(task_ids)
        .bind(status.as_str())
        .bind(now())
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// An active batch has got further. One that is finished stays as it is.
    pub async fn advance_batch(
        &self,
        id: &str,
        status: BatchStatus,
        result: Option<&str>,
    ) -> Result<(), StoreError> {
        let at = |wanted: BatchStatus| (status == wanted).then(now);
        sqlx::query(
            "UPDATE batches SET status = $1, result = $2, completed_at = $3, failed_at = $4
             WHERE id = $5 AND status IN ('pending', 'running')",
        )
        .bind(status.as_str())
        .bind(result)
        .bind(at(BatchStatus::Completed))
        .bind(at(BatchStatus::Failed))
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// One batch of its owner.
    pub async fn batch(&self, owner: &str, id: &str) -> Result<Option<Batch>, StoreError> {
        let select = sqlx::query("SELECT * FROM batches WHERE owner = $1 AND id = $2");
        let row = select.bind(owner).bind(id).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(batch_from_row).transpose()?)
    }

    /// An owner's batches, oldest first.
    pub async fn batches_of(&self, owner: &str) -> Result<Vec<Batch>, StoreError> {
        let select = sqlx::query("SELECT * FROM batches WHERE owner = $1 ORDER BY created_at, id");
        let rows = select.bind(owner).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(batch_from_row).collect::<Result<_, _>>()?)
    }

    /// The batches of everybody that adaptors work on.
    pub async fn active_batches(&self) -> Result<Vec<Batch>, StoreError> {
        let select = sqlx::query(
            "SELECT * FROM batches WHERE status IN ('pending', 'running') AND handle IS NOT NULL
             ORDER BY created_at, id",
        );
        let rows = select.fetch_all(&self.pool).await?;
        Ok(rows.iter().map(batch_from_row).collect::<Result<_, _>>()?)
    }

    /// Fails the batches that a process left behind while it handed them to an adaptor. For the start: one process
    /// serves a store.
    pub async fn fail_unstarted_batches(&self, why: &str) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE batches SET status = 'failed', result = $1, failed_at = $2
             WHERE status IN ('pending', 'running') AND handle IS NULL",
        );
        Ok(done.bind(why).bind(now()).execute(&self.pool).await?.rows_affected())
    }
}

fn batch_from_row(row: &AnyRow) -> Result<Batch, sqlx::Error> {
    let status: String = row.try_get("status")?;
    Ok(Batch {
        asked: NewBatch {
            id: row.try_get("id")?,
            owner: row.try_get("owner")?,
            tenant: row.try_get("tenant")?,
            endpoint: row.try_get("endpoint")?,
            cluster: row.try_get("cluster")?,
            framework: row.try_get("framework")?,
            model: row.try_get("model")?,
            input_file: row.try_get("input_file")?,
            output_folder_path: row.try_get("output_folder_path")?,
        },
        status: BatchStatus::parse(&status)
            .ok_or_else(|| sqlx::Error::Decode(format!("{status:?} is no status of a batch").into()))?,
        handle: row.try_get("handle")?,
        task_ids: row.try_get("task_ids")?,
        result: row.try_get("result")?,
        in_progress_at: row.try_get("in_progress_at")?,
        completed_at: row.try_get("completed_at")?,
        failed_at: row.try_get("failed_at")?,
    })
}
