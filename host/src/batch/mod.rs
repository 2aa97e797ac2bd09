//! Batches: one caller's file of tasks as one job. They are kept in the store; adaptors start and follow them.

mod follow;

use std::{sync::Arc, time::Duration};

use airlock_sandbox::{
    AdaptorError, BatchRequest, BatchState, Egress, Endpoint, Fault, Operation, SubmittedBatch,
};
use uuid::Uuid;

use crate::{
    auth::Caller,
    catalog::{Backend, Catalog, CatalogEndpoint},
    routing::{Admit, RouteError, Scope, endpoints_for},
    store::{NewBatch, Reservation, Store, StoreError},
};

pub use crate::store::{Batch, BatchStatus};

/// Pause before what was read is stored again, where the store refused it.
const STORE_AGAIN: Duration = Duration::from_millis(500);

/// What a batch whose adaptor never answered says.
const LEFT_BEHIND: &str = "the gateway stopped while the batch was handed to its backend; submit it again";

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct BatchOrder {
    /// The model.
    pub model: String,
    /// The file of tasks, where the cluster can read it.
    pub input_file: String,
    /// The folder that results go to.
    pub output_folder_path: Option<String>,
}

/// Why a batch is not started, or not shown.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// There is no such endpoint for the caller.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The endpoint takes no batches.
    #[error("batch is not available for the endpoint `{0}`")]
    Unavailable(Arc<str>),
    /// A limit is reached; whoever admits knows which.
    #[error("a limit is reached")]
    NotAdmitted,
    /// The caller has as many as are allowed.
    #[error("you have {0} active batches, which is the limit; wait until one is done")]
    QuotaExceeded(u32),
    /// A batch of the caller works on this file.
    #[error("an active batch of yours reads the input file {0:?} already")]
    FileInUse(String),
    /// The caller has no such batch.
    #[error("there is no batch `{0}` of yours")]
    Unknown(String),
    /// Its result is not there yet.
    #[error("the batch `{id}` is {}: its result is not there yet", .status.as_str())]
    NotReady {
        /// The batch.
        id: String,
        /// Where it stands.
        status: BatchStatus,
    },
    /// It failed, for this reason.
    #[error("the batch failed: {0}")]
    Failed(String),
    /// Its adaptor failed.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All batches.
#[derive(Clone)]
pub struct Batches {
    store: Store,
    /// How many active ones a caller may have.
    most: u32,
}

impl Batches {
    /// Those of a store. What an earlier process left half-started has failed.
    pub async fn open(store: Store, most: u32) -> Result<Self, StoreError> {
        let left = store.fail_unstarted_batches(LEFT_BEHIND).await?;
        if left > 0 {
            tracing::warn!(
                left,
                "batches were being started when the gateway last stopped; they have failed"
            );
        }
        Ok(Self { store, most })
    }

    /// Starts a batch for `caller`, where `admit` lets it go to an endpoint that takes batches.
    pub async fn submit(
        &self,
        catalog: &Catalog,
        egress: &Egress,
        scope: &Scope,
        caller: &Caller,
        admit: &mut impl Admit,
        order: BatchOrder,
    ) -> Result<Batch, BatchError> {
        let candidates = endpoints_for(catalog, scope, caller, &order.model)?;
        let (endpoint, adaptor) = taking_batches(&candidates)?;
        if !admit.admit(endpoint).await {
            return Err(BatchError::NotAdmitted);
        }
        let asked = NewBatch {
            id: Uuid::new_v4().to_string(),
            owner: caller.key_id.to_string(),
            tenant: adaptor.grant.tenant().name().to_string(),
            endpoint: endpoint.slug.to_string(),
            cluster: endpoint.cluster.clone(),
            framework: endpoint.framework.clone(),
            model: endpoint.model.clone(),
            input_file: order.input_file,
            output_folder_path: order.output_folder_path,
        };
        match self.store.reserve_batch(&asked, self.most).await? {
            Reservation::Made => {}
            Reservation::QuotaExceeded => return Err(BatchError::QuotaExceeded(self.most)),
            Reservation::FileInUse => return Err(BatchError::FileInUse(asked.input_file)),
        }
        let request = Arc::new(BatchRequest {
            id: asked.id.clone(),
            operation: Operation::ChatCompletions,
            model: asked.model.clone(),
            user: Some(caller.for_adaptors()),
            input_file: asked.input_file.clone(),
            output_folder_path: asked.output_folder_path.clone(),
        });
        // From here on its client may be gone, and what its tasks come to nobody says.
        admit.charge();
        let (this, adaptor, egress) = (self.clone(), Arc::clone(adaptor), egress.clone());
        // A task of its own: a client that goes away does not leave a job behind that nobody knows of.
        let start = tokio::spawn(async move { this.start(&adaptor, &egress, &request).await });
        let (owner, id) = (asked.owner, asked.id);
        start.await.map_err(|e| Fault::Trap(e.to_string()))??;
        self.find(&owner, &id).await
    }

