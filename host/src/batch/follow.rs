//! Follows active batches in the background, so that a result is read while its backend still has it.

use std::{sync::Arc, time::Duration};

use airlock_sandbox::{BatchProgress, Egress, Endpoint, Fault};
use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::{Batch, BatchStatus, Batches, is_forgotten, keep, status_of};
use crate::{
    catalog::{Backend, Catalog},
    store::StoreError,
    tenants::Tenants,
};

/// How many batches are asked about at a time.
const AT_A_TIME: usize = 8;

impl Batches {
    /// Asks about every active batch each `period`, until `stop`.
    pub async fn follow(self, tenants: Tenants, egress: Egress, period: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // Not cut off by `stop`: a result that was handed over once only has to reach the store.
            if let Err(error) = self.ask_about_all(&tenants, &egress, &stop).await {
                tracing::error!(%error, "active batches could not be read; they are asked about again");
            }
        }
    }

    async fn ask_about_all(
        &self,
        tenants: &Tenants,
        egress: &Egress,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let active = self.store.active_batches().await?;
        let asking = stream::iter(active).for_each_concurrent(AT_A_TIME, |batch| async move {
            if !stop.is_cancelled() {
                self.ask_about(&tenants.catalog(&batch.asked.tenant), egress, &batch).await;
            }
        });
        asking.await;
        Ok(())
    }

    async fn ask_about(&self, catalog: &Catalog, egress: &Egress, batch: &Batch) {
        let Some((status, result)) = progress(catalog, egress, batch).await else { return };
        if status == batch.status {
            return;
        }
        let id = batch.asked.id.as_str();
        keep(id, || self.store.advance_batch(id, status, result.as_deref())).await;
        tracing::info!(batch = batch.asked.id, status = status.as_str(), "a batch got further");
    }
}

/// Where a batch stands now, and what it gave. `None`: nobody can say.
async fn progress(
    catalog: &Catalog,
    egress: &Egress,
    batch: &Batch,
) -> Option<(BatchStatus, Option<String>)> {
    let id: Arc<str> = batch.asked.id.as_str().into();
    let handle = batch.handle.as_deref()?;
    let Some(endpoint) = endpoint_of(catalog, batch) else {
        tracing::warn!(
            batch = &*id,
            endpoint = batch.asked.endpoint,
            "the endpoint of an active batch is gone"
        );
        return None;
    };
    match read(&endpoint, egress, &id, handle).await {
        Ok(read) => Some(read),
        Err(Fault::Reported(error)) if is_forgotten(&error) => Some((
            BatchStatus::Failed,
            Some(format!("the backend no longer knows the batch: {}", error.message)),
        )),
        Err(fault) => {
            tracing::warn!(batch = &*id, %fault, "a batch could not be asked about; it is asked about again");
            None
        }
    }
}

fn endpoint_of(catalog: &Catalog, batch: &Batch) -> Option<Arc<Endpoint>> {
    match &catalog.endpoint(&batch.asked.endpoint)?.backend {
        Backend::Adaptor(deployed) => Some(Arc::clone(&deployed.live)),
        #[cfg(feature = "native-path")]
        Backend::Native(_) => None,
    }
}

async fn read(
    endpoint: &Arc<Endpoint>,
    egress: &Egress,
    id: &Arc<str>,
    handle: &str,
) -> Result<(BatchStatus, Option<String>), Fault> {
    let BatchProgress { state, message, results } = endpoint.batch_status(egress, id, handle).await?;
    let status = status_of(state);
    let text = match status {
        BatchStatus::Completed => {
            let results = match results {
                Some(results) => results,
                None => endpoint.batch_result(egress, id, handle).await?,
            };
            Some(String::from_utf8_lossy(&results).into_owned())
        }
        BatchStatus::Failed => Some(message.unwrap_or_else(|| "the backend does not say why".into())),
        BatchStatus::Pending | BatchStatus::Running => None,
    };
    Ok((status, text))
}
