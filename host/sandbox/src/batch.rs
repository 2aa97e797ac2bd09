//! Batches of an endpoint: its adaptor's interface `batch`.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Egress, Endpoint, Fault, Operation, User, bindings::exports::airlock::adaptor::batch as contract,
    endpoint::contract_user, form::OwnBody,
};

pub use crate::bindings::exports::airlock::adaptor::batch::BatchState;

/// A batch to start.
#[derive(Debug, Clone)]
pub struct BatchRequest {
    /// The gateway's id of it.
    pub id: String,
    /// The API that every line calls.
    pub operation: Operation,
    /// The model that every line names.
    pub model: String,
    /// Who asks.
    pub user: Option<User>,
    /// The path of the file of tasks, where the cluster can read it.
    pub input_file: String,
    /// The folder that results go to.
    pub output_folder_path: Option<String>,
}

/// A batch that an adaptor has accepted.
#[derive(Debug, Clone)]
pub struct SubmittedBatch {
    /// The adaptor's name for it.
    pub handle: String,
    /// The backend's ids of its parts.
    pub task_ids: Vec<String>,
    /// Where it stands.
    pub state: BatchState,
}

/// How far a batch has got.
#[derive(Debug, Clone)]
pub struct BatchProgress {
    /// Where it stands.
    pub state: BatchState,
    /// A sentence for a person.
    pub message: Option<String>,
    /// The results, where the backend hands them out with its status, and then once only.
    pub results: Option<Bytes>,
}

impl Endpoint {
    /// Whether it takes batches: its adaptor can, and its configuration says so.
    pub async fn has_batch_enabled(self: &Arc<Self>, egress: &Egress) -> Result<bool, Fault> {
        if !self.adaptor.is_batch() {
            return Ok(false);
        }
        let this = Arc::clone(self);
        let asked = self.sandbox.call(self.offline_plan(egress), async move |mut live| {
            let (indices, info) = (this.adaptor.batch()?, this.contract_info());
            let asked = live.export(async |store, instance| {
                indices.load(&mut *store, instance)?.call_has_batch_enabled(&mut *store, info).await
            });
            let asked = asked.await?;
            Ok((live, asked))
        });
        Ok(asked.await?.1)
    }

    /// Starts a batch.
    pub async fn submit_batch(
        self: &Arc<Self>,
        egress: &Egress,
        request: &Arc<BatchRequest>,
    ) -> Result<SubmittedBatch, Fault> {
        let plan = self.plan(egress, request.id.as_str().into(), OwnBody::default());
        let (this, request) = (Arc::clone(self), Arc::clone(request));
        let submitted = self.sandbox.call(plan, async move |mut live| {
            let (indices, info) = (this.adaptor.batch()?, this.contract_info());
            let groups: Vec<&str> = request.user.iter().flat_map(|u| &u.groups).map(String::as_str).collect();
            let request = contract::BatchRequest {
                id: &request.id,
                operation: request.operation.into(),
                model: &request.model,
                user: request.user.as_ref().map(|user| contract_user(user, &groups)),
                input: contract::BatchInput::Path(&request.input_file),
                output_folder_path: request.output_folder_path.as_deref(),
            };
            let submitted = live.export(async |store, instance| {
                indices.load(&mut *store, instance)?.call_submit_batch(&mut *store, info, request).await
            });
            let submitted = submitted.await?;
            Ok((live, submitted))
        });
        let submitted = submitted.await?.1.map_err(|error| Fault::Reported(error.into()))?;
        Ok(SubmittedBatch { handle: submitted.handle, task_ids: submitted.task_ids, state: submitted.state })
    }

    /// Asks how far a batch has got. `request_id` is for the log.
    pub async fn batch_status(
        self: &Arc<Self>,
        egress: &Egress,
        request_id: &Arc<str>,
        handle: &str,
    ) -> Result<BatchProgress, Fault> {
        let plan = self.plan(egress, Arc::clone(request_id), OwnBody::default());
        let (this, handle) = (Arc::clone(self), handle.to_owned());
        let asked = self.sandbox.call(plan, async move |mut live| {
            let (indices, info) = (this.adaptor.batch()?, this.contract_info());
            let asked = live.export(async |store, instance| {
                indices.load(&mut *store, instance)?.call_get_batch_status(&mut *store, info, &handle).await
            });
            let asked = asked.await?;
            Ok((live, asked))
        });
        let progress = asked.await?.1.map_err(|error| Fault::Reported(error.into()))?;
        let contract::BatchProgress { state, message, results, .. } = progress;
        Ok(BatchProgress { state, message, results: results.map(Bytes::from) })
    }

    /// Reads the results of a batch that is completed.
    pub async fn batch_result(
        self: &Arc<Self>,
        egress: &Egress,
        request_id: &Arc<str>,
        handle: &str,
    ) -> Result<Bytes, Fault> {
        let plan = self.plan(egress, Arc::clone(request_id), OwnBody::default());
        let (this, handle) = (Arc::clone(self), handle.to_owned());
        let read = self.sandbox.call(plan, async move |mut live| {
            let (indices, info) = (this.adaptor.batch()?, this.contract_info());
            let read = live.export(async |store, instance| {
                indices.load(&mut *store, instance)?.call_get_batch_result(&mut *store, info, &handle).await
            });
            let read = read.await?;
            Ok((live, read))
        });
        let result = read.await?.1.map_err(|error| Fault::Reported(error.into()))?;
        Ok(result.into())
    }
}
