//! A tenant's signers, and the signatures that come with uploads.

use http::HeaderMap;
use serde_json::Value;

use crate::{
    api::error::{ApiError, ErrorKind},
    gate::{Evidence, Signed},
    gateway::Gateway,
    tenants::{Kind, MAX_SIGNERS, Signer, parse_signature},
};

/// A signature of the component, in base64; there may be several.
pub(super) const HEADER: &str = "x-airlock-signature";
/// Each is tried with each signer.
const MAX_SIGNATURES: usize = 4;

/// Who may make a tenant's components. One who cannot be read is no reason to let anybody.
pub(super) async fn of(gateway: &Gateway, tenant: &str) -> Result<Vec<Signer>, ApiError> {
    let documents = gateway.store().documents(Some(tenant), Some(Kind::Signer.as_str())).await?;
    let read = documents.iter().map(|document| {
        let spec = serde_json::from_str(&document.body).unwrap_or(Value::Null);
        Signer::of(&document.name, &spec).map_err(|error| {
            let message = format!("The tenant's signer `{}` has to be stored again: {error}.", document.name);
            ApiError::new(ErrorKind::InvalidDefinition, message)
        })
    });
    read.collect()
}

/// Whether what is to be stored is a signer, and there is room for one more.
pub(super) async fn check(gateway: &Gateway, tenant: &str, name: &str, spec: &Value) -> Result<(), ApiError> {
    Signer::of(name, spec).map_err(|error| {
        let message = format!("This is no signer: {error}.");
        ApiError::new(ErrorKind::InvalidValue, message).param("public_key")
    })?;
    let others = gateway.store().documents(Some(tenant), Some(Kind::Signer.as_str())).await?;
    if others.iter().filter(|other| other.name != name).count() >= MAX_SIGNERS {
        let message = format!("A tenant has at most {MAX_SIGNERS} signers.");
        return Err(ApiError::new(ErrorKind::TenantQuota, message));
    }
    Ok(())
}

/// The signatures that a request brings along.
pub(super) fn evidence(headers: &HeaderMap) -> Result<Evidence, ApiError> {
    let refuse = |message: String| ApiError::new(ErrorKind::InvalidValue, message).param(HEADER);
    let texts: Vec<_> = headers.get_all(HEADER).iter().collect();
    if texts.len() > MAX_SIGNATURES {
        return Err(refuse(format!("An upload has at most {MAX_SIGNATURES} signatures.")));
    }
    let signed = texts.into_iter().map(|text| {
        let signature = text.to_str().ok().and_then(parse_signature);
        let signature = signature.ok_or_else(|| {
            refuse(format!("`{HEADER}` is one signature in base64, as `cosign sign-blob` writes it."))
        })?;
        Ok::<_, ApiError>(Signed { message: None, signature })
    });
    Ok(Evidence { signed: signed.collect::<Result<_, _>>()?, instead: None })
}