    async fn start(
        &self,
        endpoint: &Arc<Endpoint>,
        egress: &Egress,
        request: &Arc<BatchRequest>,
    ) -> Result<(), BatchError> {
        match endpoint.submit_batch(egress, request).await {
            Ok(SubmittedBatch { handle, task_ids, state }) => {
                let (status, task_ids) = (active(status_of(state)), task_ids.join(","));
                keep(&request.id, || self.store.start_batch(&request.id, &handle, &task_ids, status)).await;
                tracing::info!(
                    batch = request.id,
                    endpoint = &*endpoint.info.slug,
                    handle,
                    "a batch was started"
                );
                Ok(())
            }
            Err(fault) => {
                self.store.release_batch(&request.id).await?;
                Err(fault.into())
            }
        }
    }

    /// The batches of a caller, oldest first, of all or of one status.
    pub async fn list(&self, caller: &Caller, status: Option<BatchStatus>) -> Result<Vec<Batch>, BatchError> {
        let mut batches = self.store.batches_of(&caller.key_id).await?;
        batches.retain(|batch| status.is_none_or(|wanted| batch.status == wanted));
        Ok(batches)
    }

    /// Where a batch of a caller stands.
    pub async fn status(&self, caller: &Caller, id: &str) -> Result<BatchStatus, BatchError> {
        Ok(self.find(&caller.key_id, id).await?.status)
    }

    /// The result of a batch of a caller.
    pub async fn result(&self, caller: &Caller, id: &str) -> Result<String, BatchError> {
        let batch = self.find(&caller.key_id, id).await?;
        let result = batch.result.unwrap_or_default();
        match batch.status {
            BatchStatus::Completed => Ok(result),
            BatchStatus::Failed => Err(BatchError::Failed(result)),
            status => Err(BatchError::NotReady { id: id.to_owned(), status }),
        }
    }

    async fn find(&self, owner: &str, id: &str) -> Result<Batch, BatchError> {
        let found = self.store.batch(owner, id).await?;
        found.ok_or_else(|| BatchError::Unknown(id.to_owned()))
    }
}

/// Stores what a backend says once only: where the store refuses it, it is tried again until it is taken.
async fn keep<F: Future<Output = Result<(), StoreError>>>(id: &str, store: impl Fn() -> F) {
    while let Err(error) = store().await {
        tracing::error!(batch = id, %error, "a batch's progress could not be stored; trying again");
        tokio::time::sleep(STORE_AGAIN).await;
    }
}

/// The first candidate that takes batches.
fn taking_batches(
    candidates: &[Arc<CatalogEndpoint>],
) -> Result<(&Arc<CatalogEndpoint>, &Arc<Endpoint>), BatchError> {
    let able = candidates.iter().filter(|endpoint| endpoint.takes_batches).find_map(|endpoint| {
        #[cfg_attr(not(feature = "native-path"), expect(irrefutable_let_patterns, reason = "one kind"))]
        let Backend::Adaptor(deployed) = &endpoint.backend else { return None };
        Some((endpoint, &deployed.live))
    });
    able.ok_or_else(|| {
        BatchError::Unavailable(candidates.first().map_or_else(|| "".into(), |e| Arc::clone(&e.slug)))
    })
}

/// FIRST knows no cancelled batches: to its clients they have failed.
fn status_of(state: BatchState) -> BatchStatus {
    match state {
        BatchState::Pending => BatchStatus::Pending,
        BatchState::Running => BatchStatus::Running,
        BatchState::Completed => BatchStatus::Completed,
        BatchState::Failed | BatchState::Cancelled => BatchStatus::Failed,
    }
}

/// A batch is finished by the step that reads its result, not by the one that starts it.
fn active(status: BatchStatus) -> BatchStatus {
    match status {
        BatchStatus::Pending => BatchStatus::Pending,
        _ => BatchStatus::Running,
    }
}

/// Whether a backend says that it does not know a batch.
fn is_forgotten(error: &AdaptorError) -> bool {
    matches!(error.status, 404 | 410)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_refuses_is_asked_until_it_takes() {
        let left = Cell::new(3);
        keep("b", || {
            left.set(left.get() - 1);
            let is_taken = left.get() == 0;
            async move { if is_taken { Ok(()) } else { Err(StoreError::NameTaken("x".into())) } }
        })
        .await;
        assert_eq!(left.get(), 0);
    }
}
