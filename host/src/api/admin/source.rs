//! Where an upload's component comes from: out of the request itself, or from a registry that it names.

use axum::body::Body;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access::{Allowed, no_tenant},
    signers, thing,
};
use crate::{
    api::{
        error::ApiError,
        extract::{announced, discard},
    },
    gate::{Evidence, Signed},
    gateway::{Gateway, Worker},
    intake::{ReceiveError, Received, Slot},
    registry::{self, Artifact, Means},
    tenants::{DEFAULT_TENANT, Kind, Signer, parse_signature},
};

/// A component that has come, and what there is to know about where it comes from.
pub(super) struct Component {
    pub(super) received: Received,
    /// The reference and the manifest's digest, where it was pulled.
    pub(super) source: Option<Pulled>,
    /// The tenant's signers, as they were once it had come.
    pub(super) signers: Vec<Signer>,
    /// Signatures that lie beside it.
    pub(super) evidence: Evidence,
}

/// Where a component was pulled from.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Pulled {
    reference: String,
    /// The digest of its manifest.
    manifest: String,
}

/// `{"reference": "registry.example.org/team/adaptor:1.2"}`
#[derive(Deserialize, ToSchema)]
#[schema(as = PullOrder)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    reference: String,
}

/// The component of an upload.
pub(super) async fn component(
    worker: &Worker,
    allowed: &Allowed,
    headers: &HeaderMap,
    body: Body,
    slot: Slot,
) -> Result<Component, ApiError> {
    let gateway = worker.gateway();
    let limit = (gateway.settings().compile.max_adaptor_mib as u64) << 20;
    if is_json(headers) {
        let Wanted { reference } = thing::body(headers, body).await?;
        return pull(worker, allowed, &reference, slot, limit).await;
    }
    let received = receive(headers, body, slot, limit).await?;
    let signers = signers::of(gateway, &allowed.tenant).await?;
    Ok(Component { received, source: None, signers, evidence: Evidence::default() })
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"))
}

async fn receive(headers: &HeaderMap, mut body: Body, slot: Slot, limit: u64) -> Result<Received, ApiError> {
    let received = if announced(headers) > limit {
        Err(ReceiveError::TooLarge(limit))
    } else {
        slot.receive(&mut body, limit).await
    };
    if matches!(received, Err(ReceiveError::TooLarge(_) | ReceiveError::Disk(_))) {
        discard(body).await; // it is still sent, and who sends it would not read why
    }
    Ok(received?)
}

async fn pull(
    worker: &Worker,
    allowed: &Allowed,
    reference: &str,
    slot: Slot,
    limit: u64,
) -> Result<Component, ApiError> {
    let gateway = worker.gateway();
    let means = means(worker, &allowed.tenant).await?;
    let mut artifact = registry::find(reference, &means).await?;
    let received = artifact.component(slot, limit).await?;
    let signers = signers::of(gateway, &allowed.tenant).await?;
    let evidence = match signers.as_slice() {
        [] => Evidence::default(),
        _ => evidence(&mut artifact).await?,
    };
    let source =
        Some(Pulled { reference: artifact.reference().to_string(), manifest: artifact.digest().to_string() });
    Ok(Component { received, source, signers, evidence })
}

async fn means<'a>(worker: &'a Worker, name: &str) -> Result<Means<'a>, ApiError> {
    let gateway: &Gateway = worker.gateway();
    let tenant = gateway.tenants().tenant(name).ok_or_else(|| no_tenant(name))?;
    let sealed = gateway.store().documents(Some(name), Some(Kind::Secret.as_str())).await?;
    let sealed = sealed
        .into_iter()
        .filter_map(|document| Some((document.name, serde_json::from_str(&document.body).ok()?)));
    let secrets = gateway.master_keys().open_all(name, sealed);
    let settings = gateway.settings();
    let policy =
        if name == DEFAULT_TENANT { settings.address_policy() } else { settings.tenant_address_policy() };
    Ok(Means { egress: worker.egress(), tenant, policy, secrets })
}

async fn evidence(artifact: &mut Artifact<'_>) -> Result<Evidence, ApiError> {
    let signatures = artifact.signatures().await?;
    let signed = signatures.found.into_iter().filter_map(|(payload, signature)| {
        Some(Signed { message: Some(payload), signature: parse_signature(&signature)? })
    });
    Ok(Evidence { signed: signed.collect(), instead: Some(signatures.instead) })
}
